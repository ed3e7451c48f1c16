"""The kernels for the CPU, step by step against the torch code, which the oracles vouch for."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracles import filled_up, plain_params, redistributed, smooth_images, tile_histograms

pytest.importorskip("numba", reason="needs Numba: pip install numba")

from anatpaste_aug.functional import (
    Intensities,
    _numba,
    clahe,
    color_jitter,
    dilate,
    erode,
    otsu_threshold,
    paste,
    segment_lungs,
    soft_mask,
)
from anatpaste_aug.functional._numba.jitter import jitter
from anatpaste_aug.functional._numba.lungs import clahe as kernels
from anatpaste_aug.functional._numba.lungs.find_lungs import find_bins, tiles
from anatpaste_aug.functional._numba.lungs.morphology import spread
from anatpaste_aug.functional._numba.rows import BRIGHTNESS, EAST, FIRST, HEIGHT, HUE, ORDER, WIDTH
from anatpaste_aug.functional.intensity import GRAY_LEVELS

SIZES = [(32, 32), (33, 57), (64, 128), (250, 250), (301, 257), (1100, 40), (500, 600)]


def levels_by_kernel(gray):
    bins, levels = np.empty(gray.shape, np.uint8), np.empty(gray.shape, np.uint16)
    find_bins(gray, gray.min(), gray.max(), bins)
    tile_h, tile_w, limit, inverse, hist, curves, rows, mixed = tiles(*gray.shape)
    kernels.tile_curves(bins, tile_h, tile_w, limit, hist, curves)
    kernels.equalize(bins, tile_h, tile_w, inverse, rows, mixed, levels)
    return levels


# Algorithm 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_levels_are_the_same(size, dtype):
    gray = smooth_images(2, *size)[:, 0].to(dtype)
    gray = gray if dtype == torch.uint8 else gray / 255
    for image, expected in zip(gray.numpy(), clahe(gray).numpy(), strict=True):
        assert np.array_equal(levels_by_kernel(image), expected)


@pytest.mark.parametrize(("factor", "offset"), [(0.5, 30), (1, -128), (1 / 255, 5), (0, 0), (0, 9), (0, 255)])
def test_levels_of_any_range_are_the_same(factor, offset):
    images = smooth_images(1, 40, 48)[:, 0].double() * factor + offset
    for dtype in (torch.uint8, torch.float32, torch.float64):
        gray = (images.clamp(0, 255) if dtype == torch.uint8 else images).to(dtype)
        assert np.array_equal(levels_by_kernel(gray[0].numpy()), clahe(gray)[0].numpy())


def test_levels_of_a_range_that_is_too_wide_for_its_type_are_the_same():
    gray = (smooth_images(1, 40, 48)[:, 0] - 128.0) * 2.6e36
    assert (gray.max() - gray.min()).isinf()
    assert np.array_equal(levels_by_kernel(gray[0].numpy()), clahe(gray)[0].numpy())


def test_levels_of_a_range_that_is_just_not_too_wide_are_the_same():
    """Sums of a column would be infinite."""
    gray = torch.linspace(-1e38, 1e38, 48).expand(1, 40, 48)
    expected = clahe(gray)[0].numpy()
    assert len(np.unique(expected)) > 40
    assert np.array_equal(levels_by_kernel(gray[0].contiguous().numpy()), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_levels_without_a_meaning_are_the_same(value):
    gray = smooth_images(1, 40, 48)[:, 0].float()
    gray[0, 7, 9] = value
    assert np.array_equal(levels_by_kernel(gray[0].numpy()), clahe(gray)[0].numpy())


@pytest.mark.parametrize("tile", [(512, 512), (4, 65536), (500, 524), (4, 4), (37, 41)])
def test_the_quotient_by_a_tile_s_area_is_exact(tile):
    """Up to the largest tile that an image of 2²⁴ pixels has; Python's integers are the oracle."""
    area = tile[0] * tile[1]
    rng = np.random.default_rng(0)
    left, right = (rng.integers(0, (GRAY_LEVELS - 1) * tile[0] + 1, 256).astype(np.uint32) for _ in range(2))
    left[:2] = right[:2] = (GRAY_LEVELS - 1) * tile[0], tile[0]
    bins, levels = rng.integers(0, 256, tile[1]).astype(np.uint8), np.empty(tile[1], np.uint16)
    bins[::2] %= 2
    inverse = np.uint64(-(-(1 << 50) // area))
    kernels.look_up(bins, left, right, 0, tile[1], inverse, levels)
    mixed = [int(left[b]) * (tile[1] - x) + int(right[b]) * x for x, b in enumerate(bins.tolist())]
    assert levels.tolist() == [value // area for value in mixed]


@given(tile_histograms())
@example(filled_up())
@settings(max_examples=300, deadline=None)
def test_redistribution_equals_scikit_images_loop(case):
    hist, limit = case
    ours = hist.copy()
    kernels.redistribute(ours, limit)
    assert np.array_equal(ours[None], redistributed(hist[None], limit))


@given(hnp.arrays(np.uint16, (6, 7), elements=st.integers(0, GRAY_LEVELS - 1) | st.sampled_from([0, 1, 64, 8191])))
@settings(max_examples=300, deadline=None)
def test_thresholds_are_the_same(levels):
    below, darker = np.empty(GRAY_LEVELS + 1, np.int32), np.empty(257, np.int64)
    assert kernels.otsu(levels, below, darker) == otsu_threshold(torch.from_numpy(levels.astype(np.int32))[None]).item()


@pytest.mark.parametrize("size", [(32, 40), (1, 9), (9, 1)])
def test_morphology_is_the_same(size):
    for share in (0.1, 0.5, 0.95):
        mask = np.random.default_rng(0).random(size) < share
        ours = np.pad(mask.astype(np.uint8), 1)
        spread(ours, np.empty_like(ours), np.uint8(0))
        assert np.array_equal(ours[1:-1, 1:-1], dilate(torch.from_numpy(mask)).numpy())
        assert ours.sum() == ours[1:-1, 1:-1].sum()  # the frame is empty
        ours = np.pad((~mask).astype(np.uint8), 1)
        spread(ours, np.empty_like(ours), np.uint8(1))
        assert np.array_equal(ours[1:-1, 1:-1], erode(torch.from_numpy(mask)).numpy())
        assert ours.sum() == ours[1:-1, 1:-1].sum()


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("size", [(64, 64), (300, 300)])
def test_masks_do_not_depend_on_the_number_of_threads(threads, size):
    images = smooth_images(7, *size)
    expected = segment_lungs(images)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert torch.equal(segment_lungs(images), expected)
    finally:
        torch.set_num_threads(before)


# jitter


def jitter_one(patch, box, size, order, factors):
    """Of what is cut, C×N of the given size, whose patch is the box: first and last row, first and last column."""
    top, bottom, left, right = box
    rows, reals = np.zeros((1, ORDER + 4), np.int64), np.zeros((1, HUE + 1), np.float32)
    rows[0, [HEIGHT, WIDTH]], rows[0, ORDER:], reals[0, BRIGHTNESS:] = (bottom - top, right - left), order, factors
    rows[0, FIRST : EAST + 1] = 0, 1, 0, 1, -top, size[0] - top, -left, size[1] - left
    jitter(patch[None], rows, reals, True if len(patch) == 3 else None, 0, 1)


@pytest.mark.parametrize("size", [(9, 7), (8, 6)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_jitter_is_the_same_in_every_order(size, channels, dtype):
    """Tolerance: 1e-5."""
    orders = torch.tensor(list(itertools.permutations(range(4))))
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(len(orders), channels, *size, generator=generator).to(dtype)
    images[:, :, 0], images[:, :, 1], images[:, :, 2] = 0, 1, images[:, :1, 2]  # black, white and grey pixels
    factors = 0.6 + 0.8 * torch.rand(3, len(orders), generator=generator)
    hue = torch.rand(len(orders), generator=generator) - 0.5
    expected = color_jitter(images, *factors, hue, orders)
    for i, order in enumerate(orders.numpy()):
        patch = np.pad(images[i].flatten(1).numpy(), ((0, 0), (0, 5)), constant_values=2)
        jitter_one(patch, (0, size[0], 0, size[1]), size, order, (*factors[:, i], hue[i]))
        assert np.abs(patch[:, :-5] - expected[i].flatten(1).numpy()).max() <= 1e-5
        assert (patch[:, -5:] == 2).all()  # room for a larger patch


@pytest.mark.parametrize("channels", [1, 3])
def test_the_contrast_of_a_part_is_that_of_its_box(channels):
    """Tolerance: 1e-5."""
    image = torch.rand(1, channels, 20, 30, generator=torch.Generator().manual_seed(0))
    region = torch.zeros(1, 1, 20, 30, dtype=torch.bool)
    region[..., 3:17, 4:27] = True
    factors = torch.tensor([[1.2], [0.7], [1.4]])
    order = torch.tensor([[2, 1, 0, 3]])
    expected = color_jitter(image, *factors, torch.zeros(1), order, region=region)
    patch = image[0].flatten(1).numpy().copy()
    jitter_one(patch, (3, 17, 4, 27), (20, 30), order[0].numpy(), (*factors[:, 0], 0))
    assert np.abs(patch - expected[0].flatten(1).numpy()).max() <= 1e-5


def test_a_hue_turned_by_less_than_a_rounding_stays():
    """Below 0 by less than half a unit in the last place, it is rounded to a whole turn."""
    red = np.zeros((3, 4), np.float32)
    red[0] = 0.7
    patch = red.copy()
    jitter_one(patch, (0, 1, 0, 4), (1, 4), [3, 2, 1, 0], (1, 1, 1, -1e-9))
    assert np.array_equal(patch, red)


# what the kernels must not be given


def pasted(images, params, region_mask=None, intensities=None):
    return paste(images, params, region_mask, intensities, rotated=False, resized=False)


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("height", [1, 64], [0, 65]),
        ("width", [1, 48], [0, 49]),
        ("source_top", [0, 24], [-1, 25]),
        ("source_left", [0, 8], [-1, 9]),
        ("donor", [0, 1], [-1, 2]),
        ("scaled_height", [1, 2**24], [0, 2**24 + 1]),
        ("top", [-(2**24), 2**24], [-(2**24) - 1, 2**24 + 1]),
        ("margin", [0, 100], [-1]),
        ("sigma", [0.0, 1e30], [-1.0, float("nan"), float("inf")]),
        ("angle", [0.0, 30.0], [float("nan"), float("inf")]),
    ],
)
def test_parameters_that_lead_out_of_the_images_are_an_error(name, inside, outside):
    """One step beyond what is allowed, of a 40×40 patch in a 64×48 image."""
    images, params = torch.zeros(3, 1, 64, 48), plain_params(3, donor=0)
    for value in (*inside, *outside):
        field = getattr(params, name)
        field = torch.where(torch.arange(3).unsqueeze(1) == 1, torch.as_tensor(value).to(field.dtype), field)
        changed = params._replace(**{name: field})
        if value in inside:
            image, mask = paste(images, changed, sources=images[:2], hard=True, resized=False)
            assert image.isfinite().all()
            assert mask.isfinite().all()
            continue
        with pytest.raises(ValueError, match=r"params \[1\] (hold an impossible size|cut outside of 2 sources)"):
            paste(images, changed, sources=images[:2], hard=True, resized=False)


@pytest.mark.parametrize(
    "change", [{"opacity": torch.ones(1, 1)}, {"top": torch.ones(3, 1)}, {"margin": torch.ones(3, 1)}]
)
def test_parameters_of_another_shape_or_dtype_are_an_error(change):
    with pytest.raises(ValueError, match=r"params\.\w+ must have shape \(3,\) and dtype"):
        soft_mask(plain_params(3)._replace(**change), 64, 64, rotated=False)


@pytest.mark.slow
def test_operators_of_compiled_graphs_have_the_shapes_and_strides_that_they_announce():
    images = smooth_images(2, 40, 48)[:, 0].transpose(1, 2)
    masks, params = images > 100, plain_params(2, center_y=20, center_x=20, height=20, width=20).patch(0)
    batch, given = images.unsqueeze(1), [list(params), masks.unsqueeze(1)]
    for operator, arguments in (
        (_numba.segment, (images, 1.0)),
        (_numba.keep_components, (masks, True, 1.0)),
        (_numba.soft_mask, (list(params), 48, 40, masks.unsqueeze(1), False)),
        (_numba.paste, (batch, batch.clone(), *given, False, "black", 0.0, 255.0, None, None)),
        (_numba.paste, (batch, batch.clone(), *given, True, "edge", 0.0, 255.0, None, None)),
    ):
        torch.library.opcheck(operator, arguments, test_utils=("test_schema", "test_faketensor"))


def test_a_range_far_from_zero_costs_no_precision(monkeypatch):
    """Tolerance: 1e-4 of the range; float32 holds values about 10,000 to 1e-3."""
    params = plain_params(2, contrast=1.1, sigma=3.0)
    images = 10_000 + 100 * smooth_images(2, 64, 64) / 255
    ours = pasted(images, params, None, Intensities(10_000, 10_100))[0]
    monkeypatch.setattr(_numba, "HAS_NUMBA", False)
    expected = pasted(images, params, None, Intensities(10_000, 10_100))[0]
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-2)


def test_a_range_in_which_one_is_nothing_is_a_range():
    params, images = plain_params(1), torch.full((1, 1, 64, 64), -1e30)
    assert pasted(images, params, None, Intensities(-1e30, 1e30))[0].isfinite().all()


def test_masks_of_another_size_are_an_error():
    lungs = torch.ones(3, 1, 64, 63, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"must have shape \(3, 1, 64, 64\), got \(3, 1, 64, 63\)"):
        soft_mask(plain_params(3), 64, 64, lungs, rotated=False)
    with pytest.raises(ValueError, match=r"must have shape \(3, 1, 64, 64\), got \(3, 1, 64, 63\)"):
        pasted(torch.zeros(3, 1, 64, 64), plain_params(3), lungs)
