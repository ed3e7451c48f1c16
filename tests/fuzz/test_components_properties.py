"""Morphology and components of boolean masks of any size, down to none."""

import math
from functools import partial

import torch
from fuzz.invariants import untouched
from fuzz.strategies import Masks, masks
from helpers.code_paths import on_both_paths
from hypothesis import example, given
from hypothesis import strategies as st

from anatpaste_aug.functional import (
    clear_border,
    close_disk,
    dilate,
    dilate_disk,
    erode,
    erode_disk,
    fill_holes,
    keep_largest,
    label_components,
    open_disk,
    opening,
    remove_large_components,
    remove_small_components,
)

radii = st.sampled_from([0, 1, 1.5, 3, 1e4]) | st.floats(0, 9)
limits = st.sampled_from([0, 1, 1.5, 2**40, 1e300]) | st.floats(-3, 200)


def kept(function, mask, *arguments):
    """The result of a function on both paths: equal, converged, and that of each image alone."""
    with untouched(mask):
        (found, converged), (other, _) = on_both_paths(partial(function, return_converged=True), mask, *arguments)
    assert (found.shape, found.dtype) == (mask.shape, torch.bool)
    assert converged.shape == mask.shape[:1]
    assert converged.all()
    assert torch.equal(found, other)
    for one, image in zip(found, mask, strict=True):
        assert torch.equal(function(image.unsqueeze(0), *arguments)[0], one)
    return found


@given(masks)
@example(Masks((0, 0), ("full",)))
def test_labels_name_the_first_pixel_of_each_component(recipe):
    mask = recipe.masks()
    with untouched(mask):
        (labels, converged), (other, _) = on_both_paths(partial(label_components, return_converged=True), mask)
    pixels = mask[0].numel() if len(mask) else mask.shape[1] * mask.shape[2]
    assert (labels.shape, labels.dtype) == ((len(mask), pixels), torch.int64)
    assert converged.all()
    assert torch.equal(labels, other)
    assert torch.equal(labels < pixels, mask.flatten(1))
    named = labels[labels < pixels]
    assert torch.equal(labels.gather(1, labels.clamp_max(max(pixels - 1, 0)))[labels < pixels], named)
    assert (labels <= torch.arange(pixels))[labels < pixels].all()


@given(masks, limits)
@example(Masks((1, 1), ("full",)), 2**40)
@example(Masks((5, 5), ("dense",)), 1e300)
def test_small_and_large_components_are_all_there_are(recipe, limit):
    mask = recipe.masks()
    large = kept(remove_small_components, mask, math.floor(limit) + 1)
    small = kept(remove_large_components, mask, limit)
    assert torch.equal(small | large, mask)
    assert not (small & large).any()
    assert torch.equal(kept(remove_small_components, large, limit), large)


@given(masks, st.integers(1, 5) | st.just(2**40))
def test_the_largest_components_are_some_of_the_mask(recipe, count):
    mask = recipe.masks()
    largest = kept(keep_largest, mask, count)
    assert not (largest & ~mask).any()
    assert torch.equal(keep_largest(largest, count), largest)
    assert torch.equal(largest.flatten(1).any(1), mask.flatten(1).any(1))


@given(masks)
def test_nothing_at_the_border_is_left_and_no_hole(recipe):
    mask = recipe.masks()
    inside = kept(clear_border, mask)
    assert not (inside & ~mask).any()
    for line in (inside[:, :1], inside[:, -1:], inside[:, :, :1], inside[:, :, -1:]):
        assert not line.any()
    assert torch.equal(clear_border(inside), inside)
    filled = kept(fill_holes, mask)
    assert not (mask & ~filled).any()
    assert torch.equal(fill_holes(filled), filled)


@given(masks)
@example(Masks((0, 5), ("full",)))
def test_squares_are_dual_and_ordered(recipe):
    mask = recipe.masks()
    with untouched(mask):
        larger, smaller = dilate(mask), erode(mask)
    assert torch.equal(larger, ~erode(~mask))
    assert not (mask & ~larger).any()
    assert not (smaller & ~mask).any()
    opened = opening(mask)
    assert not (opened & ~mask).any()
    assert torch.equal(opening(opened), opened)


@given(masks, radii)
def test_disks_are_dual_and_ordered(recipe, radius):
    mask = recipe.masks()
    with untouched(mask):
        larger, smaller = dilate_disk(mask, radius), erode_disk(mask, radius)
        closed, opened = close_disk(mask, radius), open_disk(mask, radius)
    assert torch.equal(larger, ~erode_disk(~mask, radius))
    for inner, outer in ((smaller, opened), (opened, mask), (mask, closed), (closed, larger)):
        assert (inner.shape, inner.dtype) == (mask.shape, torch.bool)
        assert not (inner & ~outer).any()
    assert torch.equal(open_disk(opened, radius), opened)
    assert torch.equal(close_disk(closed, radius), closed)
    for image, one in zip(mask, larger, strict=True):
        assert torch.equal(dilate_disk(image, radius), one)
