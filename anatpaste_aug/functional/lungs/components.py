"""8-connected components of boolean batches: label them, clear the border, remove small ones.

Algorithm 1 dilates the points that an erosion has left by squares. The components of the dilated mask need no
labeling of its pixels: two squares of 2·radius + 1 pixels touch where their centers are at most 2·radius + 1 rows and
columns apart, so linking the points (see `blocks`) is enough. With a radius of 1, a point is ``o``:

    # # # . . .        # # # . . .
    # o # # # #        # o # . . .
    # # # # o #        # # # . . .
    . . . # # #        . . . # # #
                       . . . # o #
                       . . . # # #
    3 columns apart:   3 rows and columns apart:
    side by side       corner to corner

Both pairs are one component each. At a distance of 4 there is a gap.
"""

import math
from typing import Literal, overload

import torch
from torch import Tensor

from anatpaste_aug.functional import _numba
from anatpaste_aug.functional.checks import check_masks
from anatpaste_aug.functional.lungs.blocks import in_blocks, label_blocks, link_blocks


@overload
def label_components(
    mask: Tensor, rounds: int | None = None, *, return_converged: Literal[False] = False
) -> Tensor: ...
@overload
def label_components(
    mask: Tensor, rounds: int | None = None, *, return_converged: Literal[True]
) -> tuple[Tensor, Tensor]: ...
def label_components(
    mask: Tensor, rounds: int | None = None, *, return_converged: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """Label the 8-connected components of every mask.

    Args:
        mask: Boolean B×H×W.
        rounds: Number of rounds of label propagation. None runs until convergence on the CPU, and a fixed number on an
            accelerator.
        return_converged: Also return a boolean B: whether the labels of each image have converged.

    Returns:
        int64 B×(H·W). The label of a component is the flat index of its first pixel in reading order, that of the
        background is H·W. An image whose labels have not converged is all background.

    Example:
        >>> label_components(torch.eye(3, dtype=torch.bool).unsqueeze(0)).unique().tolist()
        [0, 9]
    """
    check_masks(mask)
    blocks, converged = label_blocks(link_blocks(mask, 1), rounds)
    first = on_pixels(first_pixels(mask, blocks).gather(1, blocks.long()), mask, 2)
    labels = torch.where(mask & converged.view(-1, 1, 1), first, mask.shape[1] * mask.shape[2]).flatten(1).long()
    return (labels, converged) if return_converged else labels


def first_pixels(mask: Tensor, blocks: Tensor) -> Tensor:
    """Find the first pixel of each component in reading order: int32 B×blocks at its label, H·W where there is none."""
    index = torch.arange(mask.shape[1] * mask.shape[2], dtype=torch.int32, device=mask.device)
    after = in_blocks(torch.where(mask, index.view(mask.shape[1:]) - len(index), 0), 2)  # negative inside the mask
    nearest = after.amin((2, 4)).flatten(1) + len(index)
    return torch.full_like(blocks, len(index)).scatter_reduce_(1, blocks.long(), nearest, "amin")


def sum_per_label(labels: Tensor, values: Tensor) -> Tensor:
    """Sum B×n values by their labels in 0…n − 1: int32 B×n."""
    return torch.zeros_like(labels).scatter_add_(1, labels.long(), values)


def on_pixels(values: Tensor, mask: Tensor, side: int) -> Tensor:
    """Give each pixel the value of the block that it lies in: B×H×W of B×blocks values."""
    batch, height, width = mask.shape
    rows, columns = -(-height // side), -(-width // side)
    spread = values.view(batch, rows, 1, columns, 1).expand(-1, -1, side, -1, side)
    return spread.reshape(batch, rows * side, columns * side)[:, :height, :width]


@overload
def clear_border(mask: Tensor, *, return_converged: Literal[False] = False) -> Tensor: ...
@overload
def clear_border(mask: Tensor, *, return_converged: Literal[True]) -> tuple[Tensor, Tensor]: ...
def clear_border(mask: Tensor, *, return_converged: bool = False) -> Tensor | tuple[Tensor, Tensor]:
    """Remove every component that touches the image's border (``skimage.segmentation.clear_border``).

    Args:
        mask: Boolean B×H×W.
        return_converged: Also return a boolean B: whether the labels of each image's components have converged. They
            always do on the CPU. An accelerator runs a fixed number of rounds; an image whose labels have not
            converged by then gets an empty mask.

    Returns:
        The boolean B×H×W mask.
    """
    check_masks(mask)
    if _numba.supports(mask):
        kept, converged = _numba.keep_components(mask, True, 1.0), all_true(mask)
    else:
        kept, converged = clear_border_of_squares(mask, 0)
    return (kept, converged) if return_converged else kept


def clear_border_of_squares(points: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Apply `clear_border` to a mask that is given by the points of its erosion.

    Args:
        points: Boolean B×H×W; the mask is their dilation by a square of 2·radius + 1 pixels.
        radius: 0 to 3.

    Returns:
        The points of the components that stay, boolean B×H×W, and whether each image has converged, boolean B.
    """
    side, inner = 2 * radius + 2, slice(radius + 1, -radius - 1)
    labels, converged = label_blocks(link_blocks(points, side - 1))
    outer = points.clone()
    outer[:, inner, inner] = False
    touched = sum_per_label(labels, in_blocks(outer, side).any(4).any(2).flatten(1).int())
    keep = (touched.gather(1, labels.long()) == 0) & converged.unsqueeze(1)
    return points & on_pixels(keep, points, side), converged


@overload
def remove_small_components(mask: Tensor, min_size: float, *, return_converged: Literal[False] = False) -> Tensor: ...
@overload
def remove_small_components(
    mask: Tensor, min_size: float, *, return_converged: Literal[True]
) -> tuple[Tensor, Tensor]: ...
def remove_small_components(
    mask: Tensor, min_size: float, *, return_converged: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """Remove every component of fewer than ``min_size`` pixels.

    Args:
        mask: Boolean B×H×W.
        min_size: The smallest area that stays, in pixels.
        return_converged: See [`clear_border`][anatpaste_aug.functional.clear_border].

    Returns:
        The boolean B×H×W mask.
    """
    check_masks(mask)
    if _numba.supports(mask):
        kept, converged = _numba.keep_components(mask, False, float(min_size)), all_true(mask)
    else:
        labels, converged = label_blocks(link_blocks(mask, 1))
        area = sum_per_label(labels, pixels_per_block(mask))
        keep = (area.gather(1, labels.long()) >= _smallest_area(min_size)) & converged.unsqueeze(1)
        kept = mask & on_pixels(keep, mask, 2)
    return (kept, converged) if return_converged else kept


def remove_small_squares(points: Tensor, mask: Tensor, min_size: float) -> tuple[Tensor, Tensor]:
    """Apply `remove_small_components` to a mask that is the dilation of ``points`` by a square of 5 pixels."""
    labels, converged = label_blocks(link_blocks(points, 5))
    # The area is counted in 2×2 blocks of the mask. All points whose squares reach into one such block are at most 5
    # rows and columns apart, so the block belongs to one component.
    quads = in_blocks(points, 2).any(4).any(2)
    of_quads = torch.where(quads, on_pixels(labels, quads, 3), labels.shape[1])
    of_quads = _smallest_around(of_quads).flatten(1).clamp_max_(labels.shape[1] - 1).long()
    area = torch.zeros_like(labels).scatter_add_(1, of_quads, pixels_per_block(mask))
    keep = (area.gather(1, of_quads) >= _smallest_area(min_size)) & converged.unsqueeze(1)
    return mask & on_pixels(keep, mask, 2), converged


def _smallest_area(min_size: float) -> int:
    """Round ``min_size`` up to a whole number of pixels; NaN gives a number that no area reaches."""
    if not min_size < 2**31 - 1:
        return 2**31 - 1
    return math.ceil(max(min_size, 0.0))


def pixels_per_block(mask: Tensor) -> Tensor:
    """Count the pixels of the mask in 2×2 blocks: int32 B×blocks."""
    return in_blocks(mask, 2).view(torch.uint8).sum((2, 4), dtype=torch.int32).flatten(1)


def _smallest_around(labels: Tensor) -> Tensor:
    """Take the minimum over 3×3 blocks."""
    for axis in (1, 2):
        size, out = labels.shape[axis] - 1, labels.clone()
        out.narrow(axis, 0, size).clamp_max_(labels.narrow(axis, 1, size))
        out.narrow(axis, 1, size).clamp_max_(labels.narrow(axis, 0, size))
        labels = out
    return labels


def all_true(mask: Tensor) -> Tensor:
    """Make a boolean B of True on the device of a batch."""
    return torch.ones(mask.shape[0], dtype=torch.bool, device=mask.device)
