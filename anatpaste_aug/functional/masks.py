"""The union of anomaly masks: what a chain of augmentations changed."""

import torch
from torch import Tensor


def unite_masks(earlier: Tensor, later: Tensor) -> Tensor:
    """Unite two masks, in the dtype of the earlier one.

    Args:
        earlier: Boolean, integer, or floating point in [0, 1].
        later: Boolean, or floating point in [0, 1], of a shape that broadcasts to that of ``earlier``.

    Returns:
        A new tensor. Floating point: 1 − (1 − earlier)·(1 − later). Boolean or integer: at least 1 where ``later`` is
        above 0, else ``earlier``.

    Example:
        >>> unite_masks(torch.tensor([0.0, 0.5, 0.5]), torch.tensor([0.5, 0.0, 0.5]))
        tensor([0.5000, 0.5000, 0.7500])
        >>> unite_masks(torch.tensor([0, 255, 3]), torch.tensor([True, True, False])).tolist()
        [1, 255, 3]
    """
    if earlier.is_floating_point():
        # Written so that a union with 0 changes no bit of the other mask.
        return earlier + (1 - earlier) * later.to(earlier.dtype)
    if earlier.dtype == torch.bool:
        return earlier | (later > 0)
    return torch.where(later > 0, earlier.clamp_min(1), earlier)
