import functools
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from helpers.code_paths import as_accelerators
from helpers.oracles import clear_border_8, remove_small
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from anatpaste_aug.functional import clear_border, label_components, remove_small_components
from anatpaste_aug.functional.lungs.blocks import label_rounds


def spiral(size):
    """One path of one pixel's width, wound towards the middle with a gap of one pixel."""
    mask = np.zeros((size + 4, size + 4), dtype=bool)
    row, column, step = 2, 2, (0, 1)
    mask[row, column] = True
    while True:
        length = 0
        while True:
            ahead, beyond = (row + step[0], column + step[1]), (row + 2 * step[0], column + 2 * step[1])
            inside = 2 <= ahead[0] < size + 2 and 2 <= ahead[1] < size + 2
            if not inside or mask[ahead] or mask[beyond]:
                break
            (row, column), length = ahead, length + 1
            mask[ahead] = True
        if length < 2:
            return mask[2:-2, 2:-2]
        step = (step[1], -step[0])


def snake(size):
    """One path that runs to and fro."""
    mask = np.zeros((size, size), dtype=bool)
    mask[::2] = True
    mask[1::4, -1] = mask[3::4, 0] = True
    return mask


def comb(size):
    """Teeth on a back: they meet only at the far end."""
    mask = np.zeros((size, size), dtype=bool)
    mask[:, ::2] = mask[-1] = True
    return mask


@functools.cache
def maze(size, seed=0):
    """A random tree of corridors, by depth-first search."""
    rng = np.random.default_rng(seed)
    mask, stack = np.zeros((size, size), dtype=bool), [(0, 0)]
    mask[0, 0] = True
    while stack:
        row, column = stack[-1]
        steps = [(0, 2), (2, 0), (0, -2), (-2, 0)]
        steps = [(a, b) for a, b in steps if 0 <= row + a < size and 0 <= column + b < size]
        steps = [(a, b) for a, b in steps if not mask[row + a, column + b]]
        if not steps:
            stack.pop()
            continue
        a, b = steps[rng.integers(len(steps))]
        mask[row + a // 2, column + b // 2] = mask[row + a, column + b] = True
        stack.append((row + a, column + b))
    return mask


def inset(mask):
    """The mask with an empty frame, so that nothing touches the border."""
    return np.pad(mask[2:-2, 2:-2], 2)


def turned(mask):
    """The mask in its four orientations."""
    return [np.rot90(mask, turns) for turns in range(4)]


def patterns(size):
    """Square masks that have tricked labelling algorithms."""
    rows, columns = np.indices((size, size))
    point, corner = np.zeros((size, size), dtype=bool), np.zeros((size, size), dtype=bool)
    point[size // 2, size // 2] = corner[0, 0] = corner[-1, -1] = True
    masks = [np.zeros((size, size), dtype=bool), np.ones((size, size), dtype=bool), point, corner]
    masks += [(rows + columns) % 2 == 0, rows % 2 == 0, (rows % 2 == 0) & (columns % 2 == 0), rows == columns]
    for mask in (spiral(size), snake(size), comb(size), maze(size)):
        masks += [*turned(inset(mask)), mask, ~mask]
    return np.stack(masks)


def assert_equal_to_scipy(masks, min_size, paths=(nullcontext, as_accelerators)):
    """Bit for bit, of boolean B×H×W arrays."""
    cleared = np.stack([clear_border_8(mask) for mask in masks])
    large = np.stack([remove_small(mask, min_size) for mask in masks])
    tensor = torch.from_numpy(masks)
    for path in paths:
        with path():
            found = (
                (cleared, clear_border(tensor, return_converged=True)),
                (large, remove_small_components(tensor, min_size, return_converged=True)),
            )
        for expected, (mask, converged) in found:
            assert converged.all()
            assert converged.shape == (len(masks),)
            assert np.array_equal(mask.numpy(), expected)


@pytest.mark.parametrize("size", [32, 33, 64])
def test_patterns(size):
    assert_equal_to_scipy(patterns(size), size * 2)


@pytest.mark.parametrize("make", [spiral, snake, maze])
def test_long_paths(make):
    assert_equal_to_scipy(inset(make(400))[None], 5000)


@pytest.mark.slow
@pytest.mark.parametrize("make", [spiral, snake, comb, maze])
def test_the_largest_images(make):
    mask = inset(make(1024))
    assert_equal_to_scipy(np.stack([mask, np.rot90(mask)]), 5000, paths=[as_accelerators])


@pytest.mark.parametrize("size", [(32, 32), (33, 100), (128, 40), (128, 128)])
def test_random_masks_of_all_densities(size):
    rng = np.random.default_rng(0)
    density = np.linspace(0.02, 0.98, 25).reshape(-1, 1, 1)
    assert_equal_to_scipy(rng.random((25, *size)) < density, 12)


@st.composite
def mask_batches(draw):
    """One to three masks: random ones of several grains, patterns, and mixtures of both."""
    height, width = draw(st.integers(32, 64)), draw(st.integers(32, 64))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    batch = []
    for _ in range(draw(st.integers(1, 3))):
        grain = draw(st.integers(1, 4))
        coarse = rng.random((-(-height // grain), -(-width // grain))) < draw(st.floats(0, 1))
        mask = np.kron(coarse, np.ones((grain, grain), dtype=bool))[:height, :width]
        make = draw(st.sampled_from([None, spiral, snake, comb, maze]))
        if make is not None:
            pattern = make(64)[:height, :width]
            mask = mask ^ pattern if draw(st.booleans()) else pattern & (rng.random(pattern.shape) < 0.995)
        batch.append(inset(mask) if draw(st.booleans()) else mask)
    return np.stack(batch)


@pytest.mark.slow
@given(mask_batches(), st.floats(0, 300))
@settings(max_examples=1000, deadline=None)
def test_any_mask(masks, min_size):
    assert_equal_to_scipy(masks, min_size)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(
    ("min_size", "kept"),
    [(8, True), (8.5, False), (9, False), (0, True), (8 + 1e-9, False), (2**40, False), (float("nan"), False)],
)
def test_an_area_equal_to_the_limit_is_kept(min_size, kept):
    mask = torch.zeros(1, 32, 32, dtype=torch.bool)
    mask[0, 4:6, 4:8] = True
    assert remove_small_components(mask, min_size).any() == kept


# labels


@pytest.mark.parametrize("path", ["until they stand still", "as on a device"])
@pytest.mark.parametrize("size", [(48, 48), (48, 37)])
def test_labels_are_the_components(path, size):
    masks = torch.from_numpy(patterns(48))[:, : size[0], : size[1]]
    labels, converged = label_components(
        masks, label_rounds(24, 24) if path == "as on a device" else None, return_converged=True
    )
    assert converged.all()
    assert converged.dtype == torch.bool
    pixels = size[0] * size[1]
    assert labels.dtype == torch.int64
    for mask, label in zip(masks.numpy(), labels.numpy(), strict=True):
        expected, count = ndimage.label(mask, structure=np.ones((3, 3)))
        pairs = np.unique(np.stack([expected.ravel(), label]), axis=1)
        # One label for each component, and one component for each label.
        assert pairs.shape[1] == len(np.unique(pairs[1])) == count + (not mask.all())
        assert set(label[~mask.ravel()]) <= {pixels}
        assert all(np.flatnonzero(label == value)[0] == value for value in pairs[1] if value < pixels)


def test_a_given_number_of_rounds_is_run_and_no_more():
    masks = torch.from_numpy(np.stack([spiral(64), np.ones((64, 64), dtype=bool)]))
    labels, converged = label_components(masks, 2, return_converged=True)
    assert converged.tolist() == [False, True]
    assert labels.unique(dim=None).tolist() == [0, 64 * 64]
    assert (labels[0] == 64 * 64).all()
