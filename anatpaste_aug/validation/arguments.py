"""Checks of what a transform is called with: masks, donors, params and random numbers, all for certain images."""

import numpy as np
import torch
from torch import Tensor


def check_region_mask(mask: object, images: Tensor, name: str = "region_mask") -> Tensor:
    """Check a mask for these images; convert B×H×W and integers (nonzero is region) to boolean B×1×H×W."""
    if not isinstance(mask, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(mask).__name__}")
    if mask.is_floating_point() or mask.is_complex():
        raise TypeError(f"{name} must be boolean or integer, got {mask.dtype}; threshold it first, as in mask > 0.5")
    if mask.device != images.device:
        raise ValueError(f"{name} is on {mask.device} and the images on {images.device}; move one of them")
    batch, _, height, width = images.shape
    if tuple(mask.shape) not in ((batch, height, width), (batch, 1, height, width)):
        raise ValueError(
            f"{name} must have shape {(batch, 1, height, width)} for images of shape {tuple(images.shape)}, "
            f"got {tuple(mask.shape)}"
        )
    mask = mask if mask.dtype == torch.bool else mask != 0
    return mask.view(batch, 1, height, width) if mask.ndim == 4 else mask.unsqueeze(1)


def check_anomaly_mask(name: str, mask: object, shape: tuple[int, ...]) -> None:
    """Check the mask of earlier augmentations, to which the next one adds its changes."""
    remedy = "if it is not an anomaly mask, set anomaly_mask_key to another name"
    if not isinstance(mask, Tensor | np.ndarray):
        raise TypeError(f"{name} must be a tensor or an array, got {type(mask).__name__}; {remedy}")
    if tuple(mask.shape) != shape:
        raise ValueError(f"{name} must have shape {shape}, like the images, got {tuple(mask.shape)}; {remedy}")


def check_donors(donors: object, images: Tensor) -> Tensor:
    """Check the images that patches are cut from: like the images, but any number of them."""
    if not isinstance(donors, Tensor):
        raise TypeError(f"donors must be a tensor N×C×H×W or a callable that returns one, got {type(donors).__name__}")
    if donors.ndim != 4 or donors.shape[1:] != images.shape[1:] or len(donors) < 1 or donors.dtype != images.dtype:
        raise ValueError(
            f"donors must be images like the augmented ones, {images.dtype} of shape (N, {images.shape[1]}, "
            f"{images.shape[2]}, {images.shape[3]}), got {donors.dtype} {tuple(donors.shape)}"
        )
    check_same_device("donors", donors.device, images)
    return donors


def check_apply(apply: object, images: Tensor) -> None:
    """Check a selection of images: one boolean each."""
    if not isinstance(apply, Tensor) or apply.dtype != torch.bool or tuple(apply.shape) != (len(images),):
        raise ValueError(
            f"apply must be a boolean tensor of shape ({len(images)},), True where an image may be augmented, "
            f"got {described(apply)}"
        )
    check_same_device("apply", apply.device, images)


def check_uniforms(uniforms: object, images: Tensor, shape: tuple[int, int, int]) -> None:
    """Check random numbers for these images."""
    if not isinstance(uniforms, Tensor) or not uniforms.is_floating_point() or tuple(uniforms.shape) != shape:
        raise ValueError(
            f"uniforms must be floating point of shape {shape}, as from draw_uniforms(config, {len(images)}), "
            f"got {described(uniforms)}"
        )
    check_same_device("uniforms", uniforms.device, images)


def check_generator(generator: object, images: Tensor) -> None:
    """Check a generator: it must be on the images' device."""
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator must be a torch.Generator, got {type(generator).__name__}")
    check_same_device("generator", generator.device, images)


def check_same_device(name: str, device: torch.device, images: Tensor) -> None:
    """Check that something is on the images' device."""
    if device.type != images.device.type or (device.index or 0) != (images.device.index or 0):
        raise ValueError(f"{name} is on {device} and the images on {images.device}; create it on {images.device}")


def described(value: object) -> str:
    """Describe a value for an error message: dtype and shape of a tensor, the type of anything else."""
    return f"{value.dtype} of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
