"""The blurred anatomical mask: an ellipse or rectangle inside the patch, blurred, times the lungs."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..params import AnatPasteParams


class Extent(NamedTuple):
    """First and last row and column of each soft shape before its blur; int64 tensors B, or integers."""

    top: Tensor
    bottom: Tensor
    left: Tensor
    right: Tensor


def shape_extent(params: AnatPasteParams) -> Extent:
    """Where the shapes lie: the patch less the margin on each side, at least its centre pixel."""
    reach_y = (params.height // 2 - params.margin).clamp_min(0)
    reach_x = (params.width // 2 - params.margin).clamp_min(0)
    return Extent(
        params.center_y - reach_y, params.center_y + reach_y, params.center_x - reach_x, params.center_x + reach_x
    )


def blur_radius(sigma: Tensor, longest: int) -> Tensor:
    """Distance at which the Gaussian is cut off: 4 sigma as in ``scipy.ndimage``, and never beyond the image."""
    return (4.0 * sigma + 0.5).long().clamp_max(longest - 1)


def soft_mask(params: AnatPasteParams, height: int, width: int, lung_mask: Tensor | None = None) -> Tensor:
    """X_mask of the paper: the blurred shape X_blur, multiplied with the lung mask unless ``params.anywhere``.

    The Gaussian is that of ``scipy.ndimage.gaussian_filter(mode="nearest", truncate=4)``. Both of its passes are small
    matrix products, which read nothing outside the shape. Where CUDA is told to multiply in TF32, their precision is
    TF32's.

    Args:
        params: B rows.
        height: Height H of the images.
        width: Width W of the images.
        lung_mask: Boolean B×1×H×W; None counts as lung everywhere.

    Returns:
        float32 B×1×H×W in [0, 1]; 0 for images that are not to be augmented.
    """
    half = half_gaussian(params.sigma, max(height, width))
    extent = shape_extent(params)
    if params.sigma.device.type != "cpu" or torch.compiler.is_compiling():
        rows = torch.arange(height, device=params.sigma.device)
        columns = torch.arange(width, device=params.sigma.device)
        mask = _blurred(extent, params, half, rows, rows, columns, columns, (height, width))
        if lung_mask is not None:
            mask = mask * (lung_mask[:, 0] | params.anywhere.view(-1, 1, 1))
        return (mask * params.apply.view(-1, 1, 1)).unsqueeze(1)

    # On the CPU only the pixels that the blurred shape reaches are worth computing.
    mask = torch.zeros(len(params.sigma), 1, height, width)
    for index, window in enumerate(support_windows(params, height, width)):
        if window is None:
            continue
        one = slice(index, index + 1)
        row = params.rows(one)
        box = Extent(*(edge[one] for edge in extent))
        rows, columns = (torch.arange(side.start, side.stop) for side in window)
        inner_rows = torch.arange(max(int(box.top), 0), min(int(box.bottom), height - 1) + 1)
        inner_columns = torch.arange(max(int(box.left), 0), min(int(box.right), width - 1) + 1)
        part = _blurred(box, row, half[one], rows, inner_rows, columns, inner_columns, (height, width))[0]
        if lung_mask is not None and not bool(row.anywhere):
            part *= lung_mask[index, 0, window[0], window[1]]
        mask[index, 0, window[0], window[1]] = part
    return mask


def support_windows(params: AnatPasteParams, height: int, width: int) -> list[tuple[slice, slice] | None]:
    """The rows and columns that each image's blurred shape reaches; None for an image that is left alone."""
    extent = shape_extent(params)
    radius = blur_radius(params.sigma, max(height, width))
    top, left = (extent.top - radius).clamp_min(0), (extent.left - radius).clamp_min(0)
    bottom, right = (extent.bottom + radius).clamp_max(height - 1), (extent.right + radius).clamp_max(width - 1)
    table = torch.stack([top, bottom + 1, left, right + 1, params.apply.long()], 1).tolist()
    return [(slice(t, b), slice(lo, hi)) if apply else None for t, b, lo, hi, apply in table]


def half_gaussian(sigma: Tensor, longest: int) -> Tensor:
    """Normalised Gaussian weights at the distances 0…longest − 1, one row per sigma; sigma 0 is the identity."""
    distance = torch.arange(longest, device=sigma.device)
    weight = torch.exp(-0.5 * (distance / sigma.clamp_min(1e-6).unsqueeze(1)) ** 2)
    weight = weight * (distance <= blur_radius(sigma, longest).unsqueeze(1))
    return weight / (2 * weight.sum(1, keepdim=True) - weight[:, :1])


def _blurred(
    extent: Extent,
    params: AnatPasteParams,
    half: Tensor,
    rows: Tensor,
    inner_rows: Tensor,
    columns: Tensor,
    inner_columns: Tensor,
    size: tuple[int, int],
) -> Tensor:
    """The blurred shape on ``rows`` × ``columns``, from its values on ``inner_rows`` × ``inner_columns``."""
    inside = _inside(
        (inner_rows - (extent.top + extent.bottom).unsqueeze(1) // 2).abs(),
        (inner_columns - (extent.left + extent.right).unsqueeze(1) // 2).abs(),
        ((extent.bottom - extent.top) // 2).unsqueeze(1),
        ((extent.right - extent.left) // 2).unsqueeze(1),
        params.ellipse,
    )
    with torch.autocast(half.device.type, enabled=False):
        across = inside @ _blur_matrix(half, columns, inner_columns, size[1]).transpose(1, 2)
        return (_blur_matrix(half, rows, inner_rows, size[0]) @ across) * params.opacity.view(-1, 1, 1)


def _inside(y: Tensor, x: Tensor, reach_y: Tensor, reach_x: Tensor, ellipse: Tensor) -> Tensor:
    """float32 B×rows×columns: 1 inside the shape, from each row's and column's distance to its centre.

    The ellipse is rastered by the midpoint rule, as Pillow does: a row ends at the pixel nearest to the curve, seen
    along the row or along the column.
    """
    room_x = reach_x.square() * (1 - (y.double() / reach_y.clamp_min(1)).square())
    room_y = reach_y.square() * (1 - (x.double() / reach_x.clamp_min(1)).square())
    along_row = _midpoint(x).unsqueeze(1) <= room_x.unsqueeze(2)
    along_column = _midpoint(y).unsqueeze(2) <= room_y.unsqueeze(1)
    within = (y <= reach_y).unsqueeze(2) & (x <= reach_x).unsqueeze(1)
    return ((along_row | along_column | ~ellipse.view(-1, 1, 1)) & within).float()


def _midpoint(distance: Tensor) -> Tensor:
    """Mean of the squares of ``distance`` and the pixel before it; the centre itself is always nearest."""
    return torch.where(distance > 0, distance * (distance - 1) + 0.5, 0.0)


def _blur_matrix(half: Tensor, outer: Tensor, inner: Tensor, size: int) -> Tensor:
    """B×outer×inner weights of a blur along one axis of ``size`` pixels, with the edge pixels replicated outwards."""
    weight = half[:, (outer.unsqueeze(1) - inner).abs()]
    # All the weight past each distance, summed from the far end so that it is exactly 0 where the kernel is.
    beyond = torch.nn.functional.pad(half.flip(1).cumsum(1).flip(1)[:, 1:], (0, 1))
    first, last = (inner == 0).float(), (inner == size - 1).float()
    return weight + beyond[:, outer].unsqueeze(2) * first + beyond[:, size - 1 - outer].unsqueeze(2) * last
