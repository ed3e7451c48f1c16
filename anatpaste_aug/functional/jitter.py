"""torchvision's colour jitter with one factor per image."""

import torch
from kornia.color import hsv_to_rgb, rgb_to_hsv
from torch import Tensor

Factor = Tensor | float


def adjust_brightness(images: Tensor, factor: Factor) -> Tensor:
    """Scale about black (``torchvision.transforms.functional.adjust_brightness``)."""
    return (images * factor).clip(0, 1)


def adjust_contrast(images: Tensor, factor: Factor, mean: Tensor) -> Tensor:
    """Scale about ``mean``, the image's mean grey value (``adjust_contrast``)."""
    return (mean + (images - mean) * factor).clip(0, 1)


def adjust_saturation(images: Tensor, factor: Factor) -> Tensor:
    """Scale about each pixel's grey value (``adjust_saturation``)."""
    gray = luminance(images)
    return (gray + (images - gray) * factor).clip(0, 1)


def adjust_hue(images: Tensor, shift: Factor) -> Tensor:
    """Turn the hue by ``shift`` turns (``adjust_hue``)."""
    hue, saturation, value = rgb_to_hsv(images).split(1, 1)
    turn = 2 * torch.pi
    shifted: Tensor = hsv_to_rgb(torch.cat([torch.remainder(hue + shift * turn, turn), saturation, value], 1))
    return shifted


def luminance(images: Tensor) -> Tensor:
    """B×1×H×W grey values with torchvision's weights (which differ from Pillow's in the fourth digit)."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.split(1, 1)
    gray: Tensor = red * 0.2989 + green * 0.587 + blue * 0.114
    return gray


def color_jitter(
    images: Tensor,
    brightness: Tensor,
    contrast: Tensor,
    saturation: Tensor,
    hue: Tensor,
    order: Tensor,
    *,
    region: Tensor | None = None,
) -> Tensor:
    """Jitter each image with its own factors, in its own order.

    Args:
        images: Floating point B×C×H×W in [0, 1], C = 1 or 3. Saturation and hue act on three channels only.
        brightness: B factors.
        contrast: B factors.
        saturation: B factors.
        hue: B shifts in turns, in [-0.5, 0.5].
        order: int64 B×4, a permutation of brightness (0), contrast (1), saturation (2), hue (3) per image.
        region: Boolean B×1×H×W; the mean grey value for the contrast is taken over it. None takes all.

    Returns:
        B×C×H×W of the same dtype.

    Example:
        >>> one, order = torch.ones(1), torch.arange(4).unsqueeze(0)
        >>> color_jitter(torch.full((1, 1, 2, 2), 0.5), 0.5 * one, one, one, 0 * one, order).mean().item()
        0.25
    """

    def column(values: Tensor) -> Tensor:
        return values.to(images.dtype).view(-1, 1, 1, 1)

    def mean() -> Tensor:
        gray = luminance(images)
        if region is None:
            return gray.mean((1, 2, 3), keepdim=True)
        return (gray * region).sum((1, 2, 3), keepdim=True) / region.sum((1, 2, 3), keepdim=True)

    if images.shape[1] == 1:
        first = order.argsort(1)[:, 0] < order.argsort(1)[:, 1]
        images = adjust_brightness(images, column(torch.where(first, brightness, 1.0)))
        images = adjust_contrast(images, column(contrast), mean())
        return adjust_brightness(images, column(torch.where(first, 1.0, brightness)))
    for turn in order.unbind(1):
        images = adjust_brightness(images, column(torch.where(turn == 0, brightness, 1.0)))
        images = adjust_contrast(images, column(torch.where(turn == 1, contrast, 1.0)), mean())
        images = adjust_saturation(images, column(torch.where(turn == 2, saturation, 1.0)))
        # A round trip through HSV is not exact, so that a shift by 0 is no substitute for leaving the image alone.
        images = torch.where((turn == 3).view(-1, 1, 1, 1), adjust_hue(images, column(hue)), images)
    return images
