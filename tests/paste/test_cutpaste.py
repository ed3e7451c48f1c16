"""The distributions of CutPaste's parameters."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from anatpaste_aug.paste import CUTPASTE, sample_params
from anatpaste_aug.paste.params import rotated_size

SIZES = {"normal": "area", "scar": "scar", "union": "area_or_scar"}

COUNT = 6000
P_VALUE = 1e-3  # the seeds are fixed: a test that passes once passes always


def drawn(count=COUNT, height=1024, width=1024, seed=0, variant="normal", **changes):
    """Parameters of large images, where whole pixels are fine enough for a continuous distribution."""
    config = dataclasses.replace(CUTPASTE, size=SIZES[variant], **changes)
    generator = torch.Generator().manual_seed(seed)
    return sample_params(config, (count, 1, height, width), generator=generator).patch(0)


def assert_uniform(values, low, high):
    assert stats.kstest(values.double().numpy(), stats.uniform(low, high - low).cdf).pvalue > P_VALUE


def smeared(whole, seed=1):
    """A uniform integer plus a uniform fraction is uniform."""
    return whole + torch.rand(len(whole), generator=torch.Generator().manual_seed(seed))


# distributions


def test_the_sides_and_the_angle_of_a_scar_are_uniform():
    # 4096 px are sixteen times 256 px. Half a pixel on each side is the rounding.
    params = drawn(height=4096, width=4096, variant="scar")
    assert_uniform(smeared(params.width) - 0.5, 2 * 16, 16 * 16)
    assert_uniform(smeared(params.height) - 0.5, 10 * 16, 25 * 16)
    assert_uniform(params.angle, -45, 45)


def test_at_256_pixels_the_sides_of_a_scar_are_those_of_the_paper():
    params = drawn(height=256, width=256, variant="scar")
    assert params.width.unique().tolist() == list(range(2, 17))
    assert params.height.unique().tolist() == list(range(10, 26))


def test_half_of_a_union_are_scars():
    params = drawn(variant="union")
    assert stats.binomtest(int((params.angle != 0).sum()), COUNT).pvalue > P_VALUE


def test_a_union_draws_what_its_variants_draw():
    both, normal, scar = (drawn(200, variant=variant) for variant in ("union", "normal", "scar"))
    for name, field in both._asdict().items():
        chosen = (both.angle != 0).view(-1, *[1] * (field.ndim - 1))
        assert torch.equal(field, torch.where(chosen, getattr(scar, name), getattr(normal, name)))


@pytest.mark.parametrize("variant", ["normal", "scar"])
def test_both_places_are_uniform_over_where_the_patch_fits(variant):
    params = drawn(height=768, variant=variant)
    high, wide = rotated_size(params.height, params.width, params.angle)
    for start, side, total in (
        (params.source_top, params.height, 768),
        (params.source_left, params.width, 1024),
        (params.top, high, 768),
        (params.left, wide, 1024),
    ):
        assert (start >= 0).all()
        assert (start + side <= total).all()
        assert_uniform(smeared(start) / (total - side + 1), 0, 1)


def test_source_and_target_are_independent():
    params = drawn()
    assert abs(np.corrcoef(params.source_top, params.top)[0, 1]) < 0.2  # both depend on the height
    small = drawn(variant="scar")
    assert abs(np.corrcoef(small.source_top, small.top)[0, 1]) < 4 / math.sqrt(COUNT)


# sizes


def test_a_rotated_size_is_that_of_pillow():
    generator = torch.Generator().manual_seed(0)
    height, width = torch.randint(1, 60, (2, 2000), generator=generator)
    angle = torch.rand(2000, generator=generator) * 360 - 180
    angle[:20], angle[20:40] = 0, 45
    high, wide = rotated_size(height, width, angle)
    for h, w, degrees, expected in zip(
        height.tolist(), width.tolist(), angle.tolist(), zip(wide.tolist(), high.tolist(), strict=True), strict=True
    ):
        assert Image.new("1", (w, h)).rotate(degrees, expand=True).size == expected


@pytest.mark.parametrize("size", [(32, 32), (128, 512), (224, 224), (1024, 1024)])
def test_lengths_scale_with_the_square_root_of_the_area(size):
    """Tolerance: half a pixel, for the rounding to whole ones."""
    scale = math.sqrt(size[0] * size[1]) / 256
    params, fine = drawn(50, *size, variant="scar"), drawn(50, 8192, 8192, variant="scar")
    for name in ("height", "width"):
        exact = getattr(fine, name) / 32 * scale
        assert ((getattr(params, name) - exact.clamp(1)).abs() <= 0.5 + scale / 32).all()


def test_a_scar_that_fits_nowhere_is_centred():
    params = drawn(500, 40, 40, variant="scar", scar_width=(100, 250), scar_length=(200, 250), rotation=(40, 45))
    high, wide = rotated_size(params.height, params.width, params.angle)
    assert (high > 40).any()
    assert torch.equal(params.top[high > 40], (40 - high[high > 40]) // 2)
    assert torch.equal(params.left[wide > 40], (40 - wide[wide > 40]) // 2)


@pytest.mark.parametrize("variant", ["normal", "scar", "union"])
@pytest.mark.parametrize("u", [0.0, 1 - 2**-24])
def test_the_ends_of_the_unit_interval_give_values_in_range(u, variant, monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda size, **_: torch.full(size, u))
    params = drawn(1, 100, 64, variant=variant, area=(0.02, 0.5), aspect_ratio=(1.0, 1.0))
    high, wide = rotated_size(params.height, params.width, params.angle)
    for start, side, total in (
        (params.source_top, params.height, 100),
        (params.source_left, params.width, 64),
        (params.top, high, 100),
        (params.left, wide, 64),
    ):
        assert side >= 1
        assert start == (0 if u == 0 else total - side)
    assert (params.angle != 0) == (variant == "scar" or (variant == "union" and u < 0.5))
    assert not drawn(1, 100, 64, variant=variant, p=0.0).apply
    assert drawn(1, 100, 64, variant=variant, p=1.0).apply
