import numpy as np
import pytest
import skimage.morphology
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from anatpaste_aug.functional import close_disk, dilate_disk, erode_disk, open_disk

PAIRS = [
    (dilate_disk, skimage.morphology.dilation),
    (erode_disk, skimage.morphology.erosion),
    (close_disk, skimage.morphology.closing),
    (open_disk, skimage.morphology.opening),
]


def disc(radius):
    """The footprint x² + y² ≤ radius², which scikit-image only makes for whole radii."""
    reach = int(radius)
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    return x**2 + y**2 <= radius**2


def expected_of(theirs, masks, radius):
    return np.stack([theirs(mask, disc(radius)) for mask in masks])


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@pytest.mark.parametrize("radius", [0, 0.9, 1, 1.5, 2, 3, 4.3, 7, 12])
@pytest.mark.parametrize("size", [(40, 40), (33, 57), (1, 9), (9, 1), (5, 4)])
def test_equals_scikit_image(ours, theirs, radius, size):
    rng = np.random.default_rng(0)
    density = np.array([0, 1, 0.02, 0.1, 0.5, 0.9, 0.98]).reshape(-1, 1, 1)
    masks = rng.random((7, *size)) < density
    assert np.array_equal(ours(torch.from_numpy(masks), radius).numpy(), expected_of(theirs, masks, radius))


@given(
    hnp.arrays(bool, st.tuples(st.integers(1, 3), st.integers(1, 24), st.integers(1, 24))),
    st.floats(0, 9, allow_nan=False),
    st.sampled_from(PAIRS),
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_any_mask_and_radius(masks, radius, pair):
    assume(radius < min(masks.shape[1:]))  # the oracle reads beyond masks that are smaller than its disc
    ours, theirs = pair
    assert np.array_equal(ours(torch.from_numpy(masks), radius).numpy(), expected_of(theirs, masks, radius))


def test_whole_radii_have_the_disc_of_scikit_image():
    point = torch.zeros(31, 31, dtype=torch.bool)
    point[15, 15] = True
    for radius in range(13):
        drawn = dilate_disk(point, radius).numpy()[15 - radius : 16 + radius, 15 - radius : 16 + radius]
        assert np.array_equal(drawn, skimage.morphology.disk(radius).astype(bool))
