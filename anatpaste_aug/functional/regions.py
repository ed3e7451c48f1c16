"""Holes and sizes of 8-connected components, on boolean batches.

Every function returns the mask and a boolean B: whether the labelling of the components settled. It always does on the
CPU; on an accelerator, which runs a fixed number of rounds, the mask of an image for which it did not is empty.
"""

import math

import torch
from torch import Tensor

from .blocks import label_blocks, link_blocks
from .checks import check_masks
from .components import (
    clear_border,
    first_pixels,
    on_pixels,
    pixels_per_block,
    remove_small_components,
    sum_per_label,
)


def fill_holes(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Fill what the mask encloses (``scipy.ndimage.binary_fill_holes``).

    A hole is a 4-connected component of the background that does not touch the border: a closed 8-connected curve
    encloses one.

    Args:
        mask: Boolean B×H×W.

    Returns:
        The boolean B×H×W mask, and a boolean B: whether the labelling settled.

    Example:
        >>> ring = torch.ones(1, 5, 5, dtype=torch.bool)
        >>> ring[0, 1:4, 1:4] = False
        >>> fill_holes(ring)[0].all().item()
        True
    """
    check_masks(mask)
    # Between any two lines goes a third, their "and": in that taller image 8-connected means 4-connected in this one.
    batch, height, width = mask.shape
    tall = torch.zeros(batch, max(2 * height - 1, 0), width, dtype=torch.bool, device=mask.device)
    tall[:, ::2] = ~mask
    tall[:, 1::2] = ~(mask[:, 1:] | mask[:, :-1])
    holes, settled = clear_border(tall)
    return (mask | holes[:, ::2]) & settled.view(-1, 1, 1), settled


def keep_largest(mask: Tensor, count: int = 1) -> tuple[Tensor, Tensor]:
    """Keep the ``count`` largest components; of equally large ones, those that come first in reading order.

    Args:
        mask: Boolean B×H×W.
        count: How many components stay in each image, at least 1.

    Returns:
        The boolean B×H×W mask, and a boolean B: whether the labelling settled.

    Example:
        >>> mask = torch.tensor([[[1, 0, 1, 1, 0, 1]]]).bool()
        >>> keep_largest(mask)[0].int().tolist()
        [[[0, 0, 1, 1, 0, 0]]]
    """
    check_masks(mask)
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    labels, settled = label_blocks(link_blocks(mask, 1))
    pixels, blocks = mask.shape[1] * mask.shape[2], labels.shape[1]
    area = sum_per_label(labels, pixels_per_block(mask)).long()
    # Its first pixel, in reading order, makes a component of the same area as another distinct.
    rank = area * (pixels + 1) + (pixels - first_pixels(mask, labels))
    last = rank.topk(min(count, blocks), dim=1).values[:, -1:]
    keep = (rank >= last).gather(1, labels.long()) & settled.unsqueeze(1)
    return mask & on_pixels(keep, mask, 2), settled


def remove_large_components(mask: Tensor, max_size: float) -> tuple[Tensor, Tensor]:
    """Drop every component of more than ``max_size`` pixels.

    Args:
        mask: Boolean B×H×W.
        max_size: The largest area that stays, in pixels.

    Returns:
        The boolean B×H×W mask, and a boolean B: whether the labelling settled.

    Example:
        >>> mask = torch.tensor([[[1, 0, 1, 1, 0, 1]]]).bool()
        >>> remove_large_components(mask, 1)[0].int().tolist()
        [[[1, 0, 0, 0, 0, 1]]]
    """
    large, settled = remove_small_components(mask, math.floor(max_size) + 1 if math.isfinite(max_size) else max_size)
    return mask & ~large & settled.view(-1, 1, 1), settled
