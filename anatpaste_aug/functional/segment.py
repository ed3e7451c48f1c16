"""Algorithm 1 of the paper: the lungs of a frontal chest radiograph by classical image processing."""

import torch
from torch import Tensor

from . import _numba
from .clahe import clahe
from .components import clear_border_of_squares, remove_small_squares
from .intensity import to_gray
from .morphology import dilate, erode
from .otsu import otsu_threshold


def segment_lungs(images: Tensor, *, min_size: float = 400.0) -> tuple[Tensor, Tensor]:
    """Segment the lungs (Algorithm 1 of Sato et al., arXiv 2205.04282).

    Grey values → CLAHE → Otsu, the dark side is lung → opening 3×3 → components that touch the border are cleared →
    dilation 3×3 → components smaller than ``min_size · H·W / 256²`` pixels are dropped. Components are 8-connected.
    A positive affine map of the grey values changes nothing (for floats, nothing beyond rounding).

    Args:
        images: B×1×H×W or B×3×H×W, uint8 or floating point, finite, H and W at least 32, at most
            2²⁴ pixels an image. Any intensity range.
        min_size: The smallest component that stays, in pixels at 256×256.

    Returns:
        The boolean B×1×H×W mask, and a boolean B that tells whether the component labelling settled. It always does
        on the CPU; an image for which it did not has an empty mask.

    Example:
        >>> mask, settled = segment_lungs(torch.zeros(2, 1, 64, 64, dtype=torch.uint8))
        >>> mask.shape, mask.any().item()
        (torch.Size([2, 1, 64, 64]), False)
    """
    height, width = images.shape[-2:]
    smallest = min_size * height * width / 256**2
    gray = to_gray(images.detach())
    if _numba.takes(gray):
        return _numba.segment(gray, smallest), torch.ones(len(gray), dtype=torch.bool, device=gray.device)
    return _segment(gray, smallest)


def _segment(gray: Tensor, smallest: float) -> tuple[Tensor, Tensor]:
    levels = clahe(gray)
    dark = levels <= otsu_threshold(levels)
    # The opening is the dilation of its erosion: the points of the erosion tell all about its components, and about
    # those of the second dilation.
    points, settled = clear_border_of_squares(erode(dark), 1)
    lungs, settled_again = remove_small_squares(points, dilate(dilate(points)), smallest)
    return lungs.unsqueeze(1), settled & settled_again
