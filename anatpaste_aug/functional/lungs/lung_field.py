"""The whole lung field of a frontal chest radiograph: Algorithm 1, completed by geometry. Nothing is learned.

The field is what radiologists outline: it includes the ribs and the lung behind the heart. Each half of the chest is
unfolded from the spine outward, so that the same code handles both: column u is the distance from the spine.
"""

import math
from typing import Literal, overload

import torch
from torch import Tensor

from anatpaste_aug.functional.intensity import to_gray
from anatpaste_aug.functional.lungs.disk import close_disk, open_disk
from anatpaste_aug.functional.lungs.regions import keep_largest
from anatpaste_aug.functional.lungs.segment import segment_lungs
from anatpaste_aug.precision import to_float64

# Chosen on 75 radiographs (see LungFieldSegmenter). Lengths are in pixels at 256×256 unless stated otherwise.
_SMALLEST = 100.0  # the spaces between ribs are small components
_RIB = 4.0  # radius of the closing that joins them
_BRIDGE = 5.0  # radius of the opening that separates the lung from armpit, neck and stomach
_SPINE_HALF = 5.0
_SPINE = (10.0, 30.0)  # sigmas of the difference of Gaussians that detects the spine
_SPINE_ROWS = (0.08, 0.86)  # fractions of the height
_SPINE_COLUMNS = (0.35, 0.65)  # fractions of the width
_MEDIAL = 0.08  # distance of the field from the spine's middle, in widths of the chest
_NORMALS = range(-15, 180, 15)  # directions of the hull in degrees: 0 is lateral, 90 is up
_RISE = 1.0  # the diaphragm rises toward the spine at most this steeply
_DIAPHRAGMS = 0.1  # one dome is at most this fraction of the height above the other
_COLLAPSED = 0.6  # a half smaller than this fraction of the other is completed by the other's mirror image
_FAR = 1e6


@overload
def segment_lung_field(images: Tensor, *, return_converged: Literal[False] = False) -> Tensor: ...
@overload
def segment_lung_field(images: Tensor, *, return_converged: Literal[True]) -> tuple[Tensor, Tensor]: ...
def segment_lung_field(images: Tensor, *, return_converged: bool = False) -> Tensor | tuple[Tensor, Tensor]:
    """Segment the lung fields: closed, convex toward the chest wall, down to the diaphragm, up to the spine.

    Algorithm 1 → spaces between ribs joined by closing → the largest component of each half → its convex hull on the
    lateral and upper sides → bounded by the diaphragm below, found column by column and continued behind the heart, and
    by the spine → a half that is far smaller than the other is completed by the other's mirror image.

    Args:
        images: B×1×H×W or B×3×H×W, uint8 or floating point, finite, H and W at least 32. Any intensity range.
        return_converged: See [`segment_lungs`][anatpaste_aug.functional.segment_lungs].

    Returns:
        The boolean B×1×H×W mask.

    Example:
        >>> mask = segment_lung_field(torch.zeros(2, 1, 64, 64, dtype=torch.uint8))
        >>> mask.shape, mask.any().item()
        (torch.Size([2, 1, 64, 64]), False)
    """
    height, width = images.shape[-2:]
    scale = math.sqrt(height * width) / 256
    dark, converged = segment_lungs(images, min_size=_SMALLEST, return_converged=True)
    spine = _spine_column(to_gray(images.detach()), scale)
    halves = _fold(close_disk(dark[:, 0], _RIB * scale), spine)
    halves[..., : math.ceil(_SPINE_HALF * scale)] = False
    lungs, converged_again = keep_largest(open_disk(halves, _BRIDGE * scale), return_converged=True)
    converged = converged & converged_again.view(-1, 2).all(1)
    field = _unfold(_mirrored(_filled(lungs)), spine, width)
    field = (field & converged.view(-1, 1, 1)).unsqueeze(1)
    return (field, converged) if return_converged else field


def _spine_column(gray: Tensor, scale: float) -> Tensor:
    """Find the column at the center of a bright vertical band as wide as the spine: int64 B."""
    height, width = gray.shape[-2:]
    top, bottom = (int(fraction * height) for fraction in _SPINE_ROWS)
    first, last = (int(fraction * width) for fraction in _SPINE_COLUMNS)
    # In float64, because accelerators may multiply float32 in reduced precision.
    profile = _mean_of_rows(gray[:, top:bottom])
    at = torch.arange(width, device=profile.device, dtype=torch.float64)
    squared = (at[:, None] - at[first : last + 1]).square()
    narrow, wide = (torch.exp(squared / (-2 * (sigma * scale) ** 2)) for sigma in _SPINE)
    return (profile @ (narrow / narrow.sum(0) - wide / wide.sum(0))).argmax(1).to(gray.device) + first


def _mean_of_rows(rows: Tensor) -> Tensor:
    """Average the rows of B×H×W: float64 B×W."""
    if rows.dtype == torch.uint8:
        return to_float64(rows.sum(1, dtype=torch.int32)) / rows.shape[1]
    return to_float64(rows).mean(1)


def _fold(mask: Tensor, spine: Tensor) -> Tensor:
    """Split B×H×W into left and right halves, 2B×H×U, with column u at distance u from the spine."""
    batch, height, width = mask.shape
    u = torch.arange(int(_SPINE_COLUMNS[1] * width) + 1, device=mask.device)  # no edge is farther from the spine
    columns = torch.stack([spine[:, None] - u, spine[:, None] + u], 1).view(2 * batch, 1, len(u))
    index = columns.clamp(0, width - 1).expand(-1, height, -1)
    return mask.repeat_interleave(2, 0).gather(2, index) & (columns >= 0) & (columns < width)


def _unfold(halves: Tensor, spine: Tensor, width: int) -> Tensor:
    """Invert `_fold`; the spine's own column is taken from the left half."""
    height, reach = halves.shape[-2:]
    u = (torch.arange(width, device=halves.device) - spine[:, None]).unsqueeze(1)
    index = u.abs().expand(-1, height, -1)
    left, right = halves.view(-1, 2, height, reach).unbind(1)
    return torch.where(u <= 0, left.gather(2, index), right.gather(2, index))


def _swapped(halves: Tensor) -> Tensor:
    """Exchange the two halves of each chest."""
    return halves.view(-1, 2, *halves.shape[1:]).flip(1).view(halves.shape)


def _filled(lungs: Tensor) -> Tensor:
    """Fill the hull of each lung down to the diaphragm and up to the spine."""
    height, reach = lungs.shape[-2:]
    u = torch.arange(reach, device=lungs.device, dtype=torch.float32)
    y = torch.arange(height, device=lungs.device, dtype=torch.float32)
    lateral = torch.where(lungs, u, -1.0).amax((1, 2))
    medial = 2 * _MEDIAL * torch.maximum(lateral, _swapped(lateral))
    inside = (u >= medial[:, None]).unsqueeze(1) & (y[:, None] <= _diaphragm(lungs, u, y).unsqueeze(1))
    return lungs | (inside & _hull(lungs, u, y))


def _hull(lungs: Tensor, u: Tensor, y: Tensor) -> Tensor:
    """Find the points enclosed by the lung's supporting lines in the directions of `_NORMALS`."""
    outermost = torch.where(lungs, u, -_FAR).amax(2)
    innermost = torch.where(lungs, u, _FAR).amin(2)
    first, last = torch.zeros_like(outermost), torch.full_like(outermost, _FAR)
    for degrees in _NORMALS:
        along_u, along_y = math.cos(math.radians(degrees)), -math.sin(math.radians(degrees))
        if degrees == 90:  # the line is a row
            highest = torch.where(outermost >= 0, y, _FAR).amin(1, keepdim=True)
            last = torch.where(y >= highest, last, -_FAR)
            continue
        extreme = outermost if along_u > 0 else innermost
        support = (extreme * along_u + y * along_y).amax(1, keepdim=True)
        line = (support - y * along_y) / along_u
        if along_u > 0:
            last = torch.minimum(last, line)
        else:
            first = torch.maximum(first, line)
    # The tolerance keeps the lung's own corners inside in spite of rounding.
    return (u >= first[..., None] - 1e-3) & (u <= last[..., None] + 1e-3)


def _diaphragm(lungs: Tensor, u: Tensor, y: Tensor) -> Tensor:
    """Find the lowest row of the field in each column: float32 2B×U.

    Where the heart hides the lung, it is continued from the columns beside it and from the other half.
    """
    lowest = torch.where(lungs, y[:, None], -_FAR).amax(1)
    lowest = torch.maximum(lowest, _swapped(lowest) - _DIAPHRAGMS * len(y))
    return (lowest - _RISE * u).flip(1).cummax(1).values.flip(1) + _RISE * u


def _mirrored(field: Tensor) -> Tensor:
    """Complete a half that is far smaller than the other by the mirror image of the other."""
    area = field.sum((1, 2))
    return field | (_swapped(field) & (area < _COLLAPSED * _swapped(area)).view(-1, 1, 1))
