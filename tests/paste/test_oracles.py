"""That the recipes' definitions, in the words of their public code, are blends of `poisson_blend` with these boxes."""

import numpy as np
import pytest
import torch
from helpers.oracles import smooth_images
from paste.oracles import fpi, nsa, nsa_size, pii, square

from anatpaste_aug.functional.poisson import poisson_blend


def pair(size=(96, 80), seed=0):
    return smooth_images(2, *size, seed=seed)[:, 0].numpy()


def as_batch(image):
    return torch.from_numpy(np.ascontiguousarray(image, dtype=np.float64))[None, None]


@pytest.mark.parametrize("center", [(40, 30), (10, 30), (90, 75)])
@pytest.mark.parametrize("alpha", [0.05, 0.5, 0.95])
def test_pii_solves_the_box_with_a_frame_around_it(center, alpha):
    """Tolerance: 1e-6 grey levels."""
    image, donor = pair()
    top, left, height, width = square(center, 14, image.shape)
    expected, target = pii(image, donor, (top, left, height, width), alpha)
    box = torch.tensor([[top - 1, left - 1, height + 2, width + 2]])
    share = torch.tensor([alpha], dtype=torch.float64)
    result = poisson_blend(as_batch(image), as_batch(donor), box, guidance="stronger", alpha=share)
    result = result[0, 0].numpy().clip(image.min(), image.max())
    assert np.abs(result - expected).max() < 1e-6
    assert set(np.unique(target)) == {0, alpha}
    assert (np.abs(result - image) > 1e-6)[target == 0].sum() == 0


@pytest.mark.parametrize("size", [(40, 50), (41, 51), (37, 24)])
def test_nsa_clones_the_rectangle_without_its_edge(size):
    """Tolerance: 1 grey level on 99.9 % of the changed pixels, 2 on all."""
    cv2 = pytest.importorskip("cv2", reason="needs OpenCV: pip install opencv-python-headless")
    image, donor = (np.maximum(a, 30) for a in pair((128, 128)))
    height, width = nsa_size(size, 1.0, image.shape)
    result, target, ((top, left, *_),) = nsa(image, donor, [((30, 40, *size), 1.0, [(70, 60)])])
    patch = cv2.resize(donor[30 : 30 + size[0], 40 : 40 + size[1]], (width, height))
    place = (top, left + width % 2)
    moved = np.zeros_like(image)
    moved[place[0] : place[0] + height, place[1] : place[1] + width] = patch
    weight = np.zeros(image.shape)
    weight[place[0] + 4 : place[0] + height - 4, place[1] + 4 : place[1] + width - 4] = 1
    box = torch.tensor([[place[0] + 1, place[1] + 1, height - 2, width - 2]])
    ours = poisson_blend(as_batch(image), as_batch(moved), box, guidance="mixed", weight=as_batch(weight))
    difference = np.abs(ours[0, 0].numpy().clip(0, 255).astype(int) - result)
    assert difference.max() <= 2
    assert (difference > 1).sum() <= 0.001 * (result != image).sum()
    assert (result != image).sum() > 100
    assert target.max() > 0.12


def test_nsa_passes_over_what_has_no_place():
    pytest.importorskip("cv2", reason="needs OpenCV: pip install opencv-python-headless")
    image, donor = (np.maximum(a, 30) for a in pair((128, 128)))
    black, places = np.zeros_like(image), [(70, 60), (50, 50)]
    for given in ((black, donor), (image, black)):
        result, target, pasted = nsa(*given, [((30, 40, 40, 50), 1.0, places)])
        assert pasted == [None]
        assert np.array_equal(result, given[0])
        assert target.max() == 0
    assert nsa(image, donor, [((30, 40, 8, 8), 1.0, places)])[2] == [None]  # fewer than 50 pixels inside its edge


def test_fpi_interpolates_in_the_box():
    image, donor = pair()
    box = square((5, 40), 13, image.shape)
    result, target = fpi(image, donor, box, 0.25)
    assert box == (0, 27, 18, 26)
    inside = np.s_[0:18, 27:53]
    assert np.allclose(result[inside], image[inside] + 0.25 * (donor[inside].astype(float) - image[inside]))
    assert np.array_equal(target > 0, (result != image))
    assert set(np.unique(target)) == {0, 0.25}
