"""Checks of images and intensities: every error names the value and what to do about it."""

import numpy as np
import pytest
import torch
from helpers.batches import raises

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.functional import Intensities
from anatpaste_aug.validation import check_finite, check_images, check_intensities, check_range

IMAGES = torch.zeros(2, 1, 64, 48)
UNIT = Intensities()


@pytest.mark.parametrize("images", [np.zeros((1, 1, 64, 64)), [torch.zeros(1, 64, 64)], None])
def test_images_that_are_not_a_tensor(images):
    with raises(TypeError, "images must be a torch.Tensor of shape (B, C, H, W)", f"got {type(images).__name__}"):
        check_images(images)


@pytest.mark.parametrize(
    "shape", [(64, 64), (1, 64, 64), (1, 2, 64, 64), (1, 64, 64, 3), (1, 4, 64, 64), (1, 1, 1, 64, 64)]
)
def test_images_of_a_wrong_shape(shape):
    with raises(ValueError, "images must have shape (B, 1, H, W) or (B, 3, H, W)", f"got {shape}", "unsqueeze"):
        check_images(torch.zeros(shape))


@pytest.mark.parametrize("size", [(31, 64), (64, 31), (0, 64), (4096, 4097)])
def test_images_of_a_wrong_size(size):
    with raises(ValueError, "at least 32×32 and at most 16777216 pixels", f"got {size[0]}×{size[1]}", "resize"):
        check_images(torch.zeros(1, 1, 1, 1).expand(1, 1, *size))


@pytest.mark.parametrize("dtype", [torch.bool, torch.int8, torch.int16, torch.int64, torch.complex64, torch.uint16])
def test_images_of_a_wrong_dtype(dtype):
    with raises(TypeError, "images must be uint8 or floating point", f"got {dtype}", "scale"):
        check_images(torch.zeros(1, 1, 64, 64, dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(0, 1, 32, 32), (2, 3, 32, 1000)])
def test_valid_images_are_returned(dtype, shape):
    images = torch.zeros(shape, dtype=dtype)
    assert check_images(images) is images


# values


@pytest.mark.parametrize("value", [-0.011, 1.02, 2.0, 255.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_values_outside_the_range(value, dtype):
    images = IMAGES.to(dtype).clone()
    images[1, 0, 3, 3] = value
    found = float(images[1, 0, 3, 3])
    with raises(ValueError, "images have values in [", f"{found:g}", "outside value_range=(0, 1)", "mean= and std="):
        check_range(images, UNIT)


@pytest.mark.parametrize("value", [-0.009, 0.0, 1.0, 1.009])
def test_a_small_overshoot_is_allowed(value):
    check_range(IMAGES + value, UNIT)


def test_the_given_range_is_checked():
    check_range(IMAGES - 1000, Intensities(-1024, 3071))
    check_range(IMAGES.byte() + 255, Intensities(0, 255))
    with raises(ValueError, "values in [255, 255]", "value_range=(0, 1)"):
        check_range(IMAGES.byte() + 255, UNIT)


def test_the_range_of_normalized_images_is_checked_before_normalization():
    normal = Intensities(0, 1, (0.5,), (0.25,))
    check_range(torch.full((1, 1, 64, 64), 2.0), normal)
    with raises(ValueError, "values in [1.25, 1.25]", "(0, 1) after undoing mean=(0.5,) and std=(0.25,)"):
        check_range(torch.full((1, 1, 64, 64), 3.0), normal)


@pytest.mark.parametrize("check", [check_finite, lambda images: check_range(images, UNIT)])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite(check, value):
    images = torch.zeros(5, 1, 64, 48)
    images[[1, 4], 0, 9, 9] = value
    with raises(ValueError, "images [1, 4] of the batch contain NaN or infinity; repair or drop them"):
        check(images)


@pytest.mark.parametrize(("value", "dtype"), [(3e38, torch.float32), (1e308, torch.float64)])
def test_a_span_that_overflows_is_an_error(value, dtype):
    images = torch.zeros(2, 3, 64, 48, dtype=dtype)
    images[1, 2, 3, 4] = value
    check_finite(images)
    images[0, 1, 2, 3] = -value
    with raises(ValueError, f"images span -{value:g} to {value:g}, more than"):
        check_finite(images)


@pytest.mark.filterwarnings("error")
def test_images_that_need_a_gradient_are_checked_without_a_warning():
    check_range(IMAGES.clone().requires_grad_(), UNIT)


def test_an_empty_batch_is_in_any_range():
    check_range(torch.zeros(0, 1, 64, 64), UNIT)


# intensities


@pytest.mark.parametrize(
    ("value_range", "mean", "std", "message"),
    [
        (5, None, None, "value_range must be a sequence of finite numbers, got 5"),
        ((0, float("inf")), None, None, "value_range must be a sequence of finite numbers, got (0, inf)"),
        ((1, 0), None, None, "value_range must be (black, white) with black < white, got (1, 0)"),
        ((0, 0), None, None, "value_range must be (black, white) with black < white, got (0, 0)"),
        ((0, 1, 2), None, None, "value_range must be (black, white) with black < white, got (0, 1, 2)"),
        (None, [0.5], None, "pass both mean and std or neither"),
        (None, None, [0.5], "pass both mean and std or neither"),
        (None, [0.5] * 2, [0.5] * 2, "mean and std need one number per channel (1 or 3), std above 0"),
        (None, [0.5], [0.5] * 3, "mean and std need one number per channel (1 or 3), std above 0"),
        (None, [0.5], [0.0], "mean and std need one number per channel (1 or 3), std above 0"),
        (None, 0.5, [1], "mean must be a sequence of finite numbers, got 0.5"),
        (None, [0], [float("inf")], "std must be a sequence of finite numbers, got [inf]"),
    ],
)
def test_impossible_intensities(value_range, mean, std, message):
    with raises(ValueError, message):
        check_intensities(value_range, mean, std)


def test_valid_intensities_become_floats():
    assert check_intensities(None, None, None) == (None, None, None)
    assert check_intensities((-1, 1), None, None) == ((-1.0, 1.0), None, None)
    assert check_intensities([0, 1], [0.5], (1,)) == ((0.0, 1.0), (0.5,), (1.0,))
    mean, std = np.array([0.5, 0.4, 0.25]), torch.tensor([0.25, 0.5, 1.0])
    assert check_intensities(None, mean, std) == (None, (0.5, 0.4, 0.25), (0.25, 0.5, 1.0))


@pytest.mark.parametrize("value_range", [(-50, 255), (0, 256)])
def test_a_range_that_uint8_cannot_hold_is_an_error(value_range):
    with pytest.raises(ValueError, match=r"value_range of uint8 images must lie in \[0, 255\]"):
        AnatPasteTransform(value_range=value_range).augment(torch.zeros(1, 1, 32, 32, dtype=torch.uint8))


def test_a_range_that_half_precision_cannot_hold_is_an_error():
    """What is pasted would be infinite."""
    images = torch.zeros(1, 1, 32, 32, dtype=torch.float16)
    with pytest.raises(ValueError, match=r"value_range=\(-1e\+30, 1e\+30\) exceeds the range of torch\.float16"):
        AnatPasteTransform(value_range=(-1e30, 1e30)).augment(images)
