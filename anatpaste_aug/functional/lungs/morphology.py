"""Binary morphology with the 3×3 square, on boolean batches."""

from collections.abc import Callable

import torch
from torch import Tensor

from anatpaste_aug.functional.checks import check_masks


def dilate(mask: Tensor) -> Tensor:
    """Dilate with a 3×3 square; pixels outside the image are False (``skimage.morphology.dilation``).

    Args:
        mask: Boolean …×H×W.

    Returns:
        A new boolean tensor of the same shape.

    Example:
        >>> import torch
        >>> dilate(torch.eye(3, dtype=torch.bool))[0].tolist()
        [True, True, True]
    """
    return _spread(_spread(mask, -2, torch.Tensor.bitwise_or_), -1, torch.Tensor.bitwise_or_)


def erode(mask: Tensor) -> Tensor:
    """Erode with a 3×3 square; pixels outside the image are ignored (``skimage.morphology.erosion``).

    Args:
        mask: Boolean …×H×W.

    Returns:
        A new boolean tensor of the same shape.
    """
    return _spread(_spread(mask, -2, torch.Tensor.bitwise_and_), -1, torch.Tensor.bitwise_and_)


def opening(mask: Tensor) -> Tensor:
    """Open the mask, by erosion and dilation with a 3×3 square (``skimage.morphology.opening``)."""
    return dilate(erode(mask))


def _spread(mask: Tensor, axis: int, join: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    # Bytes are combined with shifted views of themselves: a pooling layer would need floats and take a hundred times as
    # long on a CPU. They are integers, and converted by a comparison when compiling, because inductor (torch 2.14)
    # generates invalid C++ for slices and views of booleans.
    check_masks(mask, batch=False)
    last = max(mask.shape[axis] - 1, 0)
    first = min(mask.shape[axis], 1)
    given = mask.view(torch.uint8)
    out = given.clone()
    join(out.narrow(axis, 0, last), given.narrow(axis, first, last))
    join(out.narrow(axis, first, last), given.narrow(axis, 0, last))
    return out > 0 if torch.compiler.is_compiling() else out.view(torch.bool)
