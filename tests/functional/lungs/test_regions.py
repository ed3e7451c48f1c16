import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from anatpaste_aug.functional import (
    fill_holes,
    keep_largest,
    remove_large_components,
)
from anatpaste_aug.functional.lungs import blocks

SQUARE = np.ones((3, 3), dtype=bool)


def largest(mask, count):
    """By SciPy, whose labels are in reading order."""
    labels, number = ndimage.label(mask, structure=SQUARE)
    area = np.bincount(labels.ravel(), minlength=number + 1)[1:]
    return np.isin(labels, 1 + np.argsort(-area, kind="stable")[:count])


def not_large(mask, limit):
    labels, _ = ndimage.label(mask, structure=SQUARE)
    return mask & (np.bincount(labels.ravel()) <= limit)[labels]


def on_device_path(function, *arguments):
    """The answer of the algorithm for accelerators, with its fixed number of rounds, computed here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("anatpaste_aug.functional._numba.HAS_NUMBA", False)
        patch.setattr(blocks, "may_wait", lambda device: False)
        return function(*arguments, return_converged=True)


def on_host_path(function, *arguments):
    return function(*arguments, return_converged=True)


paths = pytest.mark.parametrize("path", [on_host_path, on_device_path])


@st.composite
def mask_batches(draw):
    """Random masks of several grains, and their outlines: many holes, some closed by a diagonal step alone."""
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    batch = []
    for _ in range(draw(st.integers(1, 3))):
        grain = draw(st.integers(1, 5))
        coarse = rng.random((-(-height // grain), -(-width // grain))) < draw(st.floats(0, 1))
        mask = np.kron(coarse, np.ones((grain, grain), dtype=bool))[:height, :width]
        batch.append(mask ^ ndimage.binary_erosion(mask, SQUARE) if draw(st.booleans()) else mask)
    return np.stack(batch)


@paths
@given(masks=mask_batches())
@settings(max_examples=150, deadline=None)
def test_holes_are_those_of_scipy(path, masks):
    filled, converged = path(fill_holes, torch.from_numpy(masks))
    assert converged.all()
    assert np.array_equal(filled.numpy(), np.stack([ndimage.binary_fill_holes(mask) for mask in masks]))


@paths
@given(masks=mask_batches(), count=st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_the_largest_are_those_of_scipy(path, masks, count):
    kept, converged = path(keep_largest, torch.from_numpy(masks), count)
    assert converged.all()
    assert np.array_equal(kept.numpy(), np.stack([largest(mask, count) for mask in masks]))


@paths
@given(masks=mask_batches(), limit=st.integers(0, 6) | st.floats(0, 60))
@settings(max_examples=150, deadline=None)
def test_the_large_ones_are_those_of_scipy(path, masks, limit):
    kept, converged = path(remove_large_components, torch.from_numpy(masks), limit)
    assert converged.all()
    assert np.array_equal(kept.numpy(), np.stack([not_large(mask, limit) for mask in masks]))


@paths
def test_a_diagonal_step_closes_a_ring(path):
    ring = torch.zeros(1, 5, 5, dtype=torch.bool)
    ring[0, 1, 2] = ring[0, 2, 1] = ring[0, 2, 3] = ring[0, 3, 2] = True
    filled, _ = path(fill_holes, ring)
    assert (filled ^ ring).nonzero().tolist() == [[0, 2, 2]]


@paths
@pytest.mark.parametrize(
    "function",
    [fill_holes, keep_largest, functools.partial(remove_large_components, max_size=5)],
    ids=["fill", "keep", "drop"],
)
def test_empty_batches_views_and_inputs(path, function):
    empty, converged = path(function, torch.zeros(0, 32, 40, dtype=torch.bool))
    assert empty.shape == (0, 32, 40)
    assert converged.shape == (0,)
    mask = torch.rand(3, 32, 40, generator=torch.Generator().manual_seed(0)) < 0.4
    before = mask.clone()
    result, _ = path(function, mask.transpose(1, 2))
    assert torch.equal(result, path(function, mask.transpose(1, 2).contiguous())[0])
    assert torch.equal(mask, before)


@pytest.mark.parametrize(
    "function",
    [fill_holes, keep_largest, functools.partial(remove_large_components, max_size=999)],
    ids=["fill", "keep", "drop"],
)
def test_labels_that_have_not_converged_are_flagged_and_give_an_empty_mask(function, monkeypatch):
    snake = torch.zeros(64, 64, dtype=torch.bool)
    snake[2:-2:2, 2:-2] = True
    snake[3:-2:4, -3] = snake[5:-2:4, 2] = True
    point = torch.zeros(64, 64, dtype=torch.bool)
    point[20:24, 20:24] = True
    masks = torch.stack([snake, point])
    if function is fill_holes:
        masks = ~masks  # it labels the background
    monkeypatch.setattr(blocks, "label_rounds", lambda rows, columns: 1)
    result, converged = on_device_path(function, masks)
    assert converged.tolist() == [False, True]
    assert not result[0].any()
    assert result[1].any()


@paths
@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
@pytest.mark.parametrize("function", [fill_holes, keep_largest, functools.partial(remove_large_components, max_size=5)])
def test_masks_without_any_pixel_stay_as_they_are(path, function, size):
    found, converged = path(function, torch.zeros(2, *size, dtype=torch.bool))
    assert found.shape == (2, *size)
    assert converged.all()


@paths
@pytest.mark.parametrize("limit", [2**40, 1e300, float("inf")])
def test_a_limit_beyond_every_area_drops_nothing(path, limit):
    mask = torch.rand(2, 32, 40, generator=torch.Generator().manual_seed(0)) < 0.4
    assert torch.equal(path(remove_large_components, mask, limit)[0], mask)


@paths
def test_areas_that_fill_an_image_are_ranked_exactly(path):
    """Area times pixels is beyond 32 bits, in integers and in floating point."""
    mask = torch.zeros(1, 256, 256, dtype=torch.bool)
    mask[:, :2, :2] = True
    mask[:, 4:, :127] = True  # four pixels less than the one beside it
    mask[:, 4:, 128:255] = True
    mask[:, 4, 0:4] = False
    kept, _ = path(keep_largest, mask)
    assert np.array_equal(kept[0].numpy(), largest(mask[0].numpy(), 1))
