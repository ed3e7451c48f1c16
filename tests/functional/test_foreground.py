"""The foreground and the intensity target against OpenCV and SciPy, and the kernels against the torch code."""

import dataclasses

import numpy as np
import pytest
import torch
from helpers.code_paths import on_all_paths
from helpers.oracles import smooth_images
from paste.oracles import nsa_target
from scipy.ndimage import median_filter
from skimage.morphology import disk

from anatpaste_aug.functional import Intensities, foreground_mask, intensity_target, patches_foreground
from anatpaste_aug.functional.foreground import _median_over_disk
from anatpaste_aug.functional.move import move, patch_pixels
from anatpaste_aug.paste import NSA, sample_params

SIZES = [(32, 32), (33, 57), (96, 40)]
NARROW = [(9, 9), (40, 8), (1, 5)]  # narrower than the disk


def blobs(count, height, width, seed=0):
    """Make boolean B×1×H×W masks of some large blobs."""
    images = smooth_images(count, height, width, seed=seed).float()
    return images > images.flatten(1).quantile(0.6, 1).view(-1, 1, 1, 1)


@pytest.mark.parametrize("size", SIZES)
def test_foreground_is_the_median_filter_of_opencv(size):
    cv2 = pytest.importorskip("cv2", reason="needs OpenCV: pip install opencv-python-headless")
    images = torch.randint(0, 42, (4, 1, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = foreground_mask(images, 20)[:, 0].numpy()
    for image, mask in zip(images[:, 0].numpy(), found, strict=True):
        np.testing.assert_array_equal(mask, cv2.medianBlur((image > 20).astype(np.uint8), 7))
    assert 0.2 < found.mean() < 0.8


# The median over a disk


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("size", SIZES + NARROW)
@pytest.mark.parametrize("levels", [3, 256, None], ids=["3 levels", "256 levels", "floats"])
def test_medians_are_those_of_scipy(size, levels):
    generator = torch.Generator().manual_seed(1)
    values = torch.rand(3, 1, *size, generator=generator) * 255
    values = values if levels is None else (values * levels / 256).floor()
    values = torch.where(blobs(3, *size), values, 0.0)
    wanted = blobs(3, *size, seed=1) | (torch.rand(values.shape, generator=generator) < 0.05)
    found = _median_over_disk(values, wanted)
    for image, here, medians in zip(values.numpy(), wanted.numpy(), found.numpy(), strict=True):
        expected = median_filter(image[0], footprint=disk(5), mode="nearest")
        np.testing.assert_array_equal(medians[here], expected[here[0]])
    assert (found > 0).any()


# The foreground of patches


def params_on(foreground, sources, size, **changes):
    config = dataclasses.replace(NSA, source="donors", min_overlap=0.0, min_pixels=0.0, **changes)
    params = sample_params(
        config,
        (len(foreground), 1, *size),
        foreground=foreground,
        donor_foreground=sources,
        donors=len(sources),
        generator=torch.Generator().manual_seed(3),
    )
    # Some patches extend over an edge, and one lies outside of the image.
    for i, (top, left) in enumerate([(-5, 3), (size[0] - 4, -7), (2, size[1] - 3), (size[0], 0)]):
        params.top[i, 0], params.left[i, 0], params.apply[i, 0] = top, left, True
    return params


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("size", SIZES)
def test_foreground_of_patches_is_their_resized_mask(size):
    """Tolerance: none; every interpolated value of a mask is exact in float32."""
    foreground, sources = torch.zeros(8, 1, *size, dtype=torch.bool), blobs(3, *size, seed=5)
    params = params_on(foreground, sources, size, patches=(1, 1))
    found = patches_foreground(params, foreground, sources, rotated=False)
    one = params.patch(0)
    moved = move(sources[one.donor].float(), one, *patch_pixels(one, *size, rotated=False))
    for i in range(8):
        top, left = int(one.top[i]), int(one.left[i])
        bottom, right = top + int(one.scaled_height[i]), left + int(one.scaled_width[i])
        here = (i, 0, slice(max(top, 0), max(bottom, 0)), slice(max(left, 0), max(right, 0)))
        expected = torch.zeros(size, dtype=torch.bool)
        expected[here[2:]] = (moved[here] >= 0.5) & one.apply[i]
        assert torch.equal(found[i, 0], expected)


@pytest.mark.parametrize("size", SIZES)
def test_foreground_of_resized_patches_is_the_same_on_all_paths(size):
    foreground, sources = blobs(8, *size), blobs(3, *size, seed=5)
    params = params_on(foreground, sources, size)
    found, *others = on_all_paths(patches_foreground, params, foreground, sources, rotated=False)
    assert found.any()
    assert not found.all()
    assert all(torch.equal(other, found) for other in others)


@pytest.mark.parametrize(("name", "value"), [("donor", 3), ("source_top", 40), ("width", 0), ("scaled_height", 0)])
def test_patches_that_cannot_be_cut_are_rejected(name, value):
    foreground, sources = blobs(4, 32, 40), blobs(3, 32, 40)
    params = params_on(foreground, sources, (32, 40))
    getattr(params, name)[1, 2] = value
    with pytest.raises(ValueError, match=r"params \[1\]"):
        patches_foreground(params, foreground, sources, rotated=False)


def test_there_must_be_params_for_each_image():
    foreground, sources = blobs(4, 32, 40), blobs(3, 32, 40)
    params = params_on(foreground, sources, (32, 40))
    for other in (foreground[:3], torch.cat([foreground, foreground])):
        with pytest.raises(ValueError, match="foreground for 4 rows of params must be as many, got"):
            patches_foreground(params, other, sources, rotated=False)


# The target


def steps(height=64, width=96):
    """Make pairs of images whose changes grow from 0 to 30 levels from left to right, on every gray value."""
    before = torch.arange(height).view(-1, 1) * 3 % 220 + torch.zeros(height, width)
    return before.view(1, 1, height, width).byte(), (before + torch.arange(width) * 31 // width).byte()[None, None]


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("channels", [1, 3])
def test_target_is_that_of_the_public_code(channels):
    """Tolerance: 1e-6."""
    pytest.importorskip("cv2", reason="needs OpenCV: pip install opencv-python-headless")
    before, after = steps()
    within = blobs(1, 64, 96)
    expected = nsa_target(before[0, 0].numpy(), after[0, 0].numpy(), within[0, 0].numpy().astype(np.uint8))
    found = intensity_target(*(images.expand(-1, channels, -1, -1) for images in (before, after)), within)
    np.testing.assert_allclose(found[0, 0].numpy(), expected, rtol=0, atol=1e-6)
    assert found.max() > 0.99


def test_changes_of_one_level_do_not_count():
    """Dividing by 255 and multiplying again would round some of them up."""
    before = torch.arange(255).byte().repeat(32, 1)[None, None]
    everywhere = torch.ones(1, 1, 32, 255, dtype=torch.bool)
    assert not intensity_target(before, before + 1, everywhere).any()
    assert intensity_target(before[..., :254], before[..., :254] + 2, everywhere[..., :254]).all()


@pytest.mark.parametrize(
    "intensities",
    [
        Intensities(),
        Intensities(-1000, 600),
        Intensities(0, 1, (0.5,), (0.25,)),
        Intensities(100, 300, (180.0,), (50.0,)),
    ],
)
def test_targets_and_foregrounds_do_not_depend_on_the_range(intensities):
    """Tolerance: 1e-4 on the target, none on the foreground, whose threshold no value equals."""
    before, after = steps()
    within = torch.ones(1, 1, 64, 96, dtype=torch.bool)
    scaled = [intensities.from_unit(images.double() / 255) for images in (before, after)]
    expected, found = (
        intensity_target(before, after, within),
        intensity_target(*scaled, within, intensities=intensities),
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert torch.equal(foreground_mask(scaled[0], 20.5, intensities), foreground_mask(before, 20.5))
