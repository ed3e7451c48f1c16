"""Fill holes and select components by size, on boolean batches.

A hole is a 4-connected component of the background. `fill_holes` finds it with the 8-connected labels that the rest of
the package uses, on an image with one more line between any two lines. That line is the AND of its neighbors:

    background        with lines between
    1 0                   1 0
    0 1                   0 0      <- 1 & 0, 0 & 1
                          0 1

The two background pixels touch diagonally, so they are 8-connected on the left but no longer on the right.
"""

import math
from typing import Literal, overload

import torch
from torch import Tensor

from anatpaste_aug.functional.checks import check_masks
from anatpaste_aug.functional.lungs.blocks import label_blocks, link_blocks
from anatpaste_aug.functional.lungs.components import (
    clear_border,
    first_pixels,
    on_pixels,
    pixels_per_block,
    remove_small_components,
    sum_per_label,
)


@overload
def fill_holes(mask: Tensor, *, return_converged: Literal[False] = False) -> Tensor: ...
@overload
def fill_holes(mask: Tensor, *, return_converged: Literal[True]) -> tuple[Tensor, Tensor]: ...
def fill_holes(mask: Tensor, *, return_converged: bool = False) -> Tensor | tuple[Tensor, Tensor]:
    """Fill the holes of the mask (``scipy.ndimage.binary_fill_holes``).

    A hole is a 4-connected component of the background that does not touch the border: a closed 8-connected curve
    encloses one.

    Args:
        mask: Boolean B×H×W.
        return_converged: See [`clear_border`][anatpaste_aug.functional.clear_border].

    Returns:
        The boolean B×H×W mask.

    Example:
        >>> ring = torch.ones(1, 5, 5, dtype=torch.bool)
        >>> ring[0, 1:4, 1:4] = False
        >>> fill_holes(ring).all().item()
        True
    """
    check_masks(mask)
    # 8-connected in the taller image means 4-connected in this one; see the picture at the top.
    batch, height, width = mask.shape
    tall = torch.zeros(batch, max(2 * height - 1, 0), width, dtype=torch.bool, device=mask.device)
    tall[:, ::2] = ~mask
    tall[:, 1::2] = ~(mask[:, 1:] | mask[:, :-1])
    holes, converged = clear_border(tall, return_converged=True)
    filled = (mask | holes[:, ::2]) & converged.view(-1, 1, 1)
    return (filled, converged) if return_converged else filled


@overload
def keep_largest(mask: Tensor, count: int = 1, *, return_converged: Literal[False] = False) -> Tensor: ...
@overload
def keep_largest(mask: Tensor, count: int = 1, *, return_converged: Literal[True]) -> tuple[Tensor, Tensor]: ...
def keep_largest(mask: Tensor, count: int = 1, *, return_converged: bool = False) -> Tensor | tuple[Tensor, Tensor]:
    """Keep the ``count`` largest components; ties go to the one that comes first in reading order.

    Args:
        mask: Boolean B×H×W.
        count: How many components stay in each image, at least 1.
        return_converged: See [`clear_border`][anatpaste_aug.functional.clear_border].

    Returns:
        The boolean B×H×W mask.

    Example:
        >>> mask = torch.tensor([[[1, 0, 1, 1, 0, 1]]]).bool()
        >>> keep_largest(mask).int().tolist()
        [[[0, 0, 1, 1, 0, 0]]]
    """
    check_masks(mask)
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    labels, converged = label_blocks(link_blocks(mask, 1))
    pixels, blocks = mask.shape[1] * mask.shape[2], labels.shape[1]
    area = sum_per_label(labels, pixels_per_block(mask)).long()
    # Ties in area are broken by the first pixel in reading order, so that all ranks differ.
    rank = area * (pixels + 1) + (pixels - first_pixels(mask, labels))
    last = rank.topk(min(count, blocks), dim=1).values[:, -1:]
    keep = (rank >= last).gather(1, labels.long()) & converged.unsqueeze(1)
    kept = mask & on_pixels(keep, mask, 2)
    return (kept, converged) if return_converged else kept


@overload
def remove_large_components(mask: Tensor, max_size: float, *, return_converged: Literal[False] = False) -> Tensor: ...
@overload
def remove_large_components(
    mask: Tensor, max_size: float, *, return_converged: Literal[True]
) -> tuple[Tensor, Tensor]: ...
def remove_large_components(
    mask: Tensor, max_size: float, *, return_converged: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """Remove every component of more than ``max_size`` pixels.

    Args:
        mask: Boolean B×H×W.
        max_size: The largest area that stays, in pixels.
        return_converged: See [`clear_border`][anatpaste_aug.functional.clear_border].

    Returns:
        The boolean B×H×W mask.

    Example:
        >>> mask = torch.tensor([[[1, 0, 1, 1, 0, 1]]]).bool()
        >>> remove_large_components(mask, 1).int().tolist()
        [[[1, 0, 0, 0, 0, 1]]]
    """
    smallest = math.floor(max_size) + 1 if math.isfinite(max_size) else max_size
    large, converged = remove_small_components(mask, smallest, return_converged=True)
    small = mask & ~large & converged.view(-1, 1, 1)
    return (small, converged) if return_converged else small
