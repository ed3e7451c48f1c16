"""Checks of masks, donors and random numbers: every error names the value and what to do about it."""

import numpy as np
import pytest
import torch
from helpers.batches import raises

from anatpaste_aug.paste import CUTPASTE, draw_uniforms
from anatpaste_aug.validation import check_apply, check_donors, check_generator, check_region_mask, check_uniforms

IMAGES = torch.zeros(2, 1, 64, 48)


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


def test_the_error_names_the_segmenter():
    with raises(TypeError, "the segmenter's result must be boolean"):
        check_region_mask(IMAGES, IMAGES, "the segmenter's result")


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64])
@pytest.mark.parametrize("shape", [(2, 64, 48), (2, 1, 64, 48)])
def test_valid_region_masks_become_boolean(dtype, shape):
    mask = torch.zeros(shape, dtype=dtype)
    mask[0, ..., 5, 5] = 1 if dtype == torch.bool else 200
    checked = check_region_mask(mask, IMAGES)
    assert checked.shape == (2, 1, 64, 48)
    assert checked.dtype == torch.bool
    assert checked.nonzero().tolist() == [[0, 0, 5, 5]]


@pytest.mark.parametrize("donors", [None, [IMAGES], np.zeros((2, 1, 64, 48))])
def test_donors_that_are_not_a_tensor(donors):
    with raises(TypeError, "donors must be a tensor N×C×H×W or a callable that returns one", type(donors).__name__):
        check_donors(donors, IMAGES)


@pytest.mark.parametrize(
    "donors", [IMAGES[0], IMAGES[:0], IMAGES.double(), torch.zeros(2, 1, 48, 64), torch.zeros(2, 3, 64, 48)]
)
def test_donors_that_differ_from_the_images(donors):
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
def test_apply_must_be_one_boolean_per_image(apply):
    with raises(ValueError, "apply must be a boolean tensor of shape (2,)", "got"):
        check_apply(apply, IMAGES)


@pytest.mark.parametrize("uniforms", [None, torch.zeros(2, 25), torch.zeros(3, 1, 25), torch.zeros(2, 1, 25).int()])
def test_uniforms_of_a_wrong_shape_or_dtype(uniforms):
    message = "uniforms must be floating point of shape (2, 1, 25), as from draw_uniforms(config, 2)"
    with raises(ValueError, message, "got"):
        check_uniforms(uniforms, IMAGES, (2, 1, 25))


def test_apply_and_uniforms_on_another_device():
    with raises(ValueError, "apply is on meta and the images on cpu"):
        check_apply(torch.ones(2, dtype=torch.bool, device="meta"), IMAGES)
    with raises(ValueError, "uniforms is on meta and the images on cpu"):
        check_uniforms(torch.zeros(2, 1, 25, device="meta"), IMAGES, (2, 1, 25))


def test_valid_apply_and_uniforms():
    check_apply(torch.tensor([True, False]), IMAGES)
    check_uniforms(draw_uniforms(CUTPASTE, 2), IMAGES, (2, 1, 25))
