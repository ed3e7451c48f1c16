"""Every error names the value and what to do about it."""

import numpy as np
import pytest
import torch
from batches import raises
from oracles import plain_params

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.functional import Intensities
from anatpaste_aug.paste import ANATPASTE, CUTPASTE, PasteConfig, draw_uniforms
from anatpaste_aug.validation import (
    check_apply,
    check_donors,
    check_finite,
    check_generator,
    check_images,
    check_intensities,
    check_params,
    check_range,
    check_region_mask,
    check_uniforms,
)

IMAGES = torch.zeros(2, 1, 64, 48)
UNIT = Intensities()


# images


@pytest.mark.parametrize("images", [np.zeros((1, 1, 64, 64)), [torch.zeros(1, 64, 64)], None])
def test_images_that_are_no_tensor(images):
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
def test_images_that_fit_are_returned_as_they_are(dtype, shape):
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
def test_a_little_overshoot_is_let_pass(value):
    check_range(IMAGES + value, UNIT)


def test_the_stated_range_is_what_counts():
    check_range(IMAGES - 1000, Intensities(-1024, 3071))
    check_range(IMAGES.byte() + 255, Intensities(0, 255))
    with raises(ValueError, "values in [255, 255]", "value_range=(0, 1)"):
        check_range(IMAGES.byte() + 255, UNIT)


def test_the_range_of_normalised_images_is_that_before_normalising():
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
def test_a_range_that_no_number_holds_is_named(value, dtype):
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


# region masks


@pytest.mark.parametrize("mask", [np.zeros((2, 64, 48)), "region"])
def test_region_masks_that_are_no_tensor(mask):
    with raises(TypeError, "region_mask must be a torch.Tensor", f"got {type(mask).__name__}"):
        check_region_mask(mask, IMAGES)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64])
def test_region_masks_of_a_wrong_dtype(dtype):
    with raises(TypeError, "region_mask must be boolean or integer", f"got {dtype}", "mask > 0.5"):
        check_region_mask(IMAGES.to(dtype), IMAGES)


@pytest.mark.parametrize("shape", [(1, 64, 48), (64, 48), (2, 48, 64), (2, 3, 64, 48)])
def test_region_masks_of_a_wrong_shape(shape):
    with raises(
        ValueError, "region_mask must have shape (2, 1, 64, 48) for images of shape (2, 1, 64, 48)", f"got {shape}"
    ):
        check_region_mask(torch.zeros(shape, dtype=torch.bool), IMAGES)


def test_region_masks_on_another_device():
    with raises(ValueError, "region_mask is on meta and the images on cpu"):
        check_region_mask(torch.zeros(2, 1, 64, 48, dtype=torch.bool, device="meta"), IMAGES)


def test_a_result_of_a_segmenter_is_called_so():
    with raises(TypeError, "the segmenter's result must be boolean"):
        check_region_mask(IMAGES, IMAGES, "the segmenter's result")


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64])
@pytest.mark.parametrize("shape", [(2, 64, 48), (2, 1, 64, 48)])
def test_region_masks_that_fit_become_boolean(dtype, shape):
    mask = torch.zeros(shape, dtype=dtype)
    mask[0, ..., 5, 5] = 1 if dtype == torch.bool else 200
    checked = check_region_mask(mask, IMAGES)
    assert checked.shape == (2, 1, 64, 48)
    assert checked.dtype == torch.bool
    assert checked.nonzero().tolist() == [[0, 0, 5, 5]]


# parameters and generators


def test_parameters_of_a_wrong_type():
    with raises(TypeError, "params must be the PasteParams of an earlier result, got dict"):
        check_params({}, IMAGES, ANATPASTE)


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("apply", None, "torch.bool of shape (B, K), as in an earlier result, got NoneType"),
        (
            "apply",
            torch.ones(2, dtype=torch.bool),
            "torch.bool of shape (B, K), as in an earlier result, got torch.bool",
        ),
        (
            "sigma",
            torch.ones(2, 1).double(),
            "torch.float32 of shape (B, K), as in an earlier result, got torch.float64",
        ),
        ("top", torch.ones(2, 1), "torch.int64 of shape (B, K), as in an earlier result, got torch.float32"),
        ("jitter_order", torch.ones(2, 4).long(), "torch.int64 of shape (B, K, 4), as in an earlier result, got"),
    ],
)
def test_fields_of_another_kind(field, value, found):
    with raises(ValueError, f"params.{field} must be {found}"):
        check_params(plain_params(2)._replace(**{field: value}), IMAGES, ANATPASTE)


def test_parameters_of_another_batch():
    with raises(ValueError, "params have 3 rows for 2 images", "params.rows(index)"):
        check_params(plain_params(3), IMAGES, ANATPASTE)


def test_parameters_of_another_number_of_patches():
    with raises(ValueError, "params have 1 patches per image, but the transform pastes 3"):
        check_params(plain_params(2), IMAGES, PasteConfig(patches=(1, 3)))


@pytest.mark.parametrize("name", ["source_top", "source_left", "center_y", "center_x", "scaled_height", "scaled_width"])
def test_parameters_of_larger_images(name):
    with raises(ValueError, "params were sampled for images larger than 64×48", "images of the original size"):
        check_params(plain_params(2, **{name: [1, 65]}), IMAGES, PasteConfig(resize=(1, 1, 1, 1)))


@pytest.mark.parametrize(
    "change",
    [
        {"height": 0, "scaled_height": 1},
        {"source_left": -1},
        {"margin": -1},
        {"sigma": -1.0},
        {"sigma": float("nan")},
        {"angle": float("inf")},
        {"opacity": 1.01},
        {"opacity": float("nan")},
        {"contrast": float("inf")},
        {"brightness": -0.1},
        {"hue": 0.51},
    ],
)
def test_parameters_that_no_image_can_take(change):
    good = {"scaled_height": 40, "angle": 0, "opacity": 1, "contrast": 1, "brightness": 1, "hue": 0}
    params = plain_params(2, **{name: [good.get(name, 5), value] for name, value in change.items()})
    with raises(ValueError, "params [1] have a size below 1, or a number out of its range; sample new params"):
        check_params(params, IMAGES, ANATPASTE)


def test_an_order_that_is_none():
    params = plain_params(2, jitter_order=[[0, 1, 2, 3], [0, 1, 2, 2]])
    with raises(ValueError, "params [1] have a size below 1, or a number out of its range"):
        check_params(params, IMAGES, ANATPASTE)


@pytest.mark.parametrize("donor", [-1, 3])
def test_donors_that_are_not_there(donor):
    params = plain_params(2, donor=[0, donor])
    with raises(
        ValueError, f"params cut patches from image {max(donor, 0)}, but there are 3", "replay the whole batch"
    ):
        check_params(params, IMAGES, ANATPASTE, IMAGES[:1].expand(3, -1, -1, -1))
    check_params(params, IMAGES, ANATPASTE)  # each image is its own


@pytest.mark.parametrize(
    ("what", "change", "able"),
    [
        ("rotate", {"angle": 30.0}, {"size": "scar"}),
        ("resize", {"scaled_height": 20}, {"resize": (1, 0.5, 0.5, 2)}),
        ("jitter", {"contrast": 1.05}, {"jitter": 0.1}),
        ("jitter", {"hue": 0.05}, {"jitter": 0.1}),
    ],
)
def test_parameters_of_another_recipe(what, change, able):
    params = plain_params(2, **change)
    with raises(ValueError, f"params {what} patches, which this transform never does", "settings"):
        check_params(params, IMAGES, PasteConfig(jitter=0.0))
    check_params(params, IMAGES, PasteConfig(**{"jitter": 0.0} | able))


def test_parameters_on_another_device():
    params = plain_params(2)
    elsewhere = type(params)(*(field.to("meta") for field in params))
    with raises(ValueError, "params is on meta and the images on cpu", "create it on cpu"):
        check_params(elsewhere, IMAGES, ANATPASTE)


def test_parameters_that_fit():
    check_params(plain_params(2), IMAGES, ANATPASTE)


@pytest.mark.parametrize("donors", [None, [IMAGES], np.zeros((2, 1, 64, 48))])
def test_donors_that_are_no_tensor(donors):
    with raises(TypeError, "donors must be a tensor N×C×H×W or a callable that returns one", type(donors).__name__):
        check_donors(donors, IMAGES)


@pytest.mark.parametrize(
    "donors", [IMAGES[0], IMAGES[:0], IMAGES.double(), torch.zeros(2, 1, 48, 64), torch.zeros(2, 3, 64, 48)]
)
def test_donors_that_are_not_like_the_images(donors):
    with raises(
        ValueError, "donors must be images like the augmented ones, torch.float32 of shape (N, 1, 64, 48), got"
    ):
        check_donors(donors, IMAGES)


def test_donors_on_another_device():
    with raises(ValueError, "donors is on meta and the images on cpu"):
        check_donors(IMAGES.to("meta"), IMAGES)


def test_a_generator_of_a_wrong_type():
    with raises(TypeError, "generator must be a torch.Generator, got int"):
        check_generator(3, IMAGES)


def test_a_generator_on_another_device():
    with raises(ValueError, "generator is on cpu and the images on meta", "create it on meta"):
        check_generator(torch.Generator(), IMAGES.to("meta"))


@pytest.mark.parametrize("apply", [[True, False], torch.ones(2), torch.ones(3, dtype=torch.bool), torch.tensor(True)])
def test_a_choice_of_images_that_is_no_boolean_for_each(apply):
    with raises(ValueError, "apply must be a boolean tensor of shape (2,)", "got"):
        check_apply(apply, IMAGES)


@pytest.mark.parametrize("uniforms", [None, torch.zeros(2, 25), torch.zeros(3, 1, 25), torch.zeros(2, 1, 25).int()])
def test_random_numbers_that_are_none(uniforms):
    message = "uniforms must be floating point of shape (2, 1, 25), as from draw_uniforms(config, 2)"
    with raises(ValueError, message, "got"):
        check_uniforms(uniforms, IMAGES, (2, 1, 25))


def test_choices_and_random_numbers_on_another_device():
    with raises(ValueError, "apply is on meta and the images on cpu"):
        check_apply(torch.ones(2, dtype=torch.bool, device="meta"), IMAGES)
    with raises(ValueError, "uniforms is on meta and the images on cpu"):
        check_uniforms(torch.zeros(2, 1, 25, device="meta"), IMAGES, (2, 1, 25))


def test_choices_and_random_numbers_that_fit():
    check_apply(torch.tensor([True, False]), IMAGES)
    check_uniforms(draw_uniforms(CUTPASTE, 2), IMAGES, (2, 1, 25))


# intensities


@pytest.mark.parametrize("value", [5, "black", (0, float("inf")), (float("nan"), 1)])
def test_a_value_range_that_is_no_pair_of_numbers(value):
    with raises(ValueError, "value_range must be a sequence of finite numbers", f"got {value!r}"):
        check_intensities(value, None, None)


@pytest.mark.parametrize("value", [(1, 0), (0, 0), (0, 1, 2), (0,)])
def test_a_value_range_of_no_length(value):
    with raises(ValueError, "value_range must be (black, white) with black < white", f"got {value!r}"):
        check_intensities(value, None, None)


@pytest.mark.parametrize(("mean", "std"), [([0.5], None), (None, [0.5])])
def test_mean_without_std(mean, std):
    with raises(ValueError, "pass both mean and std or neither", f"got mean={mean!r} and std={std!r}"):
        check_intensities(None, mean, std)


@pytest.mark.parametrize(
    ("mean", "std"), [([0.5, 0.5], [0.5, 0.5]), ([0.5], [0.5, 0.5, 0.5]), ([0.5], [0.0]), ([0.5], [-1.0]), ([], [])]
)
def test_mean_and_std_that_are_not_one_number_per_channel(mean, std):
    with raises(ValueError, "mean and std need one number per channel (1 or 3), std above 0", repr(mean), repr(std)):
        check_intensities(None, mean, std)


@pytest.mark.parametrize(("mean", "std", "name"), [(0.5, [1], "mean"), ([0], 0.5, "std"), ([0], [float("inf")], "std")])
def test_mean_and_std_that_are_no_finite_numbers(mean, std, name):
    with raises(
        ValueError, f"{name} must be a sequence of finite numbers", f"got {(mean if name == 'mean' else std)!r}"
    ):
        check_intensities(None, mean, std)


def test_intensities_that_fit_become_floats():
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
