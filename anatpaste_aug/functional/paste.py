"""Cut a patch, jitter it, and blend it in through the soft mask."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..params import AnatPasteParams
from .jitter import adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation, color_jitter, luminance
from .shape import soft_mask, support_windows


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


class Intensities(NamedTuple):
    """How pixel values are to be read: the darkest and brightest value, and the normalisation already applied."""

    black: float = 0.0
    white: float = 1.0
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def raw(self, images: Tensor) -> Tensor:
        """Undo the normalisation of …×C×H×W images."""
        return (
            images
            if self.mean is None or self.std is None
            else images * _column(self.std, images) + _column(self.mean, images)
        )

    def normalized(self, images: Tensor) -> Tensor:
        """Apply the normalisation to …×C×H×W images."""
        return (
            images
            if self.mean is None or self.std is None
            else (images - _column(self.mean, images)) / _column(self.std, images)
        )


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    # Filled on the device: torch.tensor(values, device=...) would copy from the host and wait.
    return torch.cat([torch.full((1, 1, 1), v, dtype=like.dtype, device=like.device) for v in values])


def paste(
    images: Tensor, params: AnatPasteParams, lung_mask: Tensor | None = None, intensities: Intensities | None = None
) -> tuple[Tensor, Tensor]:
    """X_anomaly = X · (1 − X_mask) + X_paste · X_mask (Sato et al., arXiv 2205.04282, section 3).

    Args:
        images: B×1×H×W or B×3×H×W, uint8 or floating point; never modified.
        params: B rows on the images' device.
        lung_mask: Boolean B×1×H×W; None multiplies nothing in.
        intensities: How to read the values; None is (0, 255) for uint8 and (0, 1) for floating point.

    Returns:
        The augmented images, of the same shape and dtype, and X_mask as float32 B×1×H×W. Where X_mask is 0, the images
        are the given ones bit for bit.
    """
    mask = soft_mask(params, images.shape[-2], images.shape[-1], lung_mask)
    return blend(images, mask, params, intensities), mask


def blend(images: Tensor, mask: Tensor, params: AnatPasteParams, intensities: Intensities | None = None) -> Tensor:
    """The second half of `paste`, with X_mask given as float32 B×1×H×W."""
    if intensities is None:
        intensities = Intensities(0.0, 255.0) if images.dtype == torch.uint8 else Intensities()
    if images.device.type != "cpu" or torch.compiler.is_compiling():
        work = _as_float(images)
        pasted = intensities.normalized(_patches(intensities.raw(work), params, intensities))
        return _as_dtype(torch.lerp(work, pasted, mask.to(work.dtype)), images.dtype)

    # On the CPU only the pixels under the mask are worth touching.
    out = images.clone()
    columns = zip(*(field.tolist() for field in params), strict=True)
    windows = support_windows(params, *images.shape[-2:])
    for index, (window, values) in enumerate(zip(windows, columns, strict=True)):
        if window is None:
            continue
        row = _Row(*values)
        area = (index, slice(None), *window)
        current = _as_float(images[area])
        patch = intensities.normalized(_window_patch(images[index], row, window, intensities))
        out[area] = _as_dtype(torch.lerp(current, patch, mask[area].to(current.dtype)), images.dtype)
    return out


def _as_float(images: Tensor) -> Tensor:
    return images if images.dtype in (torch.float32, torch.float64) else images.float()


def _as_dtype(images: Tensor, dtype: torch.dtype) -> Tensor:
    return images.round().to(dtype) if dtype == torch.uint8 else images.to(dtype)


def _patches(images: Tensor, params: AnatPasteParams, intensities: Intensities) -> Tensor:
    """X_paste of a batch: the jittered patch at its place, black outside."""
    black, white = intensities.black, intensities.white
    height, width = images.shape[-2:]
    rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    from_row, from_column = rows - params.source_top.unsqueeze(1), columns - params.source_left.unsqueeze(1)
    region = _within(from_row, params.height, from_column, params.width)
    jittered = color_jitter(
        images,
        params.brightness,
        params.contrast,
        params.saturation,
        params.hue,
        params.jitter_order,
        black=black,
        white=white,
        region=region,
    )
    row = rows - (params.center_y - params.height // 2).unsqueeze(1)
    column = columns - (params.center_x - params.width // 2).unsqueeze(1)
    source_row = (row + params.source_top.unsqueeze(1)).clamp(0, height - 1)
    source_column = (column + params.source_left.unsqueeze(1)).clamp(0, width - 1)
    index = (source_row.unsqueeze(2) * width + source_column.unsqueeze(1)).flatten(1).unsqueeze(1)
    moved = jittered.flatten(2).gather(2, index.expand(-1, images.shape[1], -1)).view_as(images)
    return torch.where(_within(row, params.height, column, params.width), moved, black)


def _within(row: Tensor, height: Tensor, column: Tensor, width: Tensor) -> Tensor:
    inside_rows = (row >= 0) & (row < height.unsqueeze(1))
    inside_columns = (column >= 0) & (column < width.unsqueeze(1))
    return (inside_rows.unsqueeze(2) & inside_columns.unsqueeze(1)).unsqueeze(1)


def _window_patch(image: Tensor, row: _Row, window: tuple[slice, slice], intensities: Intensities) -> Tensor:
    """X_paste of one C×H×W image, on a window of it; the fields of ``row`` are Python numbers."""
    crop = image[:, row.source_top : row.source_top + row.height, row.source_left : row.source_left + row.width]
    crop = _jitter_one(intensities.raw(_as_float(crop)), row, intensities.black, intensities.white)
    rows, columns = window
    patch = crop.new_full((len(image), rows.stop - rows.start, columns.stop - columns.start), intensities.black)
    into_rows, from_rows = _overlap(row.center_y - row.height // 2, row.height, rows)
    into_columns, from_columns = _overlap(row.center_x - row.width // 2, row.width, columns)
    patch[:, into_rows, into_columns] = crop[:, from_rows, from_columns]
    return patch


def _overlap(start: int, length: int, window: slice) -> tuple[slice, slice]:
    """The part of start…start + length in the window, in the window's coordinates and from ``start``."""
    low, high = max(start, window.start), min(start + length, window.stop)
    return slice(low - window.start, high - window.start), slice(low - start, high - start)


def _jitter_one(crop: Tensor, row: _Row, black: float, white: float) -> Tensor:
    """`color_jitter` of one C×H×W image by Python numbers: only the steps that act."""
    images = crop.unsqueeze(0)
    for step in row.jitter_order:
        if step == 0:
            images = adjust_brightness(images, row.brightness, black, white)
        elif step == 1:
            images = adjust_contrast(images, row.contrast, luminance(images).mean(), black, white)
        elif images.shape[1] == 3 and step == 2:
            images = adjust_saturation(images, row.saturation, black, white)
        elif images.shape[1] == 3 and step == 3:
            images = adjust_hue(images, row.hue, black, white)
    return images[0]
