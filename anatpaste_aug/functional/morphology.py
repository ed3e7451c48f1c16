"""Binary morphology with the 3×3 square, on boolean batches."""

import torch
from torch import Tensor


def dilate(mask: Tensor) -> Tensor:
    """Binary dilation with a 3×3 square; outside the image counts as False (``skimage.morphology.dilation``).

    Args:
        mask: Boolean …×H×W.

    Returns:
        A new boolean tensor of the same shape.

    Example:
        >>> import torch
        >>> dilate(torch.eye(3, dtype=torch.bool))[0].tolist()
        [True, True, True]
    """
    return _spread(_spread(mask, -2), -1)


def erode(mask: Tensor) -> Tensor:
    """Binary erosion with a 3×3 square; outside the image is ignored (``skimage.morphology.erosion``).

    Args:
        mask: Boolean …×H×W.

    Returns:
        A new boolean tensor of the same shape.
    """
    return ~dilate(~mask)


def opening(mask: Tensor) -> Tensor:
    """Erosion, then dilation, with a 3×3 square (``skimage.morphology.opening``)."""
    return dilate(erode(mask))


def _spread(mask: Tensor, axis: int) -> Tensor:
    # A byte-wise "or" of shifted views: a pooling layer would need floats and take a hundred times as long on a CPU.
    # As integers and without a view back, because for slices and views of booleans torch 2.14's inductor generates C++
    # that does not compile.
    size = mask.shape[axis]
    given = mask.view(torch.uint8)
    out = given.clone()
    out.narrow(axis, 0, size - 1).bitwise_or_(given.narrow(axis, 1, size - 1))
    out.narrow(axis, 1, size - 1).bitwise_or_(given.narrow(axis, 0, size - 1))
    return out > 0 if torch.compiler.is_compiling() else out.view(torch.bool)
