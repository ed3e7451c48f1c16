"""Pasting on the CPU, as custom operators of torch."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Sequence  # noqa: UP035 - custom_op of torch 2.5 does not support that of collections.abc

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.library import custom_op

from anatpaste_aug.functional._numba.rows import (
    APPLY,
    BEGIN,
    DOWN,
    EAST,
    END,
    FIRST,
    HEIGHT,
    INTEGERS,
    LAST,
    MARGIN,
    ORDER,
    RADIUS,
    REALS,
    SCALED_HEIGHT,
    TOP,
    UP,
    WEST,
)
from anatpaste_aug.functional._numba.threads import empty, run_in_threads
from anatpaste_aug.functional.intensity import Intensities, at_least_float32
from anatpaste_aug.functional.move import inverse_rotation
from anatpaste_aug.paste.params import PasteParams, dtype_of, rotated_size

Work = Callable[[int, int], object]
Tables = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]
_AT_ONCE = 4  # images whose masks and pixels stay in a core's caches
_FAR = 2**24  # the largest number of pixels of an image
_BEYOND = {"black": 0, "source": 1, "edge": 2}  # as in `blending`, which cannot be imported without Numba


@custom_op("anatpaste_aug::random_pixel", mutates_args=(), device_types="cpu")
def random_pixel(u: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """See `paste.pixels.random_pixel`."""
    from anatpaste_aug.functional._numba.pixels import random_pixels

    row, column = (torch.empty(u.shape, dtype=torch.int64, device="cpu") for _ in range(2))
    found, counts = mask.new_empty((len(mask), 1)), np.empty(mask.shape[1], np.int64)
    masks, there = mask.contiguous().view(torch.uint8).numpy(), found.view(torch.uint8).numpy()[:, 0]
    random_pixels(masks, u.contiguous().numpy(), counts, row.numpy(), column.numpy(), there)
    return row, column, found


@random_pixel.register_fake
def _(u: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    row = u.new_empty(u.shape, dtype=torch.int64)
    return row, torch.empty_like(row), mask.new_empty((mask.shape[0], 1))


@custom_op("anatpaste_aug::soft_mask", mutates_args=(), device_types="cpu")
def soft_mask(params: Sequence[Tensor], height: int, width: int, region_mask: Tensor | None, hard: bool) -> Tensor:
    """Compute the soft masks of one patch per image, float32 B×1×H×W; see `functional.soft_mask`."""
    arrays, turns = arrays_of(params), _turns(params) if hard else None
    if not hard:
        _check_centers(arrays, height, width)
    mask, make = _masking(make_tables(arrays, height, width), turns, height, width, region_mask, hard)
    _run(len(mask), make)
    return mask


@soft_mask.register_fake
def _(params: Sequence[Tensor], height: int, width: int, region_mask: Tensor | None, hard: bool) -> Tensor:
    return params[0].new_empty((params[0].shape[0], 1, height, width), dtype=torch.float32)


@custom_op("anatpaste_aug::paste", mutates_args=(), device_types="cpu")
def paste(
    images: Tensor,
    sources: Tensor,
    params: Sequence[Tensor],
    region_mask: Tensor | None,
    hard: bool,
    beyond: str,
    black: float,
    white: float,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> tuple[Tensor, Tensor]:
    """Blend one patch per image; return the images and their soft mask. A thread does both while data is in cache."""
    batch, channels, height, width = images.shape
    arrays, turns = arrays_of(params), _turns(params) if hard else None
    if sources.shape[1] != channels or sources.dtype != images.dtype:
        raise ValueError(f"sources must have {channels} channels of {images.dtype}, got {sources.dtype}")
    check_cuts(arrays, sources)
    if batch != len(arrays.apply):
        raise ValueError(f"images for {len(arrays.apply)} rows of params must be as many, got {batch}")
    if not hard:
        _check_centers(arrays, height, width)
    tables = make_tables(arrays, height, width)
    mask, make = _masking(tables, turns, height, width, region_mask, hard)
    intensities = Intensities(black, white, None if mean is None else tuple(mean), None if std is None else tuple(std))
    out, mix = _blending(tables, turns, images, sources, mask, beyond, intensities)

    _run(len(out), make, mix)
    return _like(images, out, mask), mask


@paste.register_fake
def _(images: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    mask = images.new_empty(images.shape[0], 1, *images.shape[2:], dtype=torch.float32)
    return torch.empty_like(images, memory_format=torch.contiguous_format), mask


def _run(count: int, *makers: Callable[[], Work]) -> None:
    """Run several kernels on a few images at a time, with scratch memory for each thread."""

    def some(begin: int, end: int) -> None:
        works = [make() for make in makers]
        for first in range(begin, end, _AT_ONCE):
            for work in works:
                work(first, min(first + _AT_ONCE, end))

    run_in_threads(some, count)


def _masking(
    tables: Tables, turns: Any, height: int, width: int, region_mask: Tensor | None, hard: bool
) -> tuple[Tensor, Callable[[], Work]]:
    """Allocate the soft mask; also return a function that makes the function that fills it."""
    from anatpaste_aug.functional._numba.shape import patch_masks, soft_masks

    rows, reals = tables
    shape = (len(rows), 1, height, width)
    if region_mask is not None and tuple(region_mask.shape) != shape:
        raise ValueError(f"region_mask for these params must have shape {shape}, got {tuple(region_mask.shape)}")
    mask = empty(*shape, dtype=torch.float32)
    regions = mask.new_empty((0, 0, 0), dtype=torch.bool) if region_mask is None else region_mask[:, 0].contiguous()
    kept, out = regions.view(torch.uint8).numpy(), mask.numpy()[:, 0]
    count = 1 + int((rows[:, SCALED_HEIGHT] // 2 - rows[:, MARGIN]).max(initial=0))

    def make() -> Work:
        total, reach, weights = np.empty(2 * max(height, width)), np.empty(count, np.int64), np.empty(count, np.float32)
        # 16 more than needed, so that rows do not start a power of two apart, where they would share few cache lines.
        lines = np.empty((count, width + height + 16), np.float32)

        def some(begin: int, end: int) -> None:
            if hard:
                patch_masks(rows, reals, turns, kept, out, begin, end)
            else:
                soft_masks(rows, reals, kept, total, reach, weights, lines, out, begin, end)

        return some

    return mask, make


def _blending(
    tables: Tables,
    turns: Any,
    images: Tensor,
    sources: Tensor,
    mask: Tensor,
    beyond: str,
    intensities: Intensities,
) -> tuple[Tensor, Callable[[], Work]]:
    """Allocate the images, uint8 or of the arithmetic's type; also return a maker of the function that fills them."""
    from anatpaste_aug.functional._numba.blending import blend, cut
    from anatpaste_aug.functional._numba.jitter import jitter

    half = images.dtype in (torch.float16, torch.bfloat16)
    same = sources is images
    given = (images.float() if half else images).contiguous()
    other = (given if same else (sources.float() if half else sources).contiguous()).numpy()
    out = empty(*given.shape, dtype=given.dtype)
    (rows, reals), channels = tables, images.shape[1]
    tone = _tone(intensities, channels, at_least_float32(given[:0]).dtype)
    _find_boxes(rows, turns, beyond == "source", *images.shape[2:])
    most = int(((rows[:, DOWN] - rows[:, UP]) * (rows[:, EAST] - rows[:, WEST])).max(initial=1))
    before, after, masks, rounded = given.numpy(), out.numpy(), mask.numpy()[:, 0], images.dtype == torch.uint8
    color, settings = True if channels == 3 else None, (rows, reals, turns, _BEYOND[beyond], tone, rounded)

    def mix() -> Work:
        patches, target = np.empty((_AT_ONCE, channels, most), tone.dtype), np.empty(images.shape[3], tone.dtype)

        def some(begin: int, end: int) -> None:
            cut(other, rows, tone, patches, begin, end)
            jitter(patches, rows, reals, color, begin, end)
            blend(before, masks, *settings, patches, target, after, begin, end)

        return some

    return out, mix


@lru_cache
def _tone(intensities: Intensities, channels: int, dtype: torch.dtype) -> Any:
    """Return factors and offsets, 2×C: value · factor + offset is in [0, 1]."""
    # In float64, and the factor computed separately: offsets can be much larger if the range is far from 0.
    zeros = torch.zeros(channels, 1, 1, dtype=torch.float64, device="cpu")
    mean = None if intensities.mean is None else (0.0,) * len(intensities.mean)
    factor = intensities._replace(black=0.0, white=intensities.white - intensities.black, mean=mean)
    return torch.stack([factor.to_unit(zeros + 1), intensities.to_unit(zeros)]).flatten(1).to(dtype).numpy()


def make_tables(p: Any, height: int, width: int) -> Tables:
    """Convert `PasteParams` of arrays to the tables described in `rows`, for images of this size."""
    rows, reals = np.empty((len(p.sigma), ORDER + 4), np.int64), np.empty((len(p.sigma), len(REALS)), np.float32)
    for column, name in enumerate(INTEGERS):
        rows[:, column] = getattr(p, name)
    for column, name in enumerate(REALS):
        reals[:, column] = getattr(p, name)
    rows[:, RADIUS] = np.minimum(np.float32(4) * p.sigma + np.float32(0.5), np.float32(max(height, width) - 1))
    rows[:, ORDER:] = p.jitter_order
    return rows, reals


def _find_boxes(rows: npt.NDArray[np.int64], turns: Any, source: bool, height: int, width: int) -> None:
    """Write to the rows which part of the images the masks cover, and which part of the source is cut for it.

    ``turns`` is that of `shape.patch_masks`, for masks that are whole patches; None stands for drawn shapes.
    """
    for axis, side in enumerate((height, width)):
        start, size = rows[:, TOP + axis], rows[:, HEIGHT + axis]
        if turns is None:
            reach, middle = np.maximum(size // 2 - rows[:, MARGIN], 0) + rows[:, RADIUS], start + size // 2
            first, last = middle - reach, middle + reach + 1
        else:
            first, last = start, start + turns[:, axis]
        first, last = (np.minimum(np.maximum(edge, 0), side) for edge in (first, last))
        beyond = source and turns is None
        rows[:, FIRST + 2 * axis], rows[:, LAST + 2 * axis] = first, last
        rows[:, UP + 2 * axis] = np.minimum(first - start, 0) if beyond else 0
        rows[:, DOWN + 2 * axis] = np.maximum(last - start, size) if beyond else size
    empty_rows = (rows[:, APPLY] == 0) | (rows[:, BEGIN] >= rows[:, END])
    rows[empty_rows, LAST] = rows[empty_rows, FIRST]


def _like(images: Tensor, out: Tensor, mask: Tensor) -> Tensor:
    """Convert to the images' dtype. Pixels outside the mask are copied: a round trip could change the bits of a NaN."""
    return out if out.dtype == images.dtype else torch.where(mask > 0, out.to(images.dtype), images)


def _turns(params: Sequence[Tensor]) -> Any:
    """Return height and width of each bounding box, and the map from it to the patch: int64 B×8."""
    rows = PasteParams(*params)
    high, wide = rows.scaled_height, rows.scaled_width
    if not bool(rows.angle.any()):
        return torch.stack([high, wide, *[high] * 6], 1).numpy()
    return torch.cat([torch.stack(rotated_size(high, wide, rows.angle)), inverse_rotation(rows)]).T.contiguous().numpy()


def arrays_of(params: Sequence[Tensor]) -> Any:
    """Convert parameters to arrays and check them: the kernels do no bounds checks."""
    count = params[0].shape[0]
    for name, field in zip(PasteParams._fields, params, strict=True):
        shape = (count, 4) if name == "jitter_order" else (count,)
        if field.shape != shape or field.dtype != dtype_of(name):
            found = f"{tuple(field.shape)} and {field.dtype}"
            raise ValueError(f"params.{name} must have shape {shape} and dtype {dtype_of(name)} per patch, got {found}")
    p: Any = PasteParams(*(np.ascontiguousarray(field.numpy()) for field in params))  # type: ignore[arg-type]
    fits = (p.scaled_height >= 1) & (p.scaled_width >= 1) & (p.margin >= 0) & (p.sigma >= 0) & (p.sigma < np.inf)
    fits &= (p.scaled_height <= _FAR) & (p.scaled_width <= _FAR) & np.isfinite(p.angle)
    fits &= (abs(p.top) <= _FAR) & (abs(p.left) <= _FAR)
    if not fits.all():
        raise ValueError(f"params {np.flatnonzero(~fits)[:10].tolist()} hold an impossible size, place or blur")
    return p


def check(params: Sequence[Tensor], sources: Tensor) -> None:
    """Check parameters for the torch code on the CPU; raise ValueError if they do not fit these sources."""
    check_cuts(arrays_of(params), sources)


def _check_centers(p: Any, height: int, width: int) -> None:
    """Check that centers of drawn shapes lie within the images: the kernels index by the distance from the center."""
    y, x = p.top + p.scaled_height // 2, p.left + p.scaled_width // 2
    fits = (y >= 0) & (y < height) & (p.scaled_height <= height) & (x >= 0) & (x < width) & (p.scaled_width <= width)
    if not fits.all():
        bad = np.flatnonzero(~fits)[:10].tolist()
        raise ValueError(f"params {bad} hold an impossible size or center of a shape in images of {height}×{width}")


def check_cuts(p: Any, sources: Tensor) -> None:
    count, _, height, width = sources.shape
    fits = (p.height >= 1) & (p.source_top >= 0) & (p.source_top <= height - p.height)
    fits &= (p.width >= 1) & (p.source_left >= 0) & (p.source_left <= width - p.width)
    fits &= (p.donor >= 0) & (p.donor < count)
    if not fits.all():
        bad = np.flatnonzero(~fits)[:10].tolist()
        raise ValueError(f"params {bad} cut outside of {count} sources of {height}×{width}")
