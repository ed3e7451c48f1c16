import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.filters import threshold_otsu

from anatpaste_aug.functional import otsu_threshold
from anatpaste_aug.functional._numba import HAS_NUMBA
from anatpaste_aug.functional.intensity import GRAY_LEVELS


def dark_by_scikit_image(levels):
    """image <= threshold of the levels stretched to [0, 1], as skimage.exposure.rescale_intensity does it."""
    low, high = int(levels.min()), int(levels.max())
    image = (levels.astype(np.float64) - low) / max(high - low, 1)
    return image <= threshold_otsu(image)


def assert_equal(levels):
    """Bit for bit, of integer B×H×W arrays: the torch code, and the CPU's own where it can be."""
    expected = np.stack([dark_by_scikit_image(image) for image in levels])
    thresholds = otsu_threshold(torch.from_numpy(levels))
    assert np.array_equal((torch.from_numpy(levels) <= thresholds).numpy(), expected)
    if HAS_NUMBA:
        from anatpaste_aug.functional._numba.lungs import clahe as kernels

        below, darker = np.empty(GRAY_LEVELS + 1, np.int32), np.empty(257, np.int64)
        found = [kernels.otsu(image.astype(np.uint16), below, darker) for image in levels]
        assert found == thresholds.flatten().tolist()


@pytest.mark.parametrize("spread", [2, 10, 255, 256, 257, 1000, GRAY_LEVELS])
@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64])
def test_random_images(spread, dtype):
    rng = np.random.default_rng(spread)
    levels = rng.integers(0, spread, (20, 40, 50)) + rng.integers(0, GRAY_LEVELS - spread + 1, (20, 1, 1))
    assert_equal(levels.astype(dtype))


@pytest.mark.parametrize("span", [255, 257, 511, 1023, GRAY_LEVELS - 1])
def test_levels_on_both_sides_of_every_edge_between_bins(span):
    edges = -(-np.arange(1, 256) * span // 256)
    for level in (edges, edges - 1):
        assert_equal(np.stack([0 * level, level, level, 0 * level + span], axis=1)[:, None].astype(np.int32))


def test_the_last_threshold_may_be_the_best():
    """Two peaks in the last two bins outweigh a black pixel once they are large."""
    levels = np.full((1, 600, 1001), GRAY_LEVELS - 1, dtype=np.int32)
    levels[0, :300], levels[0, 0, 0] = GRAY_LEVELS - 80, 0
    assert_equal(levels)
    assert otsu_threshold(torch.from_numpy(levels)).item() == GRAY_LEVELS - 1 - 96


@pytest.mark.parametrize(("count", "pixels"), [(300, 60), (20, 60_007)])
def test_ties_are_broken_by_the_rounding_of_the_definition(count, pixels):
    """Three peaks, the same from above as from below: two thresholds are equally good, up to rounding."""
    rng = np.random.default_rng(0)
    sides, middle = rng.integers(0, 3000, (count, 1, pixels)), rng.integers(7000, 9000, (count, 1, pixels // 2))
    low = np.concatenate([sides, middle], axis=2)
    levels = np.concatenate([low, GRAY_LEVELS - 1 - low], axis=2)
    levels[..., 0], levels[..., low.shape[2]] = 0, GRAY_LEVELS - 1
    assert_equal(levels.astype(np.int32))


few_levels = st.sampled_from([0, 1, 63, 64, 65, 8191, 8192, GRAY_LEVELS - 1])


@given(hnp.arrays(np.int32, (2, 6, 7), elements=few_levels | st.integers(0, GRAY_LEVELS - 1)))
@settings(max_examples=300, deadline=None)
def test_small_images_of_any_levels(levels):
    assert_equal(levels)
