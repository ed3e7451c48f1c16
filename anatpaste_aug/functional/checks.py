"""Check masks and images; kernels would silently read anything else as other bytes."""

import torch
from torch import Tensor


def check_masks(masks: Tensor, *, batch: bool = True) -> None:
    """Boolean B×H×W, or …×H×W, or a TypeError or ValueError that says what was passed."""
    if masks.dtype != torch.bool:
        raise TypeError(f"masks must be boolean, got {masks.dtype}; pass masks != 0")
    if masks.ndim < 2 or (batch and masks.ndim != 3):
        raise ValueError(f"masks must have shape ({'B' if batch else '...'}, H, W), got {tuple(masks.shape)}")


def check_channels(images: Tensor) -> None:
    """uint8 or floating-point B×1×H×W or B×3×H×W, or the error."""
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise TypeError(f"images must be uint8 or floating point, got {images.dtype}; scale them to float in [0, 1]")
    if images.ndim != 4 or images.shape[1] not in (1, 3) or min(images.shape[2:]) < 1:
        shape = tuple(images.shape)
        raise ValueError(f"images must have shape (B, 1, H, W) or (B, 3, H, W) with pixels in it, got {shape}")
