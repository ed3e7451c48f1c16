import numpy as np
import pytest
import torch
from PIL import Image
from skimage.exposure import rescale_intensity
from skimage.util import img_as_uint

from anatpaste_aug.functional import Intensities, to_gray
from anatpaste_aug.functional.intensity import GRAY_LEVELS, stretch_levels


def reference_levels(image):
    """The first step of skimage.exposure.equalize_adapthist."""
    return np.round(rescale_intensity(img_as_uint(image), out_range=(0, GRAY_LEVELS - 1))).astype(np.int64)


def ramps(pairs):
    """One 16×16 image of all the levels between each low and high."""
    pairs = torch.as_tensor(pairs)
    levels = torch.arange(256).clamp(pairs[:, :1], pairs[:, 1:])
    return levels.view(-1, 16, 16).to(torch.uint8)


# Intensities


@pytest.mark.parametrize(
    ("intensities", "value", "unit"),
    [
        (Intensities(), [0.25, 0.5, 0.75], [0.25, 0.5, 0.75]),
        (Intensities(0, 255), [51.0, 0.0, 255.0], [0.2, 0.0, 1.0]),
        (Intensities(-1000, 600), [-1000.0, -200.0, 600.0], [0.0, 0.5, 1.0]),
        (Intensities(0.25, 1), [0.25, 0.625, 1.0], [0.0, 0.5, 1.0]),
        (Intensities(mean=(0.5,), std=(0.25,)), [-2.0, 0.0, 1.0], [0.0, 0.5, 0.75]),
        (Intensities(mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0)), [-1.0, 1.0, 0.25], [0.0, 0.5, 0.5]),
        (Intensities(0, 200, (100.0,), (50.0,)), [-2.0, 0.0, 1.0], [0.0, 0.5, 0.75]),
        (Intensities(100, 300, (100.0, 200.0, 250.0), (50.0, 50.0, 10.0)), [0.0, 0.0, 5.0], [0.0, 0.5, 1.0]),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_are_mapped_to_0_for_black_and_1_for_white_and_back(intensities, value, unit, dtype):
    """Tolerance: none but for 51 / 255."""
    value, unit = (torch.tensor(numbers, dtype=dtype).view(1, 3, 1, 1).expand(2, 3, 4, 5) for numbers in (value, unit))
    to, back = intensities.to_unit(value), intensities.from_unit(unit)
    assert to.dtype == back.dtype == dtype
    torch.testing.assert_close(to, unit, rtol=0, atol=1e-7)
    torch.testing.assert_close(back, value, rtol=1e-6, atol=0)


# to_gray


def test_gray_of_uint8_rgb_is_pillows_bit_for_bit():
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (8, 3, 256, 256), dtype=np.uint8))
    expected = np.stack([np.asarray(Image.fromarray(i.permute(1, 2, 0).numpy()).convert("L")) for i in images])
    assert torch.equal(to_gray(images), torch.from_numpy(expected))


def test_gray_of_float_rgb_is_within_rounding_of_pillows():
    """Tolerance: half a grey level, which is what rounding to 8 bits loses, and 1e-4 of float rounding."""
    images = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (2, 3, 64, 64), dtype=np.uint8))
    torch.testing.assert_close(to_gray(images.float()), to_gray(images).float(), rtol=0, atol=0.5001)


# stretch_levels


def test_levels_of_uint8_are_scikit_images_on_every_sampled_range():
    rng = np.random.default_rng(0)
    pairs = np.sort(rng.integers(0, 256, (3000, 2)), axis=1)
    pairs = np.concatenate([pairs[pairs[:, 0] < pairs[:, 1]], [[0, high] for high in range(1, 256)]])
    images = ramps(pairs)
    expected = np.stack([reference_levels(image) for image in images.numpy()])
    assert np.array_equal(stretch_levels(images).numpy(), expected)


AFFINE = {
    "x / 255": lambda x: x / 255,
    "2 x / 255 - 1": lambda x: x / 127.5 - 1,
    "normalised": lambda x: (x / 255 - 0.485) / 0.229,
    "3 x + 1000": lambda x: 3 * x + 1000,
}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("change", AFFINE.values(), ids=AFFINE.keys())
def test_bins_of_8_bit_floats_are_those_of_uint8_on_every_range(change, dtype):
    """CLAHE looks at the bins alone. Tolerance: none on the bins, 1 of 16383 on the levels."""
    images = ramps([(low, high) for low in range(256) for high in range(low + 1, 256)])
    changed = change(images.to(dtype))
    assert torch.equal(stretch_levels(changed, 65), stretch_levels(images, 65))
    torch.testing.assert_close(stretch_levels(changed), stretch_levels(images), rtol=0, atol=1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_levels_of_half_precision_are_counted_in_float32(dtype):
    images = torch.randn(16, 32, 32, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert torch.equal(stretch_levels(images), stretch_levels(images.float()))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_images_with_values_that_have_no_level_become_0(value):
    image = torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(0))
    image[0, 5, 5] = value
    assert not stretch_levels(image).any()
