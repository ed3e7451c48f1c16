"""What the settings of the sampler do, what its random numbers depend on, and which settings are impossible."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from paste.test_anatpaste import assert_uniform, drawn

from anatpaste_aug.paste import PasteConfig, PasteParams

# sizes, settings and seeds


@pytest.mark.parametrize(
    ("size", "margin"), [((256, 256), 10), ((512, 512), 20), ((128, 512), 10), ((224, 224), 9), ((32, 32), 1)]
)
def test_lengths_scale_with_the_square_root_of_the_area(size, margin):
    """Tolerance: 1e-6 of the value."""
    params, reference = drawn(20, *size), drawn(20, 256, 256)
    assert params.margin.unique().tolist() == [margin]
    torch.testing.assert_close(params.sigma, reference.sigma * math.sqrt(size[0] * size[1]) / 256, rtol=1e-6, atol=0)


def test_sides_are_clamped_to_the_image():
    params = drawn(500, 32, 64, area=(0.5, 1.0), aspect_ratio=(0.1, 10.0))
    assert params.height.max() == 32
    assert params.width.max() == 64
    tiny = drawn(500, 32, 32, area=(1e-9, 1e-8))
    assert tiny.height.unique().tolist() == tiny.width.unique().tolist() == [1]


def test_without_blur_all_else_is_unchanged():
    with_blur, without = drawn(50, 256, 256), drawn(50, 256, 256, blur=False)
    assert not without.sigma.any()
    for first, second in zip(with_blur, without._replace(sigma=with_blur.sigma), strict=True):
        assert torch.equal(first, second)


def test_without_segmentation_all_but_the_centre_is_unchanged():
    mask = torch.ones(50, 1, 256, 256, dtype=torch.bool)
    bound, free = drawn(50, 256, 256, mask), drawn(50, 256, 256)
    for name, first, second in zip(PasteParams._fields, bound, free, strict=True):
        assert torch.equal(first, second) != (name in ("top", "left", "anywhere"))


def test_settings_replace_the_ranges_of_the_paper():
    params = drawn(area=(0.3, 0.3), aspect_ratio=(2.0, 2.0), jitter=0.0, margin=0, opacity=(0.2, 0.4), sigma=(1.0, 2.0))
    assert params.height.unique().tolist() == [round(1024 * math.sqrt(0.6))]
    assert params.width.unique().tolist() == [round(1024 * math.sqrt(0.15))]
    assert params.margin.unique().tolist() == [0]
    for name in ("brightness", "contrast", "saturation"):
        assert getattr(params, name).unique().tolist() == [1]
    assert not params.hue.any()
    assert_uniform(params.opacity, 0.2, 0.4)
    assert_uniform(params.sigma / 4, 1, 2)


# settings that are impossible


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("p", -0.1, r"in \[0, 1\]"),
        ("p", 1.5, r"in \[0, 1\]"),
        ("p", math.nan, r"in \[0, 1\]"),
        ("p", "0.5", "a number"),
        ("p", None, "a number"),
        ("p", (0.1, 0.2), "a number"),
        ("jitter", 0.6, r"in \[0, 0.5\]"),
        ("margin", -1, r"in \[0, 1e\+06\]"),
        ("margin", math.inf, r"in \[0, 1e\+06\]"),
        ("margin", 1e300, r"in \[0, 1e\+06\]"),
        ("area", (0.2, 0.1), "low <= high"),
        ("area", (0, 0.1), r"in \(0, 1\]"),
        ("area", (0.1, 1.1), r"in \(0, 1\]"),
        ("area", 0.1, r"\(low, high\)"),
        ("area", (0.1, 0.2, 0.3), r"\(low, high\)"),
        ("area", ("0.1", "0.2"), r"\(low, high\)"),
        ("area", "ab", r"\(low, high\)"),
        ("area", (math.nan, 0.1), r"in \(0, 1\]"),
        ("aspect_ratio", (0, 1), r"in \[1e-06, 1e\+06\]"),
        ("aspect_ratio", (1e-300, 1), r"in \[1e-06, 1e\+06\]"),
        ("aspect_ratio", (1, math.inf), r"in \[1e-06, 1e\+06\]"),
        ("opacity", (0.0, 1.0), r"in \(0, 1\]"),
        ("opacity", (0.5, 1.1), r"in \(0, 1\]"),
        ("sigma", (-1, 2), r"in \[0, 1e\+06\]"),
        ("sigma", (0, 1e39), r"in \[0, 1e\+06\]"),
        ("sigma", (1, math.nan), r"in \[0, 1e\+06\]"),
        ("scar_width", (16, 2), "low <= high"),
        ("scar_length", (0, 25), r"in \(0, 1e\+06\]"),
        ("rotation", (-200, 45), r"in \[-180, 180\]"),
        ("rotation", 45, r"\(low, high\)"),
        ("half_width", (0.1, 0.6), r"in \(0, 0.5\]"),
        ("gamma", (0.1,), r"\(offset, scale\) in \[0, 1\], \[0, 1\]"),
        ("resize", (1, 0.5), r"\(mean, sd, low, high\) in .* or None"),
        ("resize", (1, 0.5, 1.3, 0.7), "low <= high"),
        ("logistic", (1, -1), r"\(slope, midpoint\)"),
        ("patches", (0, 1), "whole numbers with 1 <= low <= high <= 100"),
        ("patches", (2, 1), "whole numbers"),
        ("patches", (1, 1.5), "whole numbers"),
        ("patches", 2, r"\(low, high\)"),
        ("place_tries", 0, r"a whole number in \[1, 1000\]"),
        ("foreground", 256, r"in \[0, 255\]"),
        ("min_overlap", 1.1, r"in \[0, 1\]"),
        ("min_pixels", -1, "a number in"),
        ("source", "other", "one of 'same', 'batch', 'donors'"),
        ("size", None, "one of 'area', 'scar', 'area_or_scar', 'half_width', 'gamma'"),
        ("blend", "Poisson", "one of 'alpha', 'poisson', 'poisson_stronger', 'poisson_mixed'"),
        ("blur", 1, "True or False"),
    ],
)
def test_an_impossible_setting_is_named_with_what_is_allowed(name, value, allowed):
    with pytest.raises(ValueError, match=f"^{name} must be .*{allowed}") as caught:
        PasteConfig(**{name: value})
    assert f"got {value!r}" in str(caught.value)


def test_numbers_of_numpy_and_lists_are_taken():
    config = PasteConfig(p=np.float32(0.5), area=[np.float32(0.1), np.float64(0.2)], margin=np.int64(3))
    assert drawn(4, 64, 64, **dataclasses.asdict(config)).margin.tolist() == [1] * 4


def test_settings_cannot_be_changed_behind_the_check():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PasteConfig().p = 2


def test_a_cut_at_the_same_place_is_neither_resized_nor_rotated():
    for changes in ({"resize": (1.0, 0.5, 0.7, 1.3)}, {"size": "scar"}):
        with pytest.raises(ValueError, match='cut="same" does not resize or rotate patches; pass resize=None'):
            PasteConfig(cut="same", **changes)
    assert PasteConfig(cut="same", size="scar", rotation=(0, 0)).cut == "same"
