"""Gray values, CLAHE, Otsu's threshold and color jitter."""

import numpy as np
import torch
from fuzz.invariants import same, untouched
from fuzz.strategies import IMAGE_DTYPES, Masks, batches, rows, seeds
from hypothesis import given
from hypothesis import strategies as st

from anatpaste_aug.functional import Intensities, clahe, color_jitter, otsu_threshold, to_gray
from anatpaste_aug.functional.intensity import GRAY_LEVELS, stretch_levels
from anatpaste_aug.functional.jitter import luminance

level_dtypes = st.sampled_from([torch.uint8, torch.int16, torch.int32, torch.int64])


@given(batches())
def test_gray_values_lie_between_the_channels(batch):
    """Half a level of uint8; for floats 4 roundings of the dtype."""
    images = batch.images()
    with untouched(images):
        gray = to_gray(images)
    half = images.dtype in (torch.float16, torch.bfloat16)
    assert gray.shape == (len(batch), *batch.size)
    assert gray.dtype == (torch.float32 if half else images.dtype)
    if not len(batch):
        return
    slack = 0.5 if images.dtype == torch.uint8 else 4 * torch.finfo(gray.dtype).eps
    assert (gray.double() >= images.double().amin(1) - slack).all()
    assert (gray.double() <= images.double().amax(1) + slack).all()
    equal = images[:, :1].expand(-1, 3, -1, -1)
    assert same(to_gray(equal), to_gray(images[:, :1]))


@given(batches(), st.integers(1, 64))
def test_levels_reach_from_the_darkest_to_the_brightest(batch, bin_size):
    gray = to_gray(batch.images())
    with untouched(gray):
        levels = stretch_levels(gray, bin_size)
    assert (levels.dtype, levels.shape) == (torch.int32, gray.shape)
    for image, level in zip(gray, levels, strict=True):
        constant = bool(image.amin() == image.amax())
        assert level[image == image.amin()].eq(0).all()
        assert level[image == image.amax()].eq(0 if constant else (GRAY_LEVELS - 1) // bin_size).all()
        # Brighter pixels never have a lower level.
        order = image.flatten().argsort(stable=True)
        assert (level.flatten()[order].diff() >= 0).all()


@given(batches())
def test_equalized_images_are_valid_levels(batch):
    gray = to_gray(batch.images())
    with untouched(gray):
        levels = clahe(gray)
    assert (levels.dtype, levels.shape) == (torch.int32, gray.shape)
    assert ((levels >= 0) & (levels < GRAY_LEVELS)).all()
    for one, image in zip(levels, gray, strict=True):
        assert torch.equal(clahe(image.unsqueeze(0))[0], one)
    assert torch.equal(clahe(gray.mT), levels.mT)


@given(
    st.tuples(st.integers(0, 3), st.integers(1, 20), st.integers(1, 20)),
    st.sampled_from([1, 2, 3, 200, 256, GRAY_LEVELS]),
    level_dtypes,
    seeds,
)
def test_a_threshold_separates_dark_from_bright(shape, count, dtype, seed):
    rng = np.random.default_rng(seed)
    highest = 255 if dtype == torch.uint8 else GRAY_LEVELS - 1
    levels = torch.from_numpy(rng.choice(rng.integers(0, highest + 1, count), shape)).to(dtype)
    with untouched(levels):
        threshold = otsu_threshold(levels)
    assert (threshold.shape, threshold.dtype) == ((shape[0], 1, 1), torch.int32)
    for image, found in zip(levels, threshold, strict=True):
        assert image.amin() <= found
        assert found < image.amax() or image.amin() == image.amax()
        assert torch.equal(otsu_threshold(image.unsqueeze(0))[0], found)
    # Only how often each level occurs counts, not where.
    assert torch.equal(otsu_threshold(levels.flip(1, 2)), threshold)
    assert torch.equal(otsu_threshold(levels.int()), threshold)


@given(batches(dtypes=IMAGE_DTYPES[1:]), seeds, st.sampled_from(["none", "full", "dense", "halves", "one pixel"]))
def test_jittered_colors_are_valid(batch, seed, kind):
    images, params = batch.images(), rows(seed, len(batch), *batch.size).patch(0)
    region = None if kind == "none" else Masks(batch.size, (kind,) * len(batch), seed=seed).masks().unsqueeze(1)
    if region is not None and not region.flatten(1).any(1).all():
        return  # without any pixel there is no mean
    factors = params.brightness, params.contrast, params.saturation, params.hue, params.jitter_order
    with untouched(images, region, *factors):
        jittered = color_jitter(images, *factors, region=region)
    assert (jittered.shape, jittered.dtype) == (images.shape, images.dtype)
    assert ((jittered >= 0) & (jittered <= 1)).all()  # which NaN is not
    for i in range(len(batch)):
        one = slice(i, i + 1)
        alone = color_jitter(images[one], *(f[one] for f in factors), region=None if region is None else region[one])
        steps = {torch.float16: 2**-9, torch.bfloat16: 2**-6}
        torch.testing.assert_close(alone, jittered[one], rtol=0, atol=steps.get(images.dtype, 1e-5))


@given(batches(dtypes=[torch.float32, torch.float64]), seeds)
def test_factors_of_one_change_nothing(batch, seed):
    """Tolerance: 1e-6, for the way of the hue through HSV."""
    images, params = batch.images(), rows(seed, len(batch), *batch.size).patch(0)
    one = torch.ones(len(batch))
    same_colors = color_jitter(images, one, one, one, 0 * one, params.jitter_order)
    torch.testing.assert_close(same_colors, images, rtol=0, atol=1e-6)
    gray = luminance(images)
    assert gray.shape == (len(batch), 1, *batch.size)


@given(
    batches(dtypes=[torch.float32, torch.float64]),
    st.sampled_from([(0.0, 1.0), (-1e6, 1e6), (0.0, 1e-30), (5.0, 6.0), (-1024.0, 3071.0)]),
    st.booleans(),
    seeds,
)
def test_the_units_of_images_are_undone_and_done_again(batch, value_range, normalized, seed):
    """Tolerance: 8 roundings of the largest value on the way."""
    images, (black, white) = batch.images().contiguous(), value_range
    rng = np.random.default_rng(seed)
    mean, std = (tuple((0.1 + rng.random(batch.channels)).tolist()) if normalized else None for _ in range(2))
    intensities = Intensities(black, white, mean, std)
    with untouched(images):
        back = intensities.to_unit(intensities.from_unit(images))
    largest = max(abs(black), abs(white), *(mean or (0,))) / (white - black)
    torch.testing.assert_close(back, images, rtol=0, atol=8 * torch.finfo(images.dtype).eps * max(largest, 1) * 20)
