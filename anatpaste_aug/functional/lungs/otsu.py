"""Otsu's threshold on the levels of CLAHE, as scikit-image defines it."""

import torch
from torch import Tensor

from anatpaste_aug.functional.intensity import GRAY_LEVELS
from anatpaste_aug.precision import to_float64

BINS = 256


def otsu_threshold(levels: Tensor) -> Tensor:
    """Find the level up to which a pixel belongs to the dark class.

    The definition is ``skimage.filters.threshold_otsu`` (256 bins) on the levels stretched to [0, 1]; bins, sums
    and the comparison with the bin's center use integers or the floating point of the definition, so that
    ``levels <= otsu_threshold(levels)`` equals scikit-image's ``image <= threshold`` bit for bit.

    Args:
        levels: Integer B×H×W in 0…16383, at most 2²⁴ pixels an image.

    Returns:
        int32 B×1×1. The threshold of a constant image is its own level.

    Example:
        >>> otsu_threshold(torch.tensor([[[0, 0, 100, 100]]])).item()
        0
    """
    batch, height, width = levels.shape
    pixels = height * width
    one = torch.ones(1, 1, dtype=torch.int32, device=levels.device).expand(batch, pixels)
    hist = torch.zeros(batch, GRAY_LEVELS, dtype=torch.int32, device=levels.device)
    flat = levels.flatten(1).int()
    hist.scatter_add_(1, flat.long(), one)
    cumulative = hist.cumsum(1, dtype=torch.int32)
    low, high = flat.aminmax(dim=1, keepdim=True)
    span = high - low

    # Bin i holds the levels v with i·span <= 256·(v − low) < (i + 1)·span; the last one includes its upper end.
    index = torch.arange(BINS, device=levels.device)
    first = low + (index[1:] * span + BINS - 1) // BINS
    darker = torch.nn.functional.pad(cumulative.gather(1, (first - 1).clamp_min_(0)), (1, 1))
    darker[:, -1] = pixels
    counts = darker.diff()

    # Weights in float32 and means in float64, as in the definition, so that near ties are decided the same way.
    moments = counts * (2 * index + 1)
    weight_dark, weight_bright = darker[:, 1:-1], pixels - darker[:, 1:-1]
    moment_dark = moments.cumsum(1)[:, :-1]
    moment_bright = moments.sum(1, keepdim=True) - moment_dark
    mean_dark = to_float64(moment_dark) / (2 * BINS) / to_float64(weight_dark)
    mean_bright = to_float64(moment_bright) / (2 * BINS) / to_float64(weight_bright)
    between = to_float64(weight_dark.float() * weight_bright.float()) * (mean_dark - mean_bright).square()
    # A constant image has an empty class (0 / 0), but with a span of 0 every choice gives the same threshold.
    best = between.argmax(1, keepdim=True).to(levels.device)
    return (low + (2 * best + 1) * span // (2 * BINS)).int().unsqueeze(2)
