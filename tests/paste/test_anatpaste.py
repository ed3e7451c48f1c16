"""The distributions of AnatPaste's parameters."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from anatpaste_aug.paste import ANATPASTE, PasteConfig, PasteParams, draw_uniforms, sample_params
from anatpaste_aug.paste.pixels import random_pixel

COUNT = 6000
P_VALUE = 1e-3  # the seeds are fixed: a test that passes once passes always


def drawn(count=COUNT, height=1024, width=1024, region_mask=None, seed=0, **changes):
    """One patch per image, of large images, where whole pixels are fine enough for a continuous distribution."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, 1, height, width)
    return sample_params(PasteConfig(**changes), shape, region_mask=region_mask, generator=generator).patch(0)


def center(params):
    """Row and column of the center of each patch."""
    return params.top + params.height // 2, params.left + params.width // 2


def assert_uniform(values, low, high):
    values = torch.as_tensor(values).double().numpy()
    assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > P_VALUE


def assert_equally_often(values, count):
    """Every one of 0…count − 1 equally often."""
    observed = torch.bincount(values.flatten(), minlength=count)
    assert len(observed) == count
    assert stats.chisquare(observed.numpy()).pvalue > P_VALUE


# distributions


def test_the_area_is_uniform_and_the_aspect_ratio_log_uniform():
    params = drawn()
    assert_uniform(params.height * params.width / 1024**2, 0.02, 0.15)
    assert_uniform((params.height / params.width).log(), math.log(0.3), -math.log(0.3))


def test_area_and_aspect_ratio_are_independent():
    params = drawn()
    area, aspect = params.height * params.width / 1024**2, (params.height / params.width).log()
    assert abs(np.corrcoef(area, aspect)[0, 1]) < 4 / math.sqrt(COUNT)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("opacity", 0.59, 1.0),
        ("sigma", 0.0, 15 * 4),  # 1024 px are four times 256 px
        ("brightness", 0.9, 1.1),
        ("contrast", 0.9, 1.1),
        ("saturation", 0.9, 1.1),
        ("hue", -0.1, 0.1),
    ],
)
def test_continuous_fields_are_uniform(name, low, high):
    values = getattr(drawn(), name)
    assert values.dtype == torch.float32
    assert_uniform(values, low, high)


@pytest.mark.parametrize(("side", "start", "total"), [("height", "source_top", 1024), ("width", "source_left", 768)])
def test_the_source_is_uniform_over_the_places_where_the_patch_fits(side, start, total):
    params = drawn(width=768)
    length, first = getattr(params, side), getattr(params, start)
    assert (first >= 0).all()
    assert (first + length <= total).all()
    # A uniform integer plus a uniform fraction is uniform.
    fraction = torch.rand(COUNT, generator=torch.Generator().manual_seed(1))
    assert_uniform((first + fraction) / (total - length + 1), 0, 1)


def test_the_source_reaches_both_ends():
    params = drawn(height=32, width=32)
    slack_y, slack_x = 32 - params.height - params.source_top, 32 - params.width - params.source_left
    assert slack_y.min() == slack_x.min() == params.source_top.min() == params.source_left.min() == 0


def test_half_of_the_shapes_are_ellipses():
    assert stats.binomtest(int(drawn().ellipse.sum()), COUNT).pvalue > P_VALUE


def test_every_order_of_the_jitter_is_equally_likely():
    order = drawn().jitter_order
    codes = {permutation: code for code, permutation in enumerate(itertools.permutations(range(4)))}
    assert_equally_often(torch.tensor([codes[tuple(row)] for row in order.tolist()]), 24)


def test_without_a_region_mask_the_centre_is_uniform_over_the_image():
    params = drawn(height=512, width=1024)
    fraction = torch.rand(2, COUNT, generator=torch.Generator().manual_seed(1))
    center_y, center_x = center(params)
    assert_uniform((center_y + fraction[0]) / 512, 0, 1)
    assert_uniform((center_x + fraction[1]) / 1024, 0, 1)
    assert params.anywhere.all()
    assert not params.fallback.any()


def test_the_centre_is_uniform_over_the_lung_pixels():
    mask = torch.zeros(1, 1, 40, 33, dtype=torch.bool)
    mask[..., [0, 0, 3, 3, 17, 38, 39, 39], [0, 32, 5, 6, 20, 1, 0, 32]] = True
    params = drawn(height=40, width=33, region_mask=mask.expand(COUNT, -1, -1, -1))
    pixel = mask.flatten().nonzero()[:, 0].tolist().index
    assert_equally_often(torch.tensor([pixel(i) for i in (center(params)[0] * 33 + center(params)[1]).tolist()]), 8)
    assert not params.anywhere.any()


@given(
    hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=70)), st.floats(0, 1, exclude_max=True, width=32)
)
@settings(max_examples=300, deadline=None)
def test_a_uniform_number_picks_the_pixel_of_its_rank(mask, u):
    row, column, found = random_pixel(torch.tensor([[u]]), torch.from_numpy(mask)[None])
    pixels = np.argwhere(mask)
    assert bool(found) == bool(len(pixels))
    if found:
        rank = min(int(np.float32(u) * np.float32(len(pixels))), len(pixels) - 1)
        assert [int(row), int(column)] == pixels[rank].tolist()


# one row per image


def test_each_image_has_its_own_row():
    params = drawn(50, 256, 256)
    for field in params:
        assert len(field) == 50
    for name in ("opacity", "sigma", "brightness", "hue", "height", "top", "source_left"):
        assert len(getattr(params, name).unique()) > 20


def test_the_types_are_as_documented():
    params = drawn(3, 256, 256)
    whole = {"donor", "height", "width", "scaled_height", "scaled_width", "source_top", "source_left", "top", "left"}
    whole |= {"margin", "jitter_order"}
    truth = {"apply", "ellipse", "anywhere", "fallback"}
    for name, field in params._asdict().items():
        assert field.dtype == (torch.int64 if name in whole else torch.bool if name in truth else torch.float32)
        assert field.shape == ((3, 4) if name == "jitter_order" else (3,))


def test_rows_are_the_parameters_of_some_images():
    params = drawn(6, 256, 256)
    for index in (slice(1, 3), torch.tensor([4, 0]), params.ellipse):
        rows = params.rows(index)
        assert isinstance(rows, PasteParams)
        for field, row in zip(params, rows, strict=True):
            assert torch.equal(field[index], row)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_p_is_the_share_of_augmented_images(p):
    apply = drawn(p=p).apply
    assert (
        int(apply.sum()) == p * COUNT if p in (0, 1) else stats.binomtest(int(apply.sum()), COUNT, p).pvalue > P_VALUE
    )


# images without lungs


def test_without_a_lung_pixel_the_centre_is_uniform_and_says_so():
    masks = torch.zeros(COUNT, 1, 32, 64, dtype=torch.bool)
    masks[::3, 0, 7, 9] = True
    params = drawn(height=32, width=64, region_mask=masks)
    empty = torch.arange(COUNT) % 3 > 0
    assert torch.equal(params.fallback, empty)
    assert torch.equal(params.anywhere, empty)
    assert params.apply.all()
    center_y, center_x = center(params)
    assert center_y[~empty].unique().tolist() == [7]
    assert_equally_often(center_y[empty], 32)
    assert_equally_often(center_x[empty], 64)


@pytest.mark.parametrize("mask", [torch.ones(4, 1, 32, 32), torch.ones(4, 1, 32, 33) > 0, torch.ones(4, 32, 32) > 0])
def test_region_masks_of_another_kind_are_named(mask):
    with pytest.raises(ValueError, match=r"region_mask must be boolean of shape \(4, 1, 32, 32\), got torch\."):
        drawn(4, 32, 32, mask)


def test_random_numbers_of_another_batch_are_named():
    with pytest.raises(ValueError, match=r"uniforms must have shape \(4, 1, 25\), got \(3, 1, 25\); see draw_uniforms"):
        sample_params(ANATPASTE, (4, 1, 32, 32), uniforms=draw_uniforms(ANATPASTE, 3))


def test_leaving_images_without_lungs_alone_changes_nothing_without_segmentation():
    assert drawn(10, 64, 64, skip_without_region=True).apply.all()
