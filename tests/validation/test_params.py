"""Checks of parameters that are replayed: every error names the value and what to do about it."""

import pytest
import torch
from helpers.batches import raises
from helpers.oracles import plain_params

from anatpaste_aug.paste import ANATPASTE, PasteConfig
from anatpaste_aug.validation import check_params

IMAGES = torch.zeros(2, 1, 64, 48)


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
def test_fields_of_a_wrong_dtype_or_shape(field, value, found):
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
def test_parameters_out_of_range(change):
    good = {"scaled_height": 40, "angle": 0, "opacity": 1, "contrast": 1, "brightness": 1, "hue": 0}
    params = plain_params(2, **{name: [good.get(name, 5), value] for name, value in change.items()})
    with raises(ValueError, "params [1] have a size below 1, or a number out of its range; sample new params"):
        check_params(params, IMAGES, ANATPASTE)


def test_an_order_that_is_no_permutation():
    params = plain_params(2, jitter_order=[[0, 1, 2, 3], [0, 1, 2, 2]])
    with raises(ValueError, "params [1] have a size below 1, or a number out of its range"):
        check_params(params, IMAGES, ANATPASTE)


@pytest.mark.parametrize("donor", [-1, 3])
def test_donors_that_do_not_exist(donor):
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


def test_valid_parameters():
    check_params(plain_params(2), IMAGES, ANATPASTE)
