"""CLAHE's kernels against the torch code, which the oracles vouch for, and what no kernel must be given.

That whole functions give the same on all paths is tested with random inputs, in ``fuzz``.
"""

import numpy as np
import pytest
import torch
from helpers.oracles import plain_params, smooth_images

pytest.importorskip("numba", reason="needs Numba: pip install numba")

from anatpaste_aug.functional import _numba, clahe, paste, segment_lungs, soft_mask
from anatpaste_aug.functional._numba.lungs import clahe as kernels
from anatpaste_aug.functional._numba.lungs.find_lungs import find_bins, tiles
from anatpaste_aug.functional.intensity import GRAY_LEVELS

SIZES = [(32, 32), (33, 57), (64, 128), (250, 250), (301, 257), (1100, 40), (500, 600)]


def levels_by_kernel(gray):
    bins, levels = np.empty(gray.shape, np.uint8), np.empty(gray.shape, np.uint16)
    find_bins(gray, gray.min(), gray.max(), bins)
    tile_h, tile_w, limit, inverse, hist, curves, rows, mixed = tiles(*gray.shape)
    kernels.tile_curves(bins, tile_h, tile_w, limit, hist, curves)
    kernels.equalize(bins, tile_h, tile_w, inverse, rows, mixed, levels)
    return levels


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_levels_are_the_same(size, dtype):
    gray = smooth_images(2, *size)[:, 0].to(dtype)
    gray = gray if dtype == torch.uint8 else gray / 255
    for image, expected in zip(gray.numpy(), clahe(gray).numpy(), strict=True):
        assert np.array_equal(levels_by_kernel(image), expected)


@pytest.mark.parametrize("value", [3e38, np.nan, np.inf])
def test_levels_of_a_range_without_a_meaning_are_the_same(value):
    gray = smooth_images(1, 40, 48)[:, 0].float()
    gray[0, 7, 9], gray[0, 9, 7] = value, -value
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


# what the kernels must not be given


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


def test_a_hue_turned_by_less_than_a_rounding_stays():
    """Below 0 by less than half a unit in the last place, it is rounded to a whole turn."""
    red = torch.zeros(1, 3, 64, 64)
    red[:, 0] = 0.7
    params = plain_params(hue=-1e-9, margin=0)
    assert torch.equal(paste(red, params, hard=True, rotated=False, resized=False)[0], red)


def test_masks_of_another_size_are_an_error():
    lungs = torch.ones(3, 1, 64, 63, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"must have shape \(3, 1, 64, 64\), got \(3, 1, 64, 63\)"):
        soft_mask(plain_params(3), 64, 64, lungs, rotated=False)
    with pytest.raises(ValueError, match=r"must have shape \(3, 1, 64, 64\), got \(3, 1, 64, 63\)"):
        paste(torch.zeros(3, 1, 64, 64), plain_params(3), lungs, rotated=False, resized=False)
