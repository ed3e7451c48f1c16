import itertools

import pytest
import torch
from torchvision.transforms.v2 import functional as tvf

from anatpaste_aug.functional import color_jitter

ORDERS = list(itertools.permutations(range(4)))


def images_of(channels):
    return torch.rand(len(ORDERS), channels, 24, 20)


def factors():
    """Brightness, contrast and saturation about 1, and a hue about 0; some of them leave the image as it is."""
    around = (torch.rand(4, len(ORDERS)) * 2 - 1) * 0.4
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


@pytest.mark.parametrize("channels", [1, 3])
def test_equals_torchvision_in_every_order(channels):
    """Tolerance: 1e-5."""
    images, values, order = images_of(channels), factors(), torch.tensor(ORDERS)
    expected = torch.stack([by_torchvision(*row) for row in zip(images, *values, order, strict=True)])
    torch.testing.assert_close(color_jitter(images, *values, order), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_contrast_of_a_region_is_that_of_its_crop(channels):
    """Tolerance: 1e-5."""
    images, values, order = images_of(channels), factors(), torch.tensor(ORDERS)
    region = torch.zeros(len(ORDERS), 1, 24, 20, dtype=torch.bool)
    region[..., 3:15, 6:20] = True
    whole = color_jitter(images, *values, order, region=region)
    cropped = color_jitter(images[..., 3:15, 6:20].contiguous(), *values, order)
    torch.testing.assert_close(whole[..., 3:15, 6:20], cropped, rtol=0, atol=1e-5)
