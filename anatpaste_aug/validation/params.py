"""Checks of parameters that are to be replayed."""

import torch
from torch import Tensor

from anatpaste_aug.paste.config import PasteConfig
from anatpaste_aug.paste.params import PasteParams, dtype_of, rotated_size
from anatpaste_aug.validation.arguments import check_same_device, described


def check_params(params: object, images: Tensor, config: PasteConfig, sources: Tensor | None = None) -> None:
    """Check that parameters of an earlier call fit these images and the recipe; values are checked on the CPU only.

    ``sources`` are the images that patches are cut from, or None if each image is its own source.
    """
    if not isinstance(params, PasteParams):
        raise TypeError(f"params must be the PasteParams of an earlier result, got {type(params).__name__}")
    batch, _, height, width = images.shape
    shape = tuple(getattr(params.apply, "shape", ()))
    for name, field in zip(params._fields, params, strict=True):
        dtype, dims = dtype_of(name), (*shape, 4) if name == "jitter_order" else shape
        if not isinstance(field, Tensor) or len(shape) != 2 or tuple(field.shape) != dims or field.dtype != dtype:
            raise ValueError(
                f"params.{name} must be {dtype} of shape (B, K{', 4' if name == 'jitter_order' else ''}), as in an "
                f"earlier result, got {described(field)}"
            )
        check_same_device("params", field.device, images)
    if shape[0] != batch:
        raise ValueError(f"params have {shape[0]} rows for {batch} images; use params.rows(index)")
    if params.patches != config.patches[1]:
        raise ValueError(
            f"params have {params.patches} patches per image, but the transform pastes {config.patches[1]}"
        )
    if images.device.type != "cpu" or torch.compiler.is_compiling():
        return
    # Compared by differences, because sums could overflow.
    fits = (params.height <= height - params.source_top) & (params.width <= width - params.source_left)
    fits &= (params.scaled_height <= height) & (params.scaled_width <= width)
    box_h, box_w = rotated_size(params.scaled_height, params.scaled_width, params.angle.nan_to_num())
    fits &= (params.top >= -(box_h // 2)) & (params.top < height - box_h // 2)
    fits &= (params.left >= -(box_w // 2)) & (params.left < width - box_w // 2)
    if not bool(fits.all()):
        raise ValueError(
            f"params were sampled for images larger than {height}×{width}; replay them on images of the original size"
        )
    valid = (params.source_top >= 0) & (params.source_left >= 0) & (params.margin >= 0)
    for size in (params.height, params.width, params.scaled_height, params.scaled_width):
        valid &= size >= 1
    for number in (params.sigma, params.angle, params.brightness, params.contrast, params.saturation):
        valid &= number.isfinite()
    for factor in (params.sigma, params.brightness, params.contrast, params.saturation):
        valid &= factor >= 0
    valid &= (params.opacity >= 0) & (params.opacity <= 1) & (params.hue.abs() <= 0.5)
    valid &= (params.jitter_order.sort(2).values == torch.arange(4, device="cpu")).all(2)
    if not bool(valid.all()):
        bad = (~valid).any(1).nonzero()[:10, 0].tolist()
        raise ValueError(f"params {bad} have a size below 1, or a number out of its range; sample new params")
    if sources is not None and not bool(((params.donor >= 0) & (params.donor < len(sources))).all()):
        raise ValueError(
            f"params cut patches from image {int(params.donor.max())}, but there are {len(sources)} images; replay the "
            "whole batch, with the same donors="
        )
    _check_steps(params, config)


def _check_steps(params: PasteParams, config: PasteConfig) -> None:
    """Check that params do not rotate, resize or jitter patches if the recipe skips that step."""
    jittered = params.hue != 0
    for factor in (params.brightness, params.contrast, params.saturation):
        jittered = jittered | (factor != 1)
    resized = (params.scaled_height != params.height) | (params.scaled_width != params.width)
    for step, enabled, needed in (
        ("rotate", config.rotates, params.angle != 0),
        ("resize", config.resize is not None, resized),
        ("jitter", config.jitter > 0, jittered),
    ):
        if not enabled and bool(needed.any()):
            raise ValueError(
                f"params {step} patches, which this transform never does; replay them with the settings that they were "
                "sampled with"
            )
