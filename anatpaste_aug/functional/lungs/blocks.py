"""Connected components on a graph of small blocks of pixels.

Two points are linked if they are at most ``reach`` rows and columns apart. With a reach of 1 that is 8-connectivity.
With a reach of 2·r + 1 it means that the squares of 2·r + 1 pixels around the two points touch, so that the points
alone determine the components of a mask that was dilated by such a square.

The nodes of the graph are blocks of reach + 1 pixels a side. All points of one block are linked with each other, and
none is linked beyond the 8 blocks around it. The graph is small: a quarter of the pixels at reach 1, a 36th at reach 5.

Each row of a block is packed into the bits of one byte; column j is bit j. At reach 1, with 2×2 blocks:

    pixels        rows as codes, bit 0 on the left     linked blocks
    1 0 | 0 0         10 | 00                          A B
    0 1 | 0 0         01 | 00                          C D
    ----+----         ---+---                          A-D: diagonal neighbors, across the corner
    0 0 | 1 0         00 | 10                          A and B, A and C are not linked: B and C hold no point
    0 0 | 0 1         00 | 01

A point in column i of a block and one in column j of the block on its right are linked if j < i: they are
side + j - i <= reach columns apart. The same holds for rows. So `_smear_down` sets all bits below the highest set bit,
and one AND compares all pairs of columns at once.
"""

import math
from functools import reduce

import torch
from torch import Tensor
from torch.nn.functional import pad

_JUMPS = 3


def in_blocks(pixels: Tensor, side: int) -> Tensor:
    """Split B×H×W into B×R×side×C×side; blocks that extend beyond the image are padded with zeros."""
    batch, height, width = pixels.shape
    rows, columns = -(-height // side), -(-width // side)
    if height % side or width % side:
        filled = pixels.new_zeros(batch, rows * side, columns * side)  # F.pad of torch 2.5 fails on an empty side
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
    # Points of neighboring blocks are linked if the one farther on has the smaller offset within its own block.
    side = reach + 1
    bit = torch.arange(side, dtype=torch.uint8, device=points.device)
    codes = (in_blocks(points, side).view(torch.uint8) << bit).sum(-1, dtype=torch.uint8)
    columns = reduce(torch.bitwise_or, codes.unbind(2))
    right = (_smear_down(columns[..., :-1]) & columns[..., 1:]) > 0
    upper, lower = codes[:, :-1], codes[:, 1:]
    below = _share_column((upper > 0).view(torch.uint8) * 255, lower)
    below_right = _share_column(_smear_down(upper[..., :-1]), lower[..., 1:])
    below_left = _share_column(_smear_up(upper[..., 1:]), lower[..., :-1])

    batch, height, width = columns.shape
    linked = torch.zeros(batch, 3, 3, height, width, dtype=torch.bool, device=points.device)
    linked[:, 1, 1] = True
    linked[:, 1, 2, :, :-1] = linked[:, 1, 0, :, 1:] = right
    linked[:, 2, 1, :-1] = linked[:, 0, 1, 1:] = below
    linked[:, 2, 2, :-1, :-1] = linked[:, 0, 0, 1:, 1:] = below_right
    linked[:, 2, 0, :-1, 1:] = linked[:, 0, 2, 1:, :-1] = below_left
    return linked


def _smear_down(code: Tensor) -> Tensor:
    """Set all bits below the highest set bit: 00100100 becomes 00011111."""
    code = code >> 1
    for shift in (1, 2, 4):
        code = code | (code >> shift)
    return code


def _smear_up(code: Tensor) -> Tensor:
    """Set all bits above the lowest set bit: 00100100 becomes 11111000."""
    code = code << 1
    for shift in (1, 2, 4):
        code = code | (code << shift)
    return code


def _share_column(upper: Tensor, lower: Tensor) -> Tensor:
    """Test whether a row of the upper block has a column in common with a row of smaller offset of the lower block."""
    later, common = upper[:, :, -1], upper[:, :, -1] & lower[:, :, -2]
    for row in range(upper.shape[2] - 2, 0, -1):
        later = later | upper[:, :, row]
        common = common | (later & lower[:, :, row - 1])
    return common > 0


def label_rounds(rows: int, columns: int) -> int:
    """Return the number of rounds of label propagation that an accelerator runs on R×C blocks, for any mask.

    It is at least twice what the worst known masks need. A search in November 2026 over random masks, spirals, snakes,
    combs, zigzags, mazes, Hilbert curves and mutations of the worst of them found a maximum of 5 rounds on 16×16
    blocks, 7 on 64×64, 9 on 128×128 and 10 on 256×256 (combs with teeth of the lengths of a ruler's marks).
    """
    return 2 * math.ceil(math.log2(max(rows, columns, 2))) + 4


def may_wait(device: torch.device) -> bool:
    """Return whether control flow may depend on values: not on an accelerator, nor in a compiled graph."""
    return device.type == "cpu" and not torch.compiler.is_compiling()


def label_blocks(linked: Tensor, rounds: int | None = None) -> tuple[Tensor, Tensor]:
    """Label the connected components of the graph, by propagation with pointer jumping.

    Each round takes the smallest label around a block, hooks the block's root to it and then shortens every path to
    the root; the number of rounds grows with the logarithm of the longest path, not with its length.

    Args:
        linked: Boolean B×3×3×R×C of `link_blocks`.
        rounds: Number of rounds. None runs until convergence on the CPU, and ``label_rounds(R, C)`` on an
            accelerator, where a test for convergence would wait for the device.

    Returns:
        int32 B×(R·C) labels, each the smallest flat index of a block of its component, and a boolean B: whether the
        image's labels have converged. Ignore the labels of an image whose labels have not.
    """
    height, width = linked.shape[-2:]
    labels = first_labels(linked)
    until_converged = rounds is None and may_wait(linked.device)
    limit = height * width if until_converged else label_rounds(height, width) if rounds is None else rounds
    for _ in range(limit):
        before, labels = labels, label_round(labels, linked)
        if until_converged and torch.equal(before, labels):
            break
    return labels, has_converged(labels, linked)


def first_labels(linked: Tensor) -> Tensor:
    """Label each block with its own flat index: int32 B×(R·C)."""
    batch, _, _, rows, columns = linked.shape
    return torch.arange(rows * columns, dtype=torch.int32, device=linked.device).repeat(batch, 1)


def label_round(labels: Tensor, linked: Tensor) -> Tensor:
    """Run one round of `label_blocks`."""
    nearest = _smallest_linked(labels, linked)
    labels = nearest.scatter_reduce(1, labels.long(), nearest, "amin")
    for _ in range(_JUMPS):
        labels = labels.gather(1, labels.long())
    return labels


def has_converged(labels: Tensor, linked: Tensor) -> Tensor:
    """Test whether all linked blocks of an image have the same label: boolean B."""
    return (_smallest_linked(labels, linked) == labels).all(1)


def _smallest_linked(labels: Tensor, linked: Tensor) -> Tensor:
    """Take the smallest label of each block and of the blocks that it is linked with."""
    batch, _, _, height, width = linked.shape
    around = pad(labels.view(batch, height, width), (1, 1, 1, 1)).unfold(1, height, 1).unfold(2, width, 1)
    return torch.where(linked, around, height * width).amin((1, 2)).flatten(1)
