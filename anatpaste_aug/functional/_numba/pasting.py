"""Sampling and pasting on the CPU, as operators of torch."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.library import custom_op

from ...params import AnatPasteParams
from ..intensity import Intensities, at_least_float32
from .threads import empty, share

Work = Callable[[int, int], object]
_BOOLEAN = {"apply", "ellipse", "anywhere", "fallback"}
_FLOATING = {"opacity", "sigma", "brightness", "contrast", "saturation", "hue"}


@custom_op("anatpaste_aug::random_pixels", mutates_args=(), device_types="cpu")
def random_pixels(u: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Row and column of a True pixel in each B×H×W mask, and whether there is any; see `params._random_pixel`."""
    from .pixels import random_pixels as find_pixels

    row, column, found = (torch.empty(len(mask), dtype=kind) for kind in (torch.int64, torch.int64, torch.bool))
    find_pixels(
        mask.contiguous().view(torch.uint8).numpy(), u.contiguous().numpy(), row.numpy(), column.numpy(), found.numpy()
    )
    return row, column, found


@random_pixels.register_fake
def _(u: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    count = mask.shape[0]
    return tuple(mask.new_empty(count, dtype=kind) for kind in (torch.int64, torch.int64, torch.bool))  # type: ignore[return-value]


@custom_op("anatpaste_aug::soft_mask", mutates_args=(), device_types="cpu")
def soft_mask(params: Sequence[Tensor], height: int, width: int, lung_mask: Tensor | None) -> Tensor:
    """float32 B×1×H×W; see `paste.soft_mask`."""
    mask, make = _masking(_arrays(params, height, width, (lung_mask, 1)), height, width, lung_mask)
    share(make, len(mask))
    return mask


@soft_mask.register_fake
def _(params: Sequence[Tensor], height: int, width: int, lung_mask: Tensor | None) -> Tensor:
    return torch.empty(params[0].shape[0], 1, height, width)


@custom_op("anatpaste_aug::blend", mutates_args=(), device_types="cpu")
def blend(
    images: Tensor,
    mask: Tensor,
    params: Sequence[Tensor],
    black: float,
    white: float,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> Tensor:
    """The blended images; see `paste.blend`, and `Intensities` for how values are read."""
    arrays = _arrays(params, *images.shape[-2:], (images, images.shape[1]), (mask, 1))
    out, mix = _blending(arrays, images, mask, black, white, mean, std)
    share(mix, len(out))
    return _like(images, out, mask)


@blend.register_fake
def _(images: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(images, memory_format=torch.contiguous_format)


@custom_op("anatpaste_aug::paste", mutates_args=(), device_types="cpu")
def paste(
    images: Tensor,
    params: Sequence[Tensor],
    lung_mask: Tensor | None,
    black: float,
    white: float,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> tuple[Tensor, Tensor]:
    """The blended images and their soft mask; one thread does both for an image, while it is in its caches."""
    height, width = images.shape[-2:]
    arrays = _arrays(params, height, width, (images, images.shape[1]), (lung_mask, 1))
    mask, make = _masking(arrays, height, width, lung_mask)
    out, mix = _blending(arrays, images, mask, black, white, mean, std)

    def both(begin: int, end: int) -> None:
        make(begin, end)
        mix(begin, end)

    share(both, len(out))
    return _like(images, out, mask), mask


@paste.register_fake
def _(images: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    mask = images.new_empty(images.shape[0], 1, *images.shape[2:], dtype=torch.float32)
    return torch.empty_like(images, memory_format=torch.contiguous_format), mask


def _masking(arrays: Any, height: int, width: int, lung_mask: Tensor | None) -> tuple[Tensor, Work]:
    """An empty soft mask, and what fills it."""
    from .shape import soft_masks

    mask = empty(len(arrays.sigma), 1, height, width, dtype=torch.float32)
    lungs = torch.empty(0, 0, 0, dtype=torch.bool) if lung_mask is None else lung_mask[:, 0].contiguous()
    fixed = (arrays, lungs.view(torch.uint8).numpy(), mask.numpy()[:, 0])
    return mask, lambda begin, end: soft_masks(*fixed, begin, end)


def _blending(
    arrays: Any,
    images: Tensor,
    mask: Tensor,
    black: float,
    white: float,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> tuple[Tensor, Work]:
    """Empty images of the type to calculate in, or uint8, and what fills them."""
    from .blending import blend as blend_some

    half = images.dtype in (torch.float16, torch.bfloat16)
    given = (images.float() if half else images).contiguous()
    out = empty(*given.shape, dtype=given.dtype)
    intensities = Intensities(black, white, None if mean is None else tuple(mean), None if std is None else tuple(std))
    # In float64, and the slope by itself: the two can be far from one another where the range is far from 0.
    channels, work = torch.zeros(images.shape[1], 1, 1, dtype=torch.float64), at_least_float32(given[:0]).dtype
    offset = intensities.to_unit(channels).flatten()
    slope = intensities._replace(black=0.0, white=white - black, mean=None if mean is None else (0.0,) * len(mean))
    scale = slope.to_unit(channels + 1).flatten()
    fixed = (mask[:, 0].contiguous().numpy(), arrays, scale.to(work).numpy(), offset.to(work).numpy())
    whole = images.dtype == torch.uint8
    return out, lambda begin, end: blend_some(given.numpy(), *fixed, whole, out.numpy(), begin, end)


def _like(images: Tensor, out: Tensor, mask: Tensor) -> Tensor:
    """Half precision was blended in float32; the way there and back could change the bits of a NaN."""
    return out if out.dtype == images.dtype else torch.where(mask > 0, out.to(images.dtype), images)


def _arrays(params: Sequence[Tensor], height: int, width: int, *others: tuple[Tensor | None, int]) -> Any:
    """The rows as arrays, for kernels that look at no limits: what would lead them out of the images is an error."""
    for name, field in zip(AnatPasteParams._fields, params, strict=True):
        shape = (len(params[0]), 4) if name == "jitter_order" else (len(params[0]),)
        dtype = torch.bool if name in _BOOLEAN else torch.float32 if name in _FLOATING else torch.int64
        if field.shape != shape or field.dtype != dtype:
            found = f"{tuple(field.shape)} and {field.dtype}"
            raise ValueError(f"params.{name} must have shape {shape} and dtype {dtype}, got {found}")
    p: Any = AnatPasteParams(*(np.ascontiguousarray(field.numpy()) for field in params))  # type: ignore[arg-type]
    fits = (p.height >= 1) & (p.source_top >= 0) & (p.source_top <= height - p.height)
    fits &= (p.width >= 1) & (p.source_left >= 0) & (p.source_left <= width - p.width)
    fits &= (p.center_y >= 0) & (p.center_y < height) & (p.center_x >= 0) & (p.center_x < width)
    fits &= (p.margin >= 0) & (p.sigma >= 0) & (p.sigma < np.inf)
    if not fits.all():
        raise ValueError(f"params {np.flatnonzero(~fits)[:10].tolist()} lie outside images of {height}×{width}")
    for tensor, channels in others:
        if tensor is not None and tensor.shape != (len(fits), channels, height, width):
            expected = (len(fits), channels, height, width)
            raise ValueError(f"images and masks for these params must have shape {expected}, got {tuple(tensor.shape)}")
    return p
