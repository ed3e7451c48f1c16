import numpy as np
import pytest
import torch
from helpers.oracles import filled_up, redistributed, resized, smooth_images, tile_histograms
from hypothesis import example, given, settings
from skimage.exposure import equalize_adapthist

from anatpaste_aug.functional import clahe, segment_lungs
from anatpaste_aug.functional._numba import HAS_NUMBA
from anatpaste_aug.functional.intensity import GRAY_LEVELS
from anatpaste_aug.functional.lungs.clahe import BINS, _interpolate, redistribute

POWERS_OF_TWO = [(256, 256), (32, 32), (64, 128), (512, 512)]
OTHERS = [(224, 224), (250, 250), (301, 257), (192, 320), (39, 32), (33, 47), (320, 320)]


def greatest_difference(images):
    """The greatest difference to scikit-image, in levels of 16383, of uint8 B×1×H×W images."""
    levels = clahe(images[:, 0]).double().flatten(1)
    low, high = levels.amin(1, keepdim=True), levels.amax(1, keepdim=True)
    ours = (levels - low) / (high - low)
    theirs = np.stack([equalize_adapthist(image, clip_limit=0.01).ravel() for image in images[:, 0].numpy()])
    return float(((ours - torch.from_numpy(theirs)).abs() * (high - low)).max())


@pytest.mark.parametrize("size", POWERS_OF_TWO)
def test_equals_scikit_image_exactly_where_tile_sides_are_powers_of_two(size):
    """Tolerance: 1e-9 of a level, for the stretch to [0, 1] that scikit-image ends with."""
    assert greatest_difference(smooth_images(3, *size)) < 1e-9


@pytest.mark.parametrize("size", OTHERS)
def test_is_within_a_level_of_scikit_image_elsewhere(size):
    """Tolerance: 1 level of 16383, where scikit-image adds rounded floats and truncates."""
    assert greatest_difference(smooth_images(3, *size)) < 1.001


@pytest.mark.parametrize("size", [(256, 256), (224, 224), (250, 250), (301, 257)])
def test_radiographs_agree_with_scikit_image(radiographs, size):
    """Tolerance: none at 256 px, 1 level of 16383 elsewhere."""
    images = resized(radiographs.images[::15], *size)
    assert greatest_difference(images) < (1e-9 if size == (256, 256) else 1.001)


@pytest.mark.parametrize("size", [(1500, 40), (40, 2100), (1200, 1100)])
def test_large_and_long_images_stay_exact(size):
    """Tiles of more than 1024 pixels leave float32 for integers. Tolerance: 1 level of 16383."""
    assert greatest_difference(smooth_images(1, *size)) < 1.001


@pytest.mark.slow
@pytest.mark.parametrize("step", [5, 10, 20])
def test_large_images_of_few_levels_are_equalised_to_the_end(step):
    """Their tiles have thousands of pixels more in a few bins than these may keep. Tolerance: 1 level of 16383."""
    assert greatest_difference(smooth_images(1, 2048, 2048) // step * step) < 1.001


@pytest.mark.parametrize("tile", [(4, 4), (32, 32), (32, 33), (512, 256), (5, 40_000)])
def test_the_mix_of_curves_is_exact_at_every_size_of_tile(tile):
    """Up to tiles whose sums need 64 bits; NumPy's integers are the oracle. The image is two tiles high and wide."""
    rng = np.random.default_rng(0)
    bins = rng.integers(0, BINS, (2 * tile[0], 2 * tile[1]))
    curves = rng.integers(0, GRAY_LEVELS, (2, 2, BINS))
    curves[..., ::3], curves[..., 1::3] = GRAY_LEVELS - 1, GRAY_LEVELS - 1 - rng.integers(0, 2, curves[..., 1::3].shape)
    # The pixel to which the first tile contributes one part of its area: one less than a multiple of the area.
    bins[tuple(2 * side - 1 - side // 2 for side in tile)], curves[..., 1], curves[0, 0, 1] = 1, 16_383, 16_382
    above, weight_y = np.divmod(np.arange(2 * tile[0])[:, None] + tile[0] // 2, tile[0])
    left, weight_x = np.divmod(np.arange(2 * tile[1]) + tile[1] // 2, tile[1])
    expected = 0
    for row, share_y in ((above - 1, tile[0] - weight_y), (above, weight_y)):
        for column, share_x in ((left - 1, tile[1] - weight_x), (left, weight_x)):
            expected += curves[row.clip(0, 1), column.clip(0, 1), bins] * share_y * share_x
    levels = _interpolate(*(torch.from_numpy(array)[None].int() for array in (bins, curves)), tile)
    assert levels.dtype == torch.int32
    assert np.array_equal(levels[0].numpy(), expected // (tile[0] * tile[1]))


@pytest.mark.parametrize("size", [(64, 64), (99, 130)])
def test_float_images_equal_the_uint8_ones(size):
    images = smooth_images(4, *size)[:, 0]
    for other in (images.float() / 255, images.double() * 3 - 7, images.half()):
        assert torch.equal(clahe(other), clahe(images))


@pytest.mark.slow
@given(tile_histograms())
@example(filled_up())
@settings(max_examples=400, deadline=None)
def test_redistribution_equals_scikit_images_loop(case):
    hist, limit = case
    expected = redistributed(hist[None], limit)
    given_hist = torch.from_numpy(hist.copy())[None]
    assert redistribute(given_hist, limit).dtype == torch.int32
    assert np.array_equal(redistribute(given_hist, limit).numpy(), expected)
    assert np.array_equal(given_hist[0].numpy(), hist)
    if HAS_NUMBA:
        from anatpaste_aug.functional._numba.lungs import clahe as kernels

        kernels.redistribute(hist, limit)
        assert np.array_equal(hist[None], expected)


@pytest.mark.parametrize("limit", [163, 655, 2052, 2621])
def test_the_longest_redistributions_settle_in_the_rounds_of_a_device(limit):
    """Full bins above those with room, and one with room above them, which makes the loop go to its end."""
    full = np.arange(1, 99, 3)
    hist = np.zeros((len(full), BINS), dtype=np.int32)
    for row, count in zip(hist, full.tolist(), strict=True):
        row[BINS - 1 - count : BINS - 1] = limit
        row[BINS - 2] += 100 * limit + 99 - row.sum()
    assert np.array_equal(redistribute(torch.from_numpy(hist), limit).numpy(), redistributed(hist, limit))


@pytest.mark.slow
@pytest.mark.parametrize("size", [(5, 5), (7, 40), (15, 100)])
def test_sides_below_sixteen_pixels_have_tiles_of_one(size, monkeypatch):
    """Smaller than the transforms take; the compiled path and the torch code find the same lungs there too."""
    images = torch.randint(0, 256, (4, 1, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[..., 4:11, 20:70] //= 3
    compiled = segment_lungs(images)
    monkeypatch.setattr("anatpaste_aug.functional._numba.HAS_NUMBA", False)
    assert torch.equal(segment_lungs(images), compiled)
    assert clahe(images[:, 0]).shape == (4, *size)
