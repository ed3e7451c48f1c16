"""torchvision's color jitter with one factor per image."""

import torch
from torch import Tensor

Factor = Tensor | float


def adjust_brightness(images: Tensor, factor: Factor) -> Tensor:
    """Scale about black (``torchvision.transforms.functional.adjust_brightness``)."""
    return (images * factor).clip_(0, 1)


def adjust_contrast(images: Tensor, factor: Factor, mean: Tensor) -> Tensor:
    """Scale about ``mean``, the image's mean gray value (``adjust_contrast``)."""
    return _scaled_about(mean, images, factor)


def adjust_saturation(images: Tensor, factor: Factor) -> Tensor:
    """Scale about each pixel's gray value (``adjust_saturation``)."""
    return _scaled_about(luminance(images), images, factor)


def _scaled_about(base: Tensor, images: Tensor, factor: Factor) -> Tensor:
    return (images - base).mul_(factor).add_(base).clip_(0, 1)


def adjust_hue(images: Tensor, shift: Factor) -> Tensor:
    """Rotate the hue by ``shift`` turns (``adjust_hue``)."""
    return _from_hue(*_to_hue(images, shift))


def _to_hue(images: Tensor, shift: Factor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute value, chroma and rotated hue in sixths of a turn; each B×H×W."""
    red, green, blue = images.unbind(1)
    chroma = images.amax(1) - images.amin(1)
    divisor = chroma.masked_fill(chroma == 0, 1)
    sixths = torch.where(green >= blue, (blue - red) / divisor + 2, (red - green) / divisor + 4)
    sixths = torch.where((red >= green) & (red >= blue), (green - blue) / divisor, sixths)
    del divisor
    return images.amax(1), chroma, sixths + 6 * (shift.view(-1, 1, 1) if isinstance(shift, Tensor) else shift)


def _from_hue(value: Tensor, chroma: Tensor, sixths: Tensor) -> Tensor:
    """Convert value, chroma and hue back to B×3×H×W: the inverse of `_to_hue`."""
    batch, height, width = value.shape
    images = value.new_empty(batch, 3, height, width)
    for channel, offset in enumerate((5, 3, 1)):
        distance = (sixths + offset).remainder_(6)
        weight = (4 - distance).clamp_max_(distance).clamp_(0, 1)
        del distance
        images[:, channel] = torch.addcmul(value, chroma, weight, value=-1)
        del weight
    return images


def luminance(images: Tensor) -> Tensor:
    """Return B×1×H×W gray values with torchvision's weights, which differ from Pillow's in the fourth digit."""
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
    """Jitter the colors of each image with its own factors, in its own order.

    Args:
        images: Floating point B×C×H×W in [0, 1], C = 1 or 3. Saturation and hue act on three channels only.
        brightness: B factors.
        contrast: B factors.
        saturation: B factors.
        hue: B shifts in turns, in [-0.5, 0.5].
        order: int64 B×4, a permutation of brightness (0), contrast (1), saturation (2), hue (3) per image.
        region: Boolean B×1×H×W over which the mean gray value for the contrast is taken; None is the whole image.

    Returns:
        B×C×H×W of the same dtype.

    Example:
        >>> one, order = torch.ones(1), torch.arange(4).unsqueeze(0)
        >>> color_jitter(torch.full((1, 1, 2, 2), 0.5), 0.5 * one, one, one, 0 * one, order).mean().item()
        0.25
    """

    def column(values: Tensor) -> Tensor:
        return values.to(images.dtype).view(-1, 1, 1, 1)

    def mean(gray: Tensor) -> Tensor:
        if region is None:
            return gray.mean((1, 2, 3), keepdim=True)
        return (gray * region).sum((1, 2, 3), keepdim=True) / region.sum((1, 2, 3), keepdim=True)

    if images.shape[1] == 1:
        first = order.argsort(1)[:, 0] < order.argsort(1)[:, 1]
        images = adjust_brightness(images, column(torch.where(first, brightness, 1.0)))
        images = adjust_contrast(images, column(contrast), mean(images))
        return adjust_brightness(images, column(torch.where(first, 1.0, brightness)))

    def adjust(images: Tensor, step: Tensor) -> Tensor:
        """Run one step of each image except the hue; step 3 leaves the image unchanged, bit for bit."""
        factor = torch.where(step == 0, brightness, torch.where(step == 1, contrast, saturation))
        gray, step = luminance(images), step.view(-1, 1, 1, 1)
        base = torch.where(step == 2, gray, torch.where(step == 1, mean(gray), 0.0))
        return _scaled_about(base, images, torch.where(step == 3, 1.0, column(factor)))

    # Rotating the hue is the most expensive step, so it runs once for the whole batch. Each image runs the steps that
    # precede its hue in the first loop, and those that follow in the second.
    hue_at = order.argsort(1)[:, 3]
    for turn in (0, 1, 2):
        images = adjust(images, torch.where(hue_at > turn, order[:, turn], 3))
    # As in `adjust_hue`, but the old images are freed before the new ones are allocated.
    images, chroma, sixths = _to_hue(images, column(hue))
    images = _from_hue(images, chroma, sixths)
    del chroma, sixths
    for turn in (1, 2, 3):
        images = adjust(images, torch.where(hue_at < turn, order[:, turn], 3))
    return images
