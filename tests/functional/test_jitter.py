import itertools

import pytest
import torch
from torchvision.transforms.v2 import functional as tvf

from anatpaste_aug.functional import color_jitter, jitter

ORDERS = list(itertools.permutations(range(4)))


def images_of(channels, count=24, dtype=torch.float32):
    return torch.rand(count, channels, 24, 20, generator=torch.Generator().manual_seed(0)).to(dtype)


def factors(count, strength=0.4):
    """Brightness, contrast and saturation about 1, and a hue about 0; some of them leave the image as it is."""
    around = (torch.rand(4, count, generator=torch.Generator().manual_seed(1)) * 2 - 1) * strength
    around[:, ::5] = 0
    return 1 + around[0], 1 + around[1], 1 + around[2], around[3]


def by_torchvision(image, brightness, contrast, saturation, hue, order):
    for step in order.tolist():
        if step == 0:
            image = tvf.adjust_brightness(image, float(brightness))
        elif step == 1:
            image = tvf.adjust_contrast(image, float(contrast))
        elif step == 2:
            image = tvf.adjust_saturation(image, float(saturation))
        elif image.shape[-3] == 3:
            image = tvf.adjust_hue(image, float(hue))
    return image


@pytest.mark.parametrize(
    ("function", "value"), [("adjust_brightness", 1.3), ("adjust_saturation", 0.4), ("adjust_hue", -0.3)]
)
def test_each_step_alone_is_torchvisions(function, value):
    """Tolerance: 1e-5."""
    images = images_of(3)
    images[..., :5] = (images[..., :5] * 2).floor() / 2  # equal channels, black and white
    ours = getattr(jitter, function)(images, value)
    torch.testing.assert_close(ours, getattr(tvf, function)(images, value), rtol=0, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_luminance_is_torchvisions_grey(channels):
    """Tolerance: 1e-6."""
    images = images_of(channels)
    torch.testing.assert_close(jitter.luminance(images), tvf.rgb_to_grayscale(images), rtol=0, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_equals_torchvision_in_every_order(channels):
    """Tolerance: 1e-5."""
    images, values, order = images_of(channels), factors(len(ORDERS)), torch.tensor(ORDERS)
    expected = torch.stack([by_torchvision(*row) for row in zip(images, *values, order, strict=True)])
    torch.testing.assert_close(color_jitter(images, *values, order), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_contrast_of_a_region_is_that_of_its_crop(channels):
    """Tolerance: 1e-5."""
    images, values, order = images_of(channels), factors(len(ORDERS)), torch.tensor(ORDERS)
    region = torch.zeros(len(ORDERS), 1, 24, 20, dtype=torch.bool)
    region[..., 3:15, 6:20] = True
    whole = color_jitter(images, *values, order, region=region)
    cropped = color_jitter(images[..., 3:15, 6:20].contiguous(), *values, order)
    torch.testing.assert_close(whole[..., 3:15, 6:20], cropped, rtol=0, atol=1e-5)


def test_saturation_and_hue_leave_one_channel_alone():
    images, order = images_of(1, 4), torch.arange(4).expand(4, 4)
    one, extreme = torch.ones(4), torch.full((4,), 0.5)
    brightness, contrast = one * 0.8, one * 1.2
    plain = color_jitter(images, brightness, contrast, one, 0 * one, order)
    assert torch.equal(color_jitter(images, brightness, contrast, extreme, extreme, order), plain)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_the_result_stays_in_range_and_the_input_as_it_was(channels, dtype):
    images = images_of(channels, dtype=dtype)
    before = images.clone()
    values, order = factors(len(ORDERS), strength=0.5), torch.tensor(ORDERS)
    result = color_jitter(images, *values, order)
    assert result.dtype == dtype
    assert result.min() >= 0
    assert result.max() <= 1
    assert torch.equal(images, before)
