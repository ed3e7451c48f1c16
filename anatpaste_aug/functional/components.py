"""8-connected components of boolean batches: labels, clearing the border, dropping small ones."""

import math

import torch
from torch import Tensor

from . import cpu


def label_rounds(height: int, width: int) -> int:
    """Rounds of label propagation that an accelerator runs for an H×W mask, whatever the mask is.

    At least twice what random masks of every density, mazes, spirals and combs of 32 to 256 px were seen to need.
    """
    return 2 * math.ceil(math.log2(max(height, width))) + 2


def label_components(mask: Tensor, rounds: int | None = None) -> tuple[Tensor, Tensor]:
    """Label the 8-connected components of every mask by propagation with pointer jumping.

    Each round takes the smallest label around a pixel, hooks the pixel's own root to it and then shortens every path
    to the root; the number of rounds grows with the logarithm of the longest path, not with its length.

    Args:
        mask: Boolean B×H×W.
        rounds: Number of rounds. None runs until the labels stand still on the CPU, and ``label_rounds(H, W)`` on an
            accelerator, where asking would wait for the device.

    Returns:
        int64 B×(H·W) labels (a component has the flat index of one of its pixels, the background H·W), and a boolean
        B: whether the image's labels have settled. Labels that have not are no components.

    Example:
        >>> labels, settled = label_components(torch.eye(3, dtype=torch.bool).unsqueeze(0))
        >>> labels.unique().tolist(), settled.item()
        ([0, 9], True)
    """
    if rounds is None and cpu.takes(mask):
        return cpu.label_components(mask), _all_true(mask)
    batch, height, width = mask.shape
    background = height * width
    flat = mask.flatten(1)
    parent = torch.arange(background + 1, device=mask.device).repeat(batch, 1)
    parent[:, :background].masked_fill_(~flat, background)
    until_settled = rounds is None and mask.device.type == "cpu" and not torch.compiler.is_compiling()
    limit = background if until_settled else label_rounds(height, width) if rounds is None else rounds
    for _ in range(limit):
        nearest = _smallest_around(parent[:, :background].view(mask.shape), background).flatten(1)
        nearest = torch.where(flat, nearest, background)
        if until_settled and torch.equal(nearest, parent[:, :background]):
            return nearest, torch.ones(batch, dtype=torch.bool, device=mask.device)
        root = parent[:, :background].clone()
        parent[:, :background] = nearest
        parent.scatter_reduce_(1, root, nearest, "amin")
        for _ in range(3):
            parent = parent.gather(1, parent)
    labels = parent[:, :background]
    nearest = _smallest_around(labels.view(mask.shape), background).flatten(1)
    return labels, (~flat | (nearest == labels)).all(1)


def _smallest_around(labels: Tensor, largest: int) -> Tensor:
    padded = torch.nn.functional.pad(labels, (1, 1, 1, 1), value=largest)
    rows = torch.minimum(torch.minimum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    return torch.minimum(torch.minimum(rows[..., :-2], rows[..., 1:-1]), rows[..., 2:])


def clear_border(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Drop every component that touches the image's border (``skimage.segmentation.clear_border``).

    Args:
        mask: Boolean B×H×W.

    Returns:
        The boolean B×H×W mask and a boolean B: whether the labelling settled (always on the CPU). The mask of an image
        whose labelling did not settle is empty.
    """
    if cpu.takes(mask):
        return cpu.keep_components(mask, True, 1.0), _all_true(mask)
    labels, settled = label_components(mask)
    on_border = torch.zeros(mask.shape[1:], dtype=torch.bool, device=mask.device)
    on_border[0] = on_border[-1] = True
    on_border[:, 0] = on_border[:, -1] = True
    touched = _sum_per_label(labels, on_border.flatten().expand_as(labels)) > 0
    keep = mask & ~touched.gather(1, labels).view(mask.shape)
    return keep & settled.view(-1, 1, 1), settled


def remove_small_components(mask: Tensor, min_size: float) -> tuple[Tensor, Tensor]:
    """Drop every component of fewer than ``min_size`` pixels.

    Args:
        mask: Boolean B×H×W.
        min_size: The smallest area that stays, in pixels.

    Returns:
        As [`clear_border`][anatpaste_aug.functional.clear_border].
    """
    if cpu.takes(mask):
        return cpu.keep_components(mask, False, float(min_size)), _all_true(mask)
    labels, settled = label_components(mask)
    area = _sum_per_label(labels, mask.flatten(1))
    keep = mask & (area.gather(1, labels) >= min_size).view(mask.shape)
    return keep & settled.view(-1, 1, 1), settled


def _sum_per_label(labels: Tensor, values: Tensor) -> Tensor:
    sums = torch.zeros(labels.shape[0], labels.shape[1] + 1, dtype=torch.int32, device=labels.device)
    return sums.scatter_add_(1, labels, values.int())


def _all_true(mask: Tensor) -> Tensor:
    return torch.ones(mask.shape[0], dtype=torch.bool, device=mask.device)
