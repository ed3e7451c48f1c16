"""The shape that is pasted: an ellipse or rectangle, blurred by two matrix products, or the whole patch."""

import torch
from torch import Tensor

from anatpaste_aug.functional.move import column, inside_patch
from anatpaste_aug.paste.params import PasteParams


def shape_weights(
    params: PasteParams,
    row: Tensor,
    column_: Tensor,
    half: Tensor | None,
    *,
    hard: bool = False,
    core: tuple[slice, slice] | None = None,
) -> Tensor:
    """Draw X_blur of the AnatPaste paper, or the whole patch.

    The Gaussian is that of ``scipy.ndimage.gaussian_filter(mode="nearest", truncate=4)``. If CUDA is
    set to multiply in TF32, the precision is that of TF32.

    Args:
        params: One patch per image, B rows.
        row: The rows that `patch_pixels` returned for images of H×W.
        column_: The columns that it returned.
        half: B×L weights of `half_gaussian`, L at least H and W; None does not blur.
        hard: The whole patch without blur, instead of the drawn shape less its margin.
        core: Rows and columns that contain the drawn shape before its blur, without any rotation; None is all.

    Returns:
        float32 B×H×W in [0, 1].
    """
    if hard:
        return inside_patch(params, row, column_) * column(params.opacity)
    if half is None:
        return _inside(params, row, column_) * column(params.opacity)
    rows, columns = (slice(None), slice(None)) if core is None else core
    if core is None:
        inside = _inside(params, row, column_)
        height, width = inside.shape[1:]
    else:
        inside = _inside(params, row[:, rows], column_[..., columns])
        height, width = row.shape[1], column_.shape[2]
    with torch.autocast(half.device.type, enabled=False):
        across = inside.float() @ _blur_matrix(half, width)[:, :, columns].transpose(1, 2)
        blurred = (_blur_matrix(half, height)[:, :, rows] @ across).mul_(column(params.opacity))
        return blurred.clamp_max_(1)  # sums of weights may exceed 1 by a rounding error


def reach(params: PasteParams) -> tuple[Tensor, Tensor]:
    """Return how far the drawn shape extends from its center along rows and columns, the center pixel excluded."""
    return (
        (params.scaled_height // 2 - params.margin).clamp_min(0),
        (params.scaled_width // 2 - params.margin).clamp_min(0),
    )


def _inside(params: PasteParams, row: Tensor, column_: Tensor) -> Tensor:
    """Draw the shapes before their blur: boolean B×H×W.

    The ellipse is rasterized by the midpoint rule, as in Pillow: a row ends at the pixel nearest to the curve, measured
    along the row or along the column.
    """
    reach_y, reach_x = (column(far) for far in reach(params))
    y = (row - column(params.scaled_height // 2)).abs()
    x = (column_ - column(params.scaled_width // 2)).abs()
    # x² / reach_x² + y² / reach_y² <= 1 at the midpoints, without fractions: exact in integers on every device.
    square_y, square_x = reach_y.clamp_min(1).square(), reach_x.clamp_min(1).square()
    room_x, room_y = 2 * reach_x.square() * (square_y - y.square()), 2 * reach_y.square() * (square_x - x.square())
    nearest = (_midpoint(x) * square_y <= room_x) | (_midpoint(y) * square_x <= room_y)
    return (nearest | ~column(params.ellipse)) & (y <= reach_y) & (x <= reach_x)


def _midpoint(distance: Tensor) -> Tensor:
    """Return d² + (d − 1)², twice the square at the midpoint up to a constant; 0 at the center."""
    return torch.where(distance > 0, 2 * distance * (distance - 1) + 1, 0)


def blur_radius(sigma: Tensor, longest: int) -> Tensor:
    """Return where the Gaussian is truncated: 4 sigma as in ``scipy.ndimage``, at most the size of the image."""
    # Clamp before the conversion, because float32 can exceed the range of int64.
    return (4.0 * sigma + 0.5).clamp_max(longest - 1).long()


def half_gaussian(sigma: Tensor, longest: int) -> Tensor:
    """Return B×longest normalized weights at the distances 0…longest − 1; sigma 0 is the identity."""
    distance = torch.arange(longest, device=sigma.device)
    weight = torch.exp(-0.5 * (distance / sigma.clamp_min(1e-6).unsqueeze(1)) ** 2)
    weight = weight * (distance <= blur_radius(sigma, longest).unsqueeze(1))
    return weight / (2 * weight.sum(1, keepdim=True) - weight[:, :1])


def weight_beyond(half: Tensor) -> Tensor:
    """Sum the weights beyond each distance, from the far end, so that it is exactly 0 where the kernel has ended."""
    return torch.nn.functional.pad(half.flip(1).cumsum(1).flip(1)[:, 1:], (0, 1))


def _blur_matrix(half: Tensor, size: int) -> Tensor:
    """Return the B×size×size matrix of a blur along one axis, with edge pixels replicated."""
    beyond = weight_beyond(half)[:, :size]
    both = torch.cat([half[:, 1:size].flip(1), half[:, :size]], 1)
    matrix = both.unfold(1, size, 1).flip(1)  # each row is the previous one, shifted by a pixel
    matrix[:, :, 0] += beyond
    matrix[:, :, -1] += beyond.flip(1)
    return matrix
