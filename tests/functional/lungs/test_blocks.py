import numpy as np
import pytest
import torch
from helpers.oracles import SQUARE, clear_border_8, remove_small
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from anatpaste_aug.functional.lungs import blocks
from anatpaste_aug.functional.lungs.blocks import label_blocks, link_blocks
from anatpaste_aug.functional.lungs.components import clear_border_of_squares, remove_small_squares


@st.composite
def points(draw, longest=40):
    """One to three boolean masks, from single points to full ones."""
    height, width = draw(st.integers(1, longest)), draw(st.integers(1, longest))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    density = draw(st.sampled_from([0.004, 0.02, 0.05, 0.1, 0.2, 0.5, 0.9]))
    return rng.random((draw(st.integers(1, 3)), height, width)) < density


def grown(mask, radius):
    """Dilated by a square of 2·radius + 1 pixels."""
    return ndimage.binary_dilation(mask, np.ones((2 * radius + 1,) * 2, dtype=bool)) if radius else mask


@given(points(14), st.integers(1, 7))
@settings(max_examples=100, deadline=None)
def test_links_are_those_of_the_closest_points(masks, reach):
    side = reach + 1
    found = link_blocks(torch.from_numpy(masks), reach).numpy()
    for mask, linked in zip(masks, found, strict=True):
        expected = np.zeros_like(linked)
        expected[1, 1] = True
        y, x = np.nonzero(mask)
        near = np.maximum(abs(y[:, None] - y), abs(x[:, None] - x)) <= reach
        for one, other in np.argwhere(near):
            row, column = y[one] // side, x[one] // side
            expected[1 + y[other] // side - row, 1 + x[other] // side - column, row, column] = True
        assert np.array_equal(linked, expected)


@given(points(), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_labels_of_blocks_are_the_components_of_the_grown_points(masks, radius):
    """On the CPU, and in the rounds of an accelerator."""
    reach = 2 * radius + 1
    linked = link_blocks(torch.from_numpy(masks), reach)
    rows, columns = linked.shape[-2:]
    labels, converged = label_blocks(linked)
    assert converged.all()
    assert labels.dtype == torch.int32
    fixed, converged = label_blocks(linked, blocks.label_rounds(rows, columns))
    assert converged.all()
    assert torch.equal(fixed, labels)
    for mask, label in zip(masks, labels.view(-1, rows, columns).numpy(), strict=True):
        component, _ = ndimage.label(grown(mask, radius), structure=SQUARE)
        y, x = np.nonzero(mask)
        pairs = np.unique(np.stack([component[y, x], label[y // (reach + 1), x // (reach + 1)]]), axis=1)
        assert pairs.shape[1] == len(np.unique(pairs[0])) == len(np.unique(pairs[1]))


@given(points(), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_clearing_the_border_of_squares(masks, radius):
    kept, converged = clear_border_of_squares(torch.from_numpy(masks), radius)
    assert converged.all()
    for mask, result in zip(masks, kept.numpy(), strict=True):
        # Of the points, all are left whose square is.
        assert np.array_equal(result, mask & clear_border_8(grown(mask, radius)))


@given(points(), st.integers(0, 300))
@settings(max_examples=100, deadline=None)
def test_dropping_small_components_of_squares(masks, min_size):
    dilated = np.stack([grown(mask, 2) for mask in masks])
    kept, converged = remove_small_squares(torch.from_numpy(masks), torch.from_numpy(dilated), min_size)
    assert converged.all()
    for mask, result in zip(dilated, kept.numpy(), strict=True):
        assert np.array_equal(result, remove_small(mask, min_size))


@pytest.mark.parametrize(("min_size", "stays"), [(25, True), (25.000_000_1, False), (26, False)])
def test_a_limit_just_above_an_area_drops_it(min_size, stays):
    """In float32 it would be the area itself."""
    square = torch.zeros(1, 20, 20, dtype=torch.bool)
    square[0, 8, 9] = True
    kept, _ = remove_small_squares(square, torch.from_numpy(grown(square[0].numpy(), 2))[None], min_size)
    assert kept.any() == stays


def test_too_few_rounds_are_told():
    row = torch.ones(2, 1, 400, dtype=torch.bool)
    row[1, 0, 2:] = False
    assert label_blocks(link_blocks(row, 1), 1)[1].tolist() == [False, True]
