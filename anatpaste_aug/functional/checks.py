"""Checks of masks and images: the kernels would reinterpret the bytes of any other dtype without an error."""

import torch
from torch import Tensor


def check_masks(masks: Tensor, *, batch: bool = True) -> None:
    """Check that masks are boolean B×H×W (…×H×W with ``batch=False``).

    Raises:
        TypeError: Another dtype.
        ValueError: Another shape.
    """
    if masks.dtype != torch.bool:
        raise TypeError(f"masks must be boolean, got {masks.dtype}; pass masks != 0")
    if masks.ndim < 2 or (batch and masks.ndim != 3):
        raise ValueError(f"masks must have shape ({'B' if batch else '...'}, H, W), got {tuple(masks.shape)}")


def check_channels(images: Tensor) -> None:
    """Check that images are uint8 or floating-point B×1×H×W or B×3×H×W.

    Raises:
        TypeError: Another dtype.
        ValueError: Another shape, or no pixels.
    """
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise TypeError(f"images must be uint8 or floating point, got {images.dtype}; scale them to float in [0, 1]")
    if images.ndim != 4 or images.shape[1] not in (1, 3) or min(images.shape[2:]) < 1:
        shape = tuple(images.shape)
        raise ValueError(f"images must have shape (B, 1, H, W) or (B, 3, H, W) and at least one pixel, got {shape}")
