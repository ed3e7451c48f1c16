import functools

import numpy as np
import pytest
import torch
from helpers.code_paths import as_accelerators, on_all_paths
from helpers.oracles import SQUARE
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from anatpaste_aug.functional import (
    clear_border,
    fill_holes,
    keep_largest,
    remove_large_components,
    remove_small_components,
)
from anatpaste_aug.functional.lungs import blocks


def largest(mask, count):
    """By SciPy, whose labels are in reading order."""
    labels, number = ndimage.label(mask, structure=SQUARE)
    area = np.bincount(labels.ravel(), minlength=number + 1)[1:]
    return np.isin(labels, 1 + np.argsort(-area, kind="stable")[:count])


def not_large(mask, limit):
    labels, _ = ndimage.label(mask, structure=SQUARE)
    return mask & (np.bincount(labels.ravel()) <= limit)[labels]


def assert_equal_to_scipy(function, masks, oracle, *arguments):
    """By the kernels, by torch's code, and by that for accelerators, whose number of rounds is fixed."""
    expected = np.stack([oracle(mask, *arguments) for mask in masks])
    for found, converged in on_all_paths(function, torch.from_numpy(masks), *arguments, return_converged=True):
        assert converged.all()
        assert np.array_equal(found.numpy(), expected)


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


@given(mask_batches())
@settings(max_examples=150, deadline=None)
def test_holes_are_those_of_scipy(masks):
    assert_equal_to_scipy(fill_holes, masks, ndimage.binary_fill_holes)


@given(mask_batches(), st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_the_largest_are_those_of_scipy(masks, count):
    assert_equal_to_scipy(keep_largest, masks, largest, count)


@given(mask_batches(), st.integers(0, 6) | st.floats(0, 60))
@settings(max_examples=150, deadline=None)
def test_the_large_ones_are_those_of_scipy(masks, limit):
    assert_equal_to_scipy(remove_large_components, masks, not_large, limit)


@pytest.mark.parametrize(
    "function",
    [
        clear_border,
        fill_holes,
        keep_largest,
        functools.partial(remove_large_components, max_size=999),
        functools.partial(remove_small_components, min_size=5),
    ],
    ids=["clear", "fill", "keep", "drop large", "drop small"],
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
    with as_accelerators():
        result, converged = function(masks, return_converged=True)
    assert converged.tolist() == [False, True]
    assert not result[0].any()
    assert result[1].any()


def test_areas_that_fill_an_image_are_ranked_exactly():
    """Area times pixels is beyond 32 bits, in integers and in floating point."""
    mask = np.zeros((1, 256, 256), dtype=bool)
    mask[:, :2, :2] = True
    mask[:, 4:, :127] = True  # four pixels less than the one beside it
    mask[:, 4:, 128:255] = True
    mask[:, 4, 0:4] = False
    assert_equal_to_scipy(keep_largest, mask, largest, 1)
