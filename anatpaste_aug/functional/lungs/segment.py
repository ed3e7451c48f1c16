"""Algorithm 1 of the paper: segment the lungs of a frontal chest radiograph by classical image processing."""

from typing import Literal, overload

import torch
from torch import Tensor

from anatpaste_aug.functional import _numba
from anatpaste_aug.functional.intensity import to_gray
from anatpaste_aug.functional.lungs.clahe import clahe
from anatpaste_aug.functional.lungs.components import all_true, clear_border_of_squares, remove_small_squares
from anatpaste_aug.functional.lungs.morphology import dilate, erode
from anatpaste_aug.functional.lungs.otsu import otsu_threshold

_GROUP = 8  # images whose intermediate results stay in a processor's caches


@overload
def segment_lungs(images: Tensor, *, min_size: float = 400.0, return_converged: Literal[False] = False) -> Tensor: ...
@overload
def segment_lungs(
    images: Tensor, *, min_size: float = 400.0, return_converged: Literal[True]
) -> tuple[Tensor, Tensor]: ...
def segment_lungs(
    images: Tensor, *, min_size: float = 400.0, return_converged: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """Segment the lungs (Algorithm 1 of Sato et al., arXiv 2205.04282).

    Gray values → CLAHE → Otsu's threshold, dark pixels are lung → opening 3×3 → components that touch the border are
    removed → dilation 3×3 → components smaller than ``min_size · H·W / 256²`` pixels are removed. Components are
    8-connected. Increasing affine maps of the gray values do not change the result (for floats, up to rounding).

    Args:
        images: B×1×H×W or B×3×H×W, uint8 or floating point, finite, H and W at least 32, at most
            2²⁴ pixels an image. Any intensity range.
        min_size: The smallest component that stays, in pixels at 256×256.
        return_converged: Also return a boolean B: whether the labels of each image's components have converged. They
            always do on the CPU. An accelerator runs a fixed number of rounds; an image whose labels have not
            converged by then gets an empty mask.

    Returns:
        The boolean B×1×H×W mask.

    Example:
        >>> import torch
        >>> mask = segment_lungs(torch.zeros(2, 1, 64, 64, dtype=torch.uint8))
        >>> mask.shape, mask.any().item()
        (torch.Size([2, 1, 64, 64]), False)
    """
    height, width = images.shape[-2:]
    smallest = min_size * height * width / 256**2
    gray = to_gray(images.detach())
    if _numba.supports(gray):
        lungs, converged = _numba.segment(gray, smallest), all_true(gray)
    elif gray.device.type == "cpu" and not torch.compiler.is_compiling() and len(gray) > _GROUP:
        lungs, converged = map(torch.cat, zip(*(_segment(part, smallest) for part in gray.split(_GROUP)), strict=True))
    else:
        lungs, converged = _segment(gray, smallest)
    return (lungs, converged) if return_converged else lungs


def _segment(gray: Tensor, smallest: float) -> tuple[Tensor, Tensor]:
    levels = clahe(gray)
    dark = levels <= otsu_threshold(levels)
    # The opening is a dilation of the eroded points, and so is the second dilation. The points determine the components
    # of both (see `components`).
    points, converged = clear_border_of_squares(erode(dark), 1)
    lungs, converged_again = remove_small_squares(points, dilate(dilate(points)), smallest)
    return lungs.unsqueeze(1), converged & converged_again
