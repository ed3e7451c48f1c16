"""Cut a patch, jitter it, and blend it in through the soft mask."""

import torch
from torch import Tensor

from ..params import AnatPasteParams
from . import _numba
from .checks import check_masks
from .intensity import Intensities, at_least_float32
from .jitter import color_jitter
from .shape import blurred_shape


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
    if lung_mask is not None:
        check_masks(lung_mask[:, 0])
    if _numba.takes(images, params.sigma, lung_mask):
        pasted: tuple[Tensor, Tensor] = _numba.paste(images, list(params), lung_mask, *_readable(images, intensities))
        return pasted
    mask = soft_mask(params, images.shape[-2], images.shape[-1], lung_mask)
    return blend(images, mask, params, intensities), mask


def soft_mask(params: AnatPasteParams, height: int, width: int, lung_mask: Tensor | None = None) -> Tensor:
    """X_mask of the paper: the blurred shape X_blur, multiplied with the lung mask unless ``params.anywhere``.

    Args:
        params: B rows.
        height: Height H of the images.
        width: Width W of the images.
        lung_mask: Boolean B×1×H×W; None counts as lung everywhere.

    Returns:
        float32 B×1×H×W in [0, 1]; 0 for images that are not to be augmented.
    """
    if lung_mask is not None:
        check_masks(lung_mask[:, 0])
    if _numba.takes(params.sigma, lung_mask):
        mask: Tensor = _numba.soft_mask(list(params), height, width, lung_mask)
        return mask
    mask = blurred_shape(params, height, width)
    here = params.apply.view(-1, 1, 1)
    if lung_mask is not None:
        here = (lung_mask[:, 0] | params.anywhere.view(-1, 1, 1)) & here
    return mask.mul_(here).unsqueeze(1)


def blend(images: Tensor, mask: Tensor, params: AnatPasteParams, intensities: Intensities | None = None) -> Tensor:
    """The second half of `paste`, with X_mask as `soft_mask` made it from the same parameters."""
    intensities = _readable(images, intensities)
    if _numba.takes(images, mask):
        blended: Tensor = _numba.blend(images, mask, list(params), *intensities)
        return blended
    pasted = intensities.from_unit(_patches(images, params, intensities))
    given, weight = at_least_float32(images), mask.to(pasted.dtype)
    out = torch.lerp(given, pasted, weight) if given is images else given.lerp_(pasted, weight)  # its own copy
    del pasted
    out = out.round_().to(torch.uint8) if images.dtype == torch.uint8 else out.to(images.dtype)
    # x + 0 · y is not x in every bit: −0 becomes 0, and an infinite y gives NaN.
    return torch.where(mask > 0, out, images)


def _readable(images: Tensor, intensities: Intensities | None) -> Intensities:
    if intensities is None:
        return Intensities(0.0, 255.0) if images.dtype == torch.uint8 else Intensities()
    return intensities


def _patches(images: Tensor, params: AnatPasteParams, intensities: Intensities) -> Tensor:
    """X_paste of a batch in [0, 1]: the jittered patch at its place, black outside."""
    height, width = images.shape[-2:]
    rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    from_row, from_column = rows - params.source_top.unsqueeze(1), columns - params.source_left.unsqueeze(1)
    region = _within(from_row, params.height, from_column, params.width)
    jittered = color_jitter(
        intensities.to_unit(at_least_float32(images)),
        params.brightness,
        params.contrast,
        params.saturation,
        params.hue,
        params.jitter_order,
        region=region,
    )
    row = rows - (params.center_y - params.height // 2).unsqueeze(1)
    column = columns - (params.center_x - params.width // 2).unsqueeze(1)
    source_row = (row + params.source_top.unsqueeze(1)).clamp(0, height - 1).int()
    source_column = (column + params.source_left.unsqueeze(1)).clamp(0, width - 1).int()
    index = (source_row.unsqueeze(2) * width + source_column.unsqueeze(1)).flatten(1).unsqueeze(1)
    moved = jittered.flatten(2).gather(2, index.expand(-1, images.shape[1], -1)).view_as(images)
    return moved.masked_fill_(~_within(row, params.height, column, params.width), 0.0)


def _within(row: Tensor, height: Tensor, column: Tensor, width: Tensor) -> Tensor:
    inside_rows = (row >= 0) & (row < height.unsqueeze(1))
    inside_columns = (column >= 0) & (column < width.unsqueeze(1))
    return (inside_rows.unsqueeze(2) & inside_columns.unsqueeze(1)).unsqueeze(1)
