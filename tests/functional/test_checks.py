import numpy as np
import pytest
import torch
from helpers.batches import raises

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
    segment_lung_field,
    segment_lungs,
    to_gray,
)

BATCHES = [
    label_components,
    clear_border,
    fill_holes,
    keep_largest,
    lambda mask: remove_small_components(mask, 5),
    lambda mask: remove_large_components(mask, 5),
]
DISCS = [dilate_disk, erode_disk, open_disk, close_disk]
MASKS = [*BATCHES, dilate, erode, opening, *(lambda mask, f=f: f(mask, 2) for f in DISCS)]


@pytest.mark.parametrize("function", MASKS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
def test_masks_of_another_dtype_are_named(function, dtype):
    """Their bytes were read as pixels."""
    with raises(TypeError, f"masks must be boolean, got {dtype}; pass masks != 0"):
        function(torch.ones(2, 8, 8, dtype=dtype))


@pytest.mark.parametrize("function", BATCHES)
@pytest.mark.parametrize("shape", [(8,), (8, 8), (2, 1, 8, 8)])
def test_masks_of_another_shape_are_named(function, shape):
    with raises(ValueError, f"masks must have shape (B, H, W), got {shape}"):
        function(torch.ones(shape, dtype=torch.bool))


@pytest.mark.parametrize("function", DISCS)
def test_masks_of_one_axis_are_named(function):
    with raises(ValueError, "masks must have shape (..., H, W), got (8,)"):
        function(torch.ones(8, dtype=torch.bool), 2)


@pytest.mark.parametrize("function", DISCS)
@pytest.mark.parametrize("radius", [-1, -0.5, float("nan")])
def test_a_radius_that_is_none_is_named(function, radius):
    with raises(ValueError, f"radius must be at least 0, got {radius}"):
        function(torch.ones(8, 8, dtype=torch.bool), radius)


@pytest.mark.parametrize("radius", [100, 1e300, float("inf")])
def test_a_disc_larger_than_the_image_reaches_everything(radius):
    mask = torch.zeros(2, 8, 30, dtype=torch.bool)
    mask[1, 0, 0] = True
    assert dilate_disk(mask, radius).all((1, 2)).tolist() == [False, True]


@pytest.mark.parametrize("count", [0, -1])
def test_a_number_of_components_below_one_is_named(count):
    with raises(ValueError, f"count must be at least 1, got {count}"):
        keep_largest(torch.ones(1, 8, 8, dtype=torch.bool), count)


@pytest.mark.parametrize("function", [to_gray, segment_lungs, segment_lung_field])
def test_images_of_another_kind_are_named(function):
    for dtype in (torch.int16, torch.int32, torch.bool, torch.complex64):
        with raises(TypeError, f"images must be uint8 or floating point, got {dtype}; scale"):
            function(torch.ones(1, 1, 40, 40).to(dtype))
    wrong = ((40, 40), (1, 40, 40), (1, 2, 40, 40), (1, 4, 40, 40), (1, 40, 40, 3), (1, 1, 0, 40), (1, 3, 40, 0))
    for shape in (*wrong, (1, 1, 40), (1, 3, 40), (1, 1, 40, 40, 40)):
        with raises(ValueError, "images must have shape (B, 1, H, W) or (B, 3, H, W)", f"got {shape}"):
            function(torch.from_numpy(np.ones(shape)))


def test_the_smallest_images_are_taken():
    for shape in ((1, 1, 1, 1), (0, 1, 1, 2), (2, 3, 2, 1)):
        assert to_gray(torch.zeros(shape)).shape == (shape[0], *shape[2:])
