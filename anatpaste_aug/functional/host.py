"""Soft masks and pasting on the CPU, image by image: only the pixels that a mask reaches are computed.

A mask covers a fifth of its image, and a small window stays in the caches. The definitions are those of ``shape`` and
``paste``, to whose whole-frame results these are equal up to the rounding of float32. NumPy does the work, because on
windows this small the cost is that of the calls.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..params import AnatPasteParams
from .intensity import Intensities
from .jitter import adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation, luminance
from .shape import blur_radius, half_gaussian, shape_extent, weight_beyond

_Array = npt.NDArray[np.float32]


class _Row(NamedTuple):
    """One row of `AnatPasteParams` in Python numbers."""

    apply: bool
    height: int
    width: int
    source_top: int
    source_left: int
    center_y: int
    center_x: int
    ellipse: bool
    margin: int
    opacity: float
    sigma: float
    brightness: float
    contrast: float
    saturation: float
    hue: float
    jitter_order: list[int]
    anywhere: bool
    fallback: bool


class _Span(NamedTuple):
    """One axis of a shape: its first and last pixel inside the image, and the first and last that its blur reaches."""

    first: int
    last: int
    start: int
    stop: int
    size: int


def works_on_host(*tensors: Tensor | None) -> bool:
    """Whether this module can take these tensors: on the CPU, no gradient wanted, nothing being compiled."""
    given = [tensor for tensor in tensors if tensor is not None]
    return not torch.compiler.is_compiling() and all(
        tensor.device.type == "cpu" and not tensor.requires_grad and tensor.dtype != torch.bfloat16 for tensor in given
    )


def soft_mask_on_host(params: AnatPasteParams, height: int, width: int, lung_mask: Tensor | None) -> Tensor:
    """`soft_mask` on the CPU."""
    half = half_gaussian(params.sigma, max(height, width))
    kernels = torch.cat([half.flip(1)[:, :-1], half], 1).numpy()
    beyond = weight_beyond(half).numpy()
    out = torch.zeros(len(params.sigma), 1, height, width)
    masks = out.numpy()
    lungs = None if lung_mask is None else lung_mask.numpy()
    with torch.autocast("cpu", enabled=False):
        for index, row, rows, columns in _windows(params, height, width):
            vertical = _blur_matrix(kernels[index], beyond[index], rows)
            horizontal = _blur_matrix(kernels[index], beyond[index], columns)
            if row.ellipse:
                part = _product(vertical, _ellipse(row, rows, columns), horizontal.T)
            else:
                part = np.outer(vertical.sum(1), horizontal.sum(1))
            part *= np.float32(row.opacity)
            window = (index, 0, slice(rows.start, rows.stop), slice(columns.start, columns.stop))
            if lungs is not None and not row.anywhere:
                part *= lungs[window]
            masks[window] = part
    return out


def _product(first: _Array, second: _Array, third: _Array) -> _Array:
    # torch's product, because NumPy's would wake BLAS threads of its own, which then spin beside torch's.
    product: _Array = (torch.from_numpy(first) @ (torch.from_numpy(second) @ torch.from_numpy(third))).numpy()
    return product


def blend_on_host(images: Tensor, mask: Tensor, params: AnatPasteParams, intensities: Intensities) -> Tensor:
    """`blend` on the CPU."""
    out = images.clone()
    work = np.float64 if images.dtype == torch.float64 else np.float32
    given, pasted, weights = images.numpy(), out.numpy(), mask.numpy()
    black = intensities.from_unit(torch.zeros(images.shape[1], 1, 1)).numpy()
    for index, row, rows, columns in _windows(params, *images.shape[-2:]):
        window = (index, slice(None), slice(rows.start, rows.stop), slice(columns.start, columns.stop))
        top, left = row.center_y - row.height // 2, row.center_x - row.width // 2
        into_rows, from_rows = _overlap(top, row.height, rows)
        into_columns, from_columns = _overlap(left, row.width, columns)
        patch = _jittered_crop(given[index], row, intensities)[:, from_rows, from_columns]
        current: npt.NDArray[Any] = given[window].astype(work)
        difference = black - current
        difference[:, into_rows, into_columns] += patch - black
        weight = weights[window]
        difference *= weight
        current += difference
        if images.dtype == torch.uint8:
            np.rint(current, out=current)
        # x + 0 · y is not x in every bit: −0 becomes 0.
        np.copyto(pasted[window], current, casting="unsafe", where=weight > 0)
    return out


def _windows(params: AnatPasteParams, height: int, width: int) -> Iterator[tuple[int, _Row, _Span, _Span]]:
    """The images to augment: index, parameters, rows and columns."""
    top, bottom, left, right = (edge.tolist() for edge in shape_extent(params))
    radius = blur_radius(params.sigma, max(height, width)).tolist()
    for index, values in enumerate(zip(*(field.tolist() for field in params), strict=True)):
        row = _Row(*values)
        if row.apply:
            rows = _span(top[index], bottom[index], radius[index], height)
            yield index, row, rows, _span(left[index], right[index], radius[index], width)


def _span(first: int, last: int, radius: int, size: int) -> _Span:
    return _Span(max(first, 0), min(last, size - 1), max(first - radius, 0), min(last + radius + 1, size), size)


def _ellipse(row: _Row, rows: _Span, columns: _Span) -> _Array:
    """The ellipse before its blur; see `shape._inside`."""
    y = np.abs(np.arange(rows.first - row.center_y, rows.last - row.center_y + 1))
    x = np.abs(np.arange(columns.first - row.center_x, columns.last - row.center_x + 1))
    reach_y, reach_x = max(row.height // 2 - row.margin, 0), max(row.width // 2 - row.margin, 0)
    room_x = reach_x**2 * (1 - np.square(y / max(reach_y, 1)))
    room_y = reach_y**2 * (1 - np.square(x / max(reach_x, 1)))
    along_row = np.where(x > 0, x * (x - 1) + 0.5, 0.0) <= room_x[:, None]
    along_column = np.where(y > 0, y * (y - 1) + 0.5, 0.0)[:, None] <= room_y
    return (along_row | along_column).astype(np.float32)


def _blur_matrix(kernel: _Array, beyond: _Array, span: _Span) -> _Array:
    """(stop − start) × (last − first + 1) weights of the blur; see `shape._blur_matrix`.

    Row i and column j hold the kernel at (start + i) − (first + j): a strided view of it.
    """
    centre = len(kernel) // 2 + span.start - span.first
    step = kernel.strides[0]
    lines = (span.stop - span.start, span.last - span.first + 1)
    weights = np.lib.stride_tricks.as_strided(kernel[centre:], lines, (step, -step)).copy()
    if span.first == 0:
        weights[:, 0] += beyond[span.start : span.stop]
    if span.last == span.size - 1:
        weights[:, -1] += beyond[::-1][len(beyond) - span.size :][span.start : span.stop]
    return weights


def _overlap(start: int, length: int, span: _Span) -> tuple[slice, slice]:
    """The part of start…start + length that the blur reaches: in the window's coordinates, and from ``start``."""
    low, high = max(start, span.start), min(start + length, span.stop)
    return slice(low - span.start, high - span.start), slice(low - start, high - start)


def _jittered_crop(image: npt.NDArray[Any], row: _Row, intensities: Intensities) -> npt.NDArray[Any]:
    """The patch, jittered as `color_jitter` does it, on the image's own scale."""
    crop = image[:, row.source_top : row.source_top + row.height, row.source_left : row.source_left + row.width]
    crop = crop.astype(np.float64 if crop.dtype == np.float64 else np.float32)
    gray = len(crop) == 1
    # Arithmetic is the same for arrays, and quicker; colours and normalisation need tensors.
    patch: Any = crop[None] if gray and intensities.mean is None else torch.from_numpy(crop)[None]
    patch = intensities.to_unit(patch)
    for step in row.jitter_order:
        if step == 0:
            patch = adjust_brightness(patch, row.brightness)
        elif step == 1:
            patch = adjust_contrast(patch, row.contrast, luminance(patch).mean())
        elif step == 2 and not gray:
            patch = adjust_saturation(patch, row.saturation)
        elif step == 3 and not gray:
            patch = adjust_hue(patch, row.hue)
    jittered: npt.NDArray[Any] = np.asarray(intensities.from_unit(patch)[0])
    return jittered
