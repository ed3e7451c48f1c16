"""The graph behind components: points that lie close together are linked, and small blocks of points are its nodes.

With a reach of 1, linked means 8-connected. With 2·r + 1, two points are linked where the squares of 2·r + 1 pixels
around them touch: the points alone tell the components of a mask that was dilated by such a square. All points of a
block of reach + 1 pixels a side are linked with one another, and with none beyond the blocks around it, so that the
labeling works on a small graph: a quarter of the pixels at reach 1, and a 36th at reach 5.
"""

import math
from functools import reduce

import torch
from torch import Tensor
from torch.nn.functional import pad

_JUMPS = 3


def in_blocks(pixels: Tensor, side: int) -> Tensor:
    """B×R×side×C×side of B×H×W; blocks that go beyond the image are filled up with zeros."""
    batch, height, width = pixels.shape
    rows, columns = -(-height // side), -(-width // side)
    if height % side or width % side:
        filled = pixels.new_zeros(batch, rows * side, columns * side)  # pad of torch 2.5 takes no side of 0 pixels
        filled[:, :height, :width] = pixels
        pixels = filled
    return pixels.reshape(batch, rows, side, columns, side)


def link_blocks(points: Tensor, reach: int) -> Tensor:
    """Link the blocks of reach + 1 pixels a side that hold points at most ``reach`` rows and columns apart.

    Args:
        points: Boolean B×H×W.
        reach: 1 to 7.

    Returns:
        Boolean B×3×3×R×C with R = ceil(H / (reach + 1)) and C = ceil(W / (reach + 1)): whether a block is linked with
        each of the blocks around it, from the upper left to the lower right, and with itself.
    """
    # Two points of neighboring blocks are within reach where the further one comes earlier in its own block.
    side = reach + 1
    bit = torch.arange(side, dtype=torch.uint8, device=points.device)
    codes = (in_blocks(points, side).view(torch.uint8) << bit).sum(-1, dtype=torch.uint8)  # bit j is column j
    columns = reduce(torch.bitwise_or, codes.unbind(2))
    right = (_before(columns[..., :-1]) & columns[..., 1:]) > 0
    upper, lower = codes[:, :-1], codes[:, 1:]
    below = _meet((upper > 0).view(torch.uint8) * 255, lower)
    below_right = _meet(_before(upper[..., :-1]), lower[..., 1:])
    below_left = _meet(_behind(upper[..., 1:]), lower[..., :-1])

    batch, height, width = columns.shape
    linked = torch.zeros(batch, 3, 3, height, width, dtype=torch.bool, device=points.device)
    linked[:, 1, 1] = True
    linked[:, 1, 2, :, :-1] = linked[:, 1, 0, :, 1:] = right
    linked[:, 2, 1, :-1] = linked[:, 0, 1, 1:] = below
    linked[:, 2, 2, :-1, :-1] = linked[:, 0, 0, 1:, 1:] = below_right
    linked[:, 2, 0, :-1, 1:] = linked[:, 0, 2, 1:, :-1] = below_left
    return linked


def _before(code: Tensor) -> Tensor:
    """The columns before the last one of each code."""
    code = code >> 1
    for shift in (1, 2, 4):
        code = code | (code >> shift)
    return code


def _behind(code: Tensor) -> Tensor:
    """The columns behind the first one of each code."""
    code = code << 1
    for shift in (1, 2, 4):
        code = code | (code << shift)
    return code


def _meet(upper: Tensor, lower: Tensor) -> Tensor:
    """Whether a row of the upper block and an earlier one of the lower block have a column in common."""
    later, found = upper[:, :, -1], upper[:, :, -1] & lower[:, :, -2]
    for row in range(upper.shape[2] - 2, 0, -1):
        later = later | upper[:, :, row]
        found = found | (later & lower[:, :, row - 1])
    return found > 0


def label_rounds(rows: int, columns: int) -> int:
    """Rounds of label propagation that an accelerator runs on R×C blocks, whatever the points are.

    At least twice what the worst masks need that ``benchmarks/label_rounds.py`` (its README) found on 25 November 2026,
    among random masks, spirals, snakes, combs, zigzags, mazes, Hilbert's curves and mutations of the worst of them:
    5 on 16×16 blocks, 7 on 64×64, 9 on 128×128 and 10 on 256×256 (combs whose teeth are as long as a ruler's marks).
    """
    return 2 * math.ceil(math.log2(max(rows, columns, 2))) + 4


def may_wait(device: torch.device) -> bool:
    """Whether code may look at values to decide what comes next; an accelerator and a compiled graph may not."""
    return device.type == "cpu" and not torch.compiler.is_compiling()


def label_blocks(linked: Tensor, rounds: int | None = None) -> tuple[Tensor, Tensor]:
    """Label the connected parts of the graph, by propagation with pointer jumping.

    Each round takes the smallest label around a block, hooks the block's root to it and then shortens every path to
    the root; the number of rounds grows with the logarithm of the longest path, not with its length.

    Args:
        linked: Boolean B×3×3×R×C of `link_blocks`.
        rounds: Number of rounds. None runs until the labels stand still on the CPU, and ``label_rounds(R, C)`` on an
            accelerator, where asking would wait for the device.

    Returns:
        int32 B×(R·C) labels, each the smallest flat index of a block of its part, and a boolean B: whether the image's
        labels have converged. Labels that have not are no components.
    """
    height, width = linked.shape[-2:]
    labels = first_labels(linked)
    until_still = rounds is None and may_wait(linked.device)
    limit = height * width if until_still else label_rounds(height, width) if rounds is None else rounds
    for _ in range(limit):
        before, labels = labels, label_round(labels, linked)
        if until_still and torch.equal(before, labels):
            break
    return labels, has_converged(labels, linked)


def first_labels(linked: Tensor) -> Tensor:
    """int32 B×(R·C): each block on its own."""
    batch, _, _, rows, columns = linked.shape
    return torch.arange(rows * columns, dtype=torch.int32, device=linked.device).repeat(batch, 1)


def label_round(labels: Tensor, linked: Tensor) -> Tensor:
    """One round of `label_blocks`."""
    nearest = _smallest_linked(labels, linked)
    labels = nearest.scatter_reduce(1, labels.long(), nearest, "amin")
    for _ in range(_JUMPS):
        labels = labels.gather(1, labels.long())
    return labels


def has_converged(labels: Tensor, linked: Tensor) -> Tensor:
    """Boolean B: whether linked blocks have the same label."""
    return (_smallest_linked(labels, linked) == labels).all(1)


def _smallest_linked(labels: Tensor, linked: Tensor) -> Tensor:
    """The smallest label of each block and those that it is linked with."""
    batch, _, _, height, width = linked.shape
    around = pad(labels.view(batch, height, width), (1, 1, 1, 1)).unfold(1, height, 1).unfold(2, width, 1)
    return torch.where(linked, around, height * width).amin((1, 2)).flatten(1)
