import numpy as np
import pytest
import skimage.morphology
import torch

from anatpaste_aug.functional import dilate, erode, opening

SQUARE = np.ones((3, 3), dtype=bool)
PAIRS = [
    (dilate, skimage.morphology.dilation),
    (erode, skimage.morphology.erosion),
    (opening, skimage.morphology.opening),
]


def masks(height, width):
    """Random masks of all densities, empty and full ones included."""
    rng = np.random.default_rng(0)
    density = np.concatenate([[0, 1], rng.random(18)]).reshape(-1, 1, 1)
    return rng.random((20, height, width)) < density


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@pytest.mark.parametrize("size", [(32, 32), (33, 57), (1, 9), (9, 1), (1, 1), (2, 2)])
def test_equals_scikit_image(ours, theirs, size):
    given_masks = masks(*size)
    expected = np.stack([theirs(mask, SQUARE) for mask in given_masks])
    result = ours(torch.from_numpy(given_masks))
    assert result.dtype == torch.bool
    assert np.array_equal(result.numpy(), expected)


@pytest.mark.parametrize("ours", [dilate, erode, opening])
def test_any_leading_dimensions_are_batch(ours):
    mask = torch.from_numpy(masks(32, 40)).view(4, 5, 32, 40)
    assert torch.equal(ours(mask), ours(mask.view(20, 32, 40)).view(4, 5, 32, 40))
    assert torch.equal(ours(mask)[2, 3], ours(mask[2, 3]))
