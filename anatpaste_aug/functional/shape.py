"""The blurred shape of a patch: an ellipse or a rectangle, and a Gaussian blur as two matrix products."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..params import AnatPasteParams


class Extent(NamedTuple):
    """First and last row and column of each shape before its blur, inclusive; int64 B, also beyond the image."""

    top: Tensor
    bottom: Tensor
    left: Tensor
    right: Tensor


def shape_extent(params: AnatPasteParams) -> Extent:
    """Where the shapes lie: the patch less the margin on each side, at least its centre pixel."""
    reach_y, reach_x = _reach(params.height, params.margin), _reach(params.width, params.margin)
    y, x = params.center_y, params.center_x
    return Extent(y - reach_y, y + reach_y, x - reach_x, x + reach_x)


def _reach(side: Tensor, margin: Tensor) -> Tensor:
    return (side // 2 - margin).clamp_min(0)


def blurred_shape(params: AnatPasteParams, height: int, width: int) -> Tensor:
    """X_blur of the paper on whole frames.

    The Gaussian is that of ``scipy.ndimage.gaussian_filter(mode="nearest", truncate=4)``. Where CUDA is told to
    multiply in TF32, the precision is TF32's.

    Args:
        params: B rows.
        height: Height H of the images.
        width: Width W of the images.

    Returns:
        float32 B×H×W in [0, 1].
    """
    half = half_gaussian(params.sigma, max(height, width))
    rows = torch.arange(height, device=params.sigma.device)
    columns = torch.arange(width, device=params.sigma.device)
    inside = _inside(params, rows, columns).float()
    with torch.autocast(half.device.type, enabled=False):
        across = inside @ _blur_matrix(half, columns).transpose(1, 2)
        blurred = (_blur_matrix(half, rows) @ across).mul_(params.opacity.view(-1, 1, 1))
        return blurred.clamp_max_(1)  # sums of weights may exceed it by a rounding


def _inside(params: AnatPasteParams, rows: Tensor, columns: Tensor) -> Tensor:
    """Boolean B×rows×columns: the shapes before their blur.

    The ellipse is rastered by the midpoint rule, as Pillow does: a row ends at the pixel nearest to the curve, seen
    along the row or along the column.
    """
    reach_y, reach_x = _reach(params.height, params.margin), _reach(params.width, params.margin)
    reach_y, reach_x = reach_y.unsqueeze(1), reach_x.unsqueeze(1)
    y, x = (rows - params.center_y.unsqueeze(1)).abs(), (columns - params.center_x.unsqueeze(1)).abs()
    # x² / reach_x² + y² / reach_y² <= 1 at the midpoints, without its fractions: exact in integers on every device.
    square_y, square_x = reach_y.clamp_min(1).square(), reach_x.clamp_min(1).square()
    room_x, room_y = 2 * reach_x.square() * (square_y - y.square()), 2 * reach_y.square() * (square_x - x.square())
    along_row = (_midpoint(x) * square_y).unsqueeze(1) <= room_x.unsqueeze(2)
    along_column = (_midpoint(y) * square_x).unsqueeze(2) <= room_y.unsqueeze(1)
    within = (y <= reach_y).unsqueeze(2) & (x <= reach_x).unsqueeze(1)
    return (along_row | along_column | ~params.ellipse.view(-1, 1, 1)) & within


def _midpoint(distance: Tensor) -> Tensor:
    """Sum of the squares of ``distance`` and the pixel before it; the centre itself is always nearest."""
    return torch.where(distance > 0, 2 * distance * (distance - 1) + 1, 0)


def blur_radius(sigma: Tensor, longest: int) -> Tensor:
    """Distance at which the Gaussian is cut off: 4 sigma as in ``scipy.ndimage``, and never beyond the image."""
    # Before it is a whole number, because those of 64 bits do not reach as far as float32.
    return (4.0 * sigma + 0.5).clamp_max(longest - 1).long()


def half_gaussian(sigma: Tensor, longest: int) -> Tensor:
    """B×longest normalised weights at the distances 0…longest − 1; sigma 0 is the identity."""
    distance = torch.arange(longest, device=sigma.device)
    weight = torch.exp(-0.5 * (distance / sigma.clamp_min(1e-6).unsqueeze(1)) ** 2)
    weight = weight * (distance <= blur_radius(sigma, longest).unsqueeze(1))
    return weight / (2 * weight.sum(1, keepdim=True) - weight[:, :1])


def weight_beyond(half: Tensor) -> Tensor:
    """All the weight past each distance; summed from the far end, so that it is exactly 0 where the kernel is."""
    return torch.nn.functional.pad(half.flip(1).cumsum(1).flip(1)[:, 1:], (0, 1))


def _blur_matrix(half: Tensor, positions: Tensor) -> Tensor:
    """B×size×size weights of a blur along one axis, with the edge pixels replicated outwards."""
    beyond = weight_beyond(half)[:, : len(positions)]
    matrix = half[:, (positions.unsqueeze(1) - positions).abs()]
    matrix[:, :, 0] += beyond
    matrix[:, :, -1] += beyond.flip(1)
    return matrix
