"""One mean and std serve all channels, as torchvision's ``Normalize`` lets them."""

import pytest
import torch
from batches import batch, called, raises
from torchvision.transforms import v2

from anatpaste_aug import AnatPasteTransform, CutPasteTransform, PIITransform
from anatpaste_aug.adapters.kornia import KorniaPaste

ONE, THREE = {"mean": [0.4], "std": [0.2]}, {"mean": [0.4] * 3, "std": [0.2] * 3}


def kornia(**numbers):
    return KorniaPaste(AnatPasteTransform(**numbers))


@pytest.mark.parametrize("kernels", [False, True])
@pytest.mark.parametrize("kind", [AnatPasteTransform, CutPasteTransform, PIITransform, kornia])
def test_one_number_serves_three_channels(kind, kernels, monkeypatch):
    if kernels:
        pytest.importorskip("numba", reason="needs Numba: pip install numba")
    monkeypatch.setattr("anatpaste_aug.functional._numba.HAS_NUMBA", kernels)
    images = v2.Normalize(**ONE)(batch(4, 3, torch.float32))
    assert torch.equal(called(kind(**ONE), images), called(kind(**THREE), images))


def test_pasting_before_and_after_the_normalisation_is_the_same():
    """Tolerance: 1e-5."""
    images, normalize = batch(4, 3, torch.float32), v2.Normalize(**ONE)
    first, last = normalize(called(AnatPasteTransform(), images)), called(AnatPasteTransform(**ONE), normalize(images))
    torch.testing.assert_close(first, last, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", [AnatPasteTransform, CutPasteTransform])
def test_three_numbers_for_one_channel_say_what_to_pass(kind):
    message = "mean and std have 3 values for images with 1 channel", "pass one number", "mean=[0.5], std=[0.25]"
    with raises(ValueError, *message):
        kind(**THREE)(batch(2, 1, torch.float32))
