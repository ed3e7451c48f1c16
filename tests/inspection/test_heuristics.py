"""Heuristics against NumPy on simple images, on phantoms, and on real radiographs."""

import numpy as np
import pytest
import torch
from torch.nn.functional import pad

from anatpaste_aug.datasets import phantom_batch
from anatpaste_aug.inspection import heuristics
from anatpaste_aug.inspection.heuristics import appearance, content_box, frontal_similarity


@pytest.fixture(scope="module")
def phantoms():
    return phantom_batch(24, size=128).images[:, 0].float() / 255


def random_images(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def edges(gray):
    return torch.stack(content_box(gray), 1).tolist()


# bands


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("frame", [(0, 0, 0, 0), (3, 0, 0, 0), (0, 7, 0, 0), (0, 0, 5, 0), (0, 0, 0, 9), (4, 1, 12, 2)])
def test_the_content_box_is_what_was_framed(frame, value):
    left, _, top, _ = frame
    framed = pad(random_images(3, 50, 60), frame, value=value)
    assert edges(framed) == [[top, top + 50, left, left + 60]] * 3


def test_every_image_has_its_own_box_and_a_flat_one_keeps_its_own():
    images = random_images(3, 40, 40)
    images[1, :6] = 0
    images[2] = 0.3
    assert edges(images) == [[0, 40, 0, 40], [6, 40, 0, 40], [0, 40, 0, 40]]


def test_faint_noise_is_flat():
    framed = pad(random_images(1, 50, 60), (8, 0, 0, 0))
    framed[..., :8] = random_images(1, 50, 8, seed=1) * 4 / 255
    assert edges(framed) == [[0, 50, 8, 68]]


def test_the_band_is_a_fraction_of_the_area():
    framed = pad(random_images(1, 50, 60) * 0.5, (20, 20, 25, 25))
    assert appearance(framed).band.item() == pytest.approx(0.7, abs=1e-6)


def test_an_overexposed_abdomen_is_no_band(phantoms):
    bright, dark = phantoms.clone(), phantoms.clone()
    bright[:, -40:], dark[:, -40:] = 1.0, 0.0
    assert (appearance(bright).band < 0.15).all()
    assert (appearance(dark).band > 0.25).all()


# bright edges


@pytest.mark.parametrize(
    ("frame", "count"), [((9, 9, 9, 9), 3), ((9, 0, 9, 0), 2), ((0, 9, 0, 0), 1), ((0, 0, 0, 9), 0)]
)
def test_bright_edges_are_counted_but_for_the_bottom(phantoms, frame, count):
    framed = pad(phantoms * 0.7, frame, value=1.0)
    assert (appearance(framed).bright_sides == count).all()


def test_dark_edges_are_not_bright(phantoms):
    assert not appearance(pad(phantoms, (9, 9, 9, 9))).bright_sides.any()


# similarity to a frontal radiograph


def test_the_similarity_is_a_correlation():
    images = random_images(4, 64, 96)
    half = np.array(heuristics._FRONTAL)
    template = np.concatenate([half, half[:, ::-1]], 1).ravel()
    fields = images.numpy().reshape(4, 8, 8, 8, 12).mean((2, 4)).reshape(4, -1)
    expected = [np.corrcoef(field, template)[0, 1] for field in fields]
    # Tolerance: 1e-5, float32 against float64.
    np.testing.assert_allclose(frontal_similarity(images), expected, rtol=0, atol=1e-5)


def test_phantoms_look_frontal_and_inverted_ones_the_opposite(phantoms):
    upright = frontal_similarity(phantoms)
    assert upright.min() > 0.3
    # Tolerance: 1e-5, rounding.
    torch.testing.assert_close(frontal_similarity(1 - phantoms), -upright, rtol=0, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_frame_does_not_change_the_similarity(phantoms, value):
    unframed = torch.tensor([box == [0, 128, 0, 128] for box in edges(phantoms)])
    assert unframed.sum() > 4
    images = phantoms[unframed]
    # Tolerance: 1e-5, rounding.
    framed = frontal_similarity(pad(images, (20, 13, 40, 5), value=value))
    torch.testing.assert_close(framed, frontal_similarity(images), rtol=0, atol=1e-5)


def test_without_contrast_there_is_no_similarity():
    assert frontal_similarity(torch.full((2, 40, 40), 0.7)).tolist() == [0, 0]


def test_real_radiographs_look_frontal(radiographs):
    gray = radiographs.images[:, 0].float() / 255
    upright, inverted = appearance(gray), appearance(1 - gray)
    assert upright.frontal.min() > 0.15
    assert inverted.frontal.max() < -0.15
    assert (upright.band > 0.15).sum() <= 1
    assert not (upright.bright_sides >= 2).any()


def test_real_radiographs_on_their_side_are_detected(radiographs):
    gray = radiographs.images[:, 0].float() / 255
    assert appearance(gray).sideways.max() < 0.1
    assert appearance(1 - gray).sideways.max() < 0.1
    for lying in (gray.transpose(1, 2), gray.rot90(1, (1, 2)), gray.rot90(3, (1, 2))):
        assert (appearance(lying).sideways > 0.1).float().mean() > 0.99
