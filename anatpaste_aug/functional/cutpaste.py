"""CutPaste: cut a rectangle, jitter it, rotate it, and paste it elsewhere in the same image."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..cutpaste_params import CutPasteParams, rotated_size
from ..precision import to_float64
from .intensity import Intensities, as_laid_out, at_least_float32
from .jitter import adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation, color_jitter, luminance


def cutpaste(images: Tensor, params: CutPasteParams, intensities: Intensities | None = None) -> tuple[Tensor, Tensor]:
    """Paste a part of each image at another place of it (Li et al., arXiv 2104.04015, section 2.1).

    Args:
        images: B×1×H×W or B×3×H×W, uint8 or floating point; never modified.
        params: B rows on the images' device.
        intensities: How to read the values; None is (0, 255) for uint8 and (0, 1) for floating point.

    Returns:
        The augmented images, of the same shape and dtype, and the pasted pixels as boolean B×1×H×W. All others are the
        given ones bit for bit. A rotated patch is resampled by its nearest pixels, as Pillow's ``rotate`` does.

    Example:
        >>> from anatpaste_aug.cutpaste_params import CutPasteConfig, sample_cutpaste_params
        >>> images = torch.rand(2, 1, 64, 64)
        >>> pasted, mask = cutpaste(images, sample_cutpaste_params(CutPasteConfig(), 2, 64, 64))
        >>> pasted.shape, torch.equal(pasted[~mask], images[~mask])
        (torch.Size([2, 1, 64, 64]), True)
    """
    if intensities is None:
        intensities = Intensities(0.0, 255.0) if images.dtype == torch.uint8 else Intensities()
    if images.device.type == "cpu" and not torch.compiler.is_compiling():
        return _one_by_one(images, params, intensities)
    return _on_whole_frames(images, params, intensities)


def cutpaste_mask(params: CutPasteParams, height: int, width: int) -> Tensor:
    """The pixels that `cutpaste` pastes, without any image.

    Args:
        params: B rows.
        height: Height H of the images.
        width: Width W of the images.

    Returns:
        Boolean B×1×H×W; empty for images that are not to be augmented.

    Example:
        >>> from anatpaste_aug.cutpaste_params import CutPasteConfig, sample_cutpaste_params
        >>> cutpaste_mask(sample_cutpaste_params(CutPasteConfig(p=0), 2, 64, 64), 64, 64).any().item()
        False
    """
    return _patch_pixels(params, height, width)[2].unsqueeze(1)


def _on_whole_frames(images: Tensor, params: CutPasteParams, intensities: Intensities) -> tuple[Tensor, Tensor]:
    """What accelerators and compiled graphs run: fixed shapes, whatever the sizes of the patches."""
    height, width = images.shape[-2:]
    rows = torch.arange(height, device=images.device) - params.source_top.unsqueeze(1)
    columns = torch.arange(width, device=images.device) - params.source_left.unsqueeze(1)
    region = ((rows >= 0) & (rows < params.height.unsqueeze(1))).unsqueeze(2)
    region = region & ((columns >= 0) & (columns < params.width.unsqueeze(1))).unsqueeze(1)
    jittered = color_jitter(
        intensities.to_unit(at_least_float32(images)),
        params.brightness,
        params.contrast,
        params.saturation,
        params.hue,
        params.jitter_order,
        region=region.unsqueeze(1),
    )
    row, column, inside = _patch_pixels(params, height, width)
    row = (row + _column(params.source_top)).clamp(0, height - 1)
    column = (column + _column(params.source_left)).clamp(0, width - 1)
    index = (row * width + column).flatten(1).unsqueeze(1).expand(-1, images.shape[1], -1)
    moved = _as_given(jittered.flatten(2).gather(2, index).view_as(images), images, intensities)
    inside = inside.unsqueeze(1)
    return as_laid_out(torch.where(inside, moved, images), images), inside


def _one_by_one(images: Tensor, params: CutPasteParams, intensities: Intensities) -> tuple[Tensor, Tensor]:
    """What the CPU runs, where the sizes can be looked at: each patch alone, and no pixel besides."""
    height, width = images.shape[-2:]
    out, mask = images.clone(), images.new_zeros(len(images), 1, height, width, dtype=torch.bool)
    size = rotated_size(params.height, params.width, params.angle)
    boxes = torch.stack([params.target_top, params.target_left, *size], 1).tolist()
    rotations, angles = _inverse_rotation(params).T.tolist(), params.angle.tolist()
    for index in params.apply.nonzero()[:, 0].tolist():
        patch = _jittered_patch(images[index], params, index, intensities)
        top, left, high, wide = boxes[index]
        # All of the bounding box, unless it is larger than the image.
        rows, columns = slice(max(top, 0), min(top + high, height)), slice(max(left, 0), min(left + wide, width))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue  # wholly beyond an edge
        place = (index, slice(None), rows, columns)
        if angles[index] == 0:
            out[place] = patch[:, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
            mask[place] = True
            continue
        y = torch.arange(rows.start - top, rows.stop - top, device=images.device)
        x = torch.arange(columns.start - left, columns.stop - left, device=images.device)
        row, column = _turn(rotations[index], y.unsqueeze(1), x)
        near_row, near_column = row.clamp(0, patch.shape[1] - 1), column.clamp(0, patch.shape[2] - 1)
        inside = (row == near_row) & (column == near_column)
        out[place] = torch.where(inside, patch[:, near_row, near_column], images[place])
        mask[place] = inside
    return out, mask


def _jittered_patch(image: Tensor, params: CutPasteParams, index: int, intensities: Intensities) -> Tensor:
    """C×h×w of one image before its rotation, jittered as `color_jitter` does it."""
    top, left = params.source_top[index], params.source_left[index]
    crop = image[:, top : top + params.height[index], left : left + params.width[index]]
    patch = intensities.to_unit(at_least_float32(crop.unsqueeze(0)))
    for step in params.jitter_order[index].tolist():
        if step == 0:
            patch = adjust_brightness(patch, params.brightness[index])
        elif step == 1:
            patch = adjust_contrast(patch, params.contrast[index], luminance(patch).mean())
        elif step == 2 and len(image) == 3:
            patch = adjust_saturation(patch, params.saturation[index])
        elif step == 3 and len(image) == 3:
            patch = adjust_hue(patch, params.hue[index])
    return _as_given(patch, image, intensities)[0]


def _patch_pixels(params: CutPasteParams, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """B×H×W: the row and column of the patch that come to each pixel of the image, and where there is such a pixel."""
    device = params.angle.device
    y = torch.arange(height, device=device).unsqueeze(1) - _column(params.target_top)
    x = torch.arange(width, device=device) - _column(params.target_left)
    row, column = _turn([_column(number) for number in _inverse_rotation(params)], y, x)
    inside = (row >= 0) & (row < _column(params.height)) & (column >= 0) & (column < _column(params.width))
    return row, column, inside & _column(params.apply)


def _inverse_rotation(params: CutPasteParams) -> Tensor:
    """int64 6×B: how to get from a pixel (y, x) of the bounding box to the patch, in 1/65536 of a pixel.

    The row at (0, 0) and its steps along y and x, then the column. Pillow's arithmetic; whole numbers are the same on
    every device.
    """
    radians = to_float64(params.angle).deg2rad()
    cosine, sine = radians.cos(), radians.sin()
    height, width = to_float64(params.height), to_float64(params.width)
    high, wide = (to_float64(side) for side in rotated_size(params.height, params.width, params.angle))
    first_y, first_x = (1 - high) / 2, (1 - wide) / 2  # the centre of the first pixel, seen from the middle
    row = height / 2 + cosine * first_y + sine * first_x
    column = width / 2 - sine * first_y + cosine * first_x
    steps = (torch.stack([row, cosine, sine, column, -sine, cosine]) * 65536 + 0.5).floor().long()
    return steps.to(params.angle.device)


def _turn(rotation: Sequence[Tensor | int], y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    row, row_y, row_x, column, column_y, column_x = rotation
    return (y * row_y + row + x * row_x) >> 16, (y * column_y + column + x * column_x) >> 16


def _column(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1)


def _as_given(patches: Tensor, images: Tensor, intensities: Intensities) -> Tensor:
    """Jittered pixels in [0, 1] on the scale and in the dtype of the images."""
    patches = intensities.from_unit(patches)
    return patches.round().to(torch.uint8) if images.dtype == torch.uint8 else patches.to(images.dtype)
