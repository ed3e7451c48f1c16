"""Common sharpness against scipy's blur, fixed changes against their formulas, and removal of a shortcut."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

from anatpaste_aug.datasets import phantom_batch
from anatpaste_aug.detection.evaluation import robustness as module
from anatpaste_aug.detection.evaluation.one_number import image_statistics
from anatpaste_aug.detection.evaluation.robustness import (
    common_sharpness,
    fixed_changes,
    match_sharpness,
    robustness_row,
    standard_changes,
)

IMAGES = phantom_batch(12, size=64).images


def gradient(images):
    return image_statistics(images)["mean gradient"].numpy()


def test_sharper_images_reach_the_target_and_others_stay(monkeypatch):
    monkeypatch.setattr(module, "_BATCH", 5)
    before = gradient(IMAGES)
    target = float(np.median(before))
    found = match_sharpness(IMAGES, target)
    after = gradient(found)
    np.testing.assert_allclose(after[before > target], target, rtol=0.005)
    stay = torch.from_numpy(before <= target)
    assert torch.equal(found[stay], IMAGES[stay].float() / 255)
    torch.testing.assert_close(match_sharpness(IMAGES.float() / 255, target), found)
    assert (found.dtype, found.shape) == (torch.float32, IMAGES.shape)


def test_the_blur_is_scipys_gaussian():
    sigma = torch.tensor([0.6, 2.0, 3.0])
    found = module._blur(IMAGES[:3].float() / 255, sigma)
    for image, result, width in zip(IMAGES[:3, 0], found[:, 0], sigma.tolist(), strict=True):
        # "mirror" is torch's "reflect"; the kernel is cut at 3 times the largest sigma here.
        expected = gaussian_filter(image.double().numpy() / 255, width, mode="mirror", radius=10)
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5)


def test_the_mean_gradient_falls_with_sigma():
    sigmas = torch.linspace(0.1, 2.0, 20)
    image = (IMAGES[:1].float() / 255).expand(20, -1, -1, -1)
    assert (np.diff(gradient(module._blur(image, sigmas))) < 0).all()


def test_common_sharpness_is_a_quantile_of_the_images():
    assert common_sharpness(IMAGES, 0.25) == pytest.approx(np.quantile(gradient(IMAGES), 0.25), rel=1e-6)
    assert common_sharpness(IMAGES) < common_sharpness(IMAGES, 0.5)


def test_fixed_changes_are_their_formulas():
    changes = fixed_changes()
    unit = IMAGES.float() / 255
    for given in (IMAGES, unit):
        for gamma in (0.8, 1.25):
            torch.testing.assert_close(changes[f"gamma {gamma}"](given), unit**gamma)
        for factor in (0.8, 1.25):
            mean = unit.mean((1, 2, 3), keepdim=True)
            expected = (mean + factor * (unit - mean)).clamp(0, 1)
            torch.testing.assert_close(changes[f"contrast {factor}"](given), expected, rtol=0, atol=1e-6)
        cropped = changes["central crop 0.9"](given)
        assert cropped.shape == IMAGES.shape
        for image, result in zip(IMAGES[:, 0].numpy(), cropped[:, 0], strict=True):
            # 0.9 of 64 is 58 pixels; Pillow's bilinear resize of floats
            expected = Image.fromarray((image / 255).astype(np.float32)[3:61, 3:61]).resize((64, 64), 2)
            np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5)


def test_a_score_of_sharpness_falls_to_chance():
    images = phantom_batch(60, size=64).images
    labels = np.repeat([0, 1], 30)
    blurred = torch.cat([images[:30].float() / 255, module._blur(images[30:].float() / 255, torch.full((30,), 1.0))])

    def sharpness(batch):
        return -image_statistics(batch)["mean gradient"]

    found = robustness_row(sharpness, blurred, labels, resamples=200)
    assert list(found) == ["unchanged", "common sharpness", *fixed_changes()]
    assert found["unchanged"].estimate == roc_auc_score(labels, sharpness(blurred)) > 0.9
    # The few images below the target keep their rank.
    assert found["common sharpness"].estimate < 0.75
    assert found["contrast 0.8"].estimate > 0.9
    noise = torch.rand(60, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    own = robustness_row(sharpness, blurred, labels, {"noise": lambda batch: noise}, resamples=200)
    assert list(own) == ["unchanged", "noise"]
    assert own["noise"].low < 0.5 < own["noise"].high


def test_images_that_stay_sharper_get_the_largest_blur():
    """A bright square in a wide frame, with an image that reaches the target."""
    square = torch.zeros(1, 1, 64, 64)
    square[..., 24:40, 24:40] = 1
    images = torch.cat([square, torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))])
    done = match_sharpness(images, 0.005)
    gradients = image_statistics(done)["mean gradient"]
    assert gradients[0] > 0.0051
    assert gradients[1] == pytest.approx(0.005, rel=0.005)
    strongest = gaussian_filter(square[0, 0].numpy(), sigma=4.0, truncate=3.25, mode="mirror")  # 16 pixels at 256×256
    np.testing.assert_allclose(done[0, 0].numpy(), strongest, rtol=0, atol=1e-3)


def test_flat_images_have_no_common_sharpness():
    changes = standard_changes(torch.full((4, 1, 32, 32), 0.5))
    assert "common sharpness" not in changes
    assert changes.keys() == fixed_changes().keys()


def test_impossible_inputs():
    with pytest.raises(ValueError, match="target must be a positive mean gradient, got 0"):
        match_sharpness(IMAGES, 0)
    with pytest.raises(ValueError, match="quantile must be in"):
        common_sharpness(IMAGES, 2)
    with pytest.raises(ValueError, match="N×1×H×W"):
        match_sharpness(IMAGES[0], 0.1)
