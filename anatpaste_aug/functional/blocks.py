"""The graph behind components: points that lie close together are linked, and small blocks of points are its nodes.

With a reach of 1, linked means 8-connected. With 2·r + 1, two points are linked where the squares of 2·r + 1 pixels
around them touch: the points alone tell the components of a mask that was dilated by such a square. All points of a
block of reach + 1 pixels a side are linked with one another, and with none beyond the blocks around it, so that the
labelling works on a small graph: a quarter of the pixels at reach 1, and a 36th at reach 5.
"""

import math
from collections.abc import Iterator
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

_JUMPS = 3
_ALL, _FIRST, _LAST = slice(None), slice(None, -1), slice(1, None)


class Links(NamedTuple):
    """Which neighbours among B×R×C blocks are linked: each with the one on its right, and with those below it.

    Attributes:
        right: Boolean B×R×(C − 1).
        below: Boolean B×(R − 1)×C.
        below_right: Boolean B×(R − 1)×(C − 1).
        below_left: Boolean B×(R − 1)×(C − 1); [0, 0, 0] links the second block of the first row.
    """

    right: Tensor
    below: Tensor
    below_right: Tensor
    below_left: Tensor

    def pairs(self, blocks: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Each kind of links, with views of the B×R×C blocks on its two ends."""
        ends = (
            ((_ALL, _ALL, _FIRST), (_ALL, _ALL, _LAST)),
            ((_ALL, _FIRST, _ALL), (_ALL, _LAST, _ALL)),
            ((_ALL, _FIRST, _FIRST), (_ALL, _LAST, _LAST)),
            ((_ALL, _FIRST, _LAST), (_ALL, _LAST, _FIRST)),
        )
        for linked, (one, other) in zip(self, ends, strict=True):
            yield linked, blocks[one], blocks[other]


def in_blocks(pixels: Tensor, side: int) -> Tensor:
    """B×R×side×C×side of B×H×W; blocks that go beyond the image are filled up with zeros."""
    batch, height, width = pixels.shape
    if height % side or width % side:
        pixels = pad(pixels, (0, -width % side, 0, -height % side))
    return pixels.reshape(batch, pixels.shape[1] // side, side, pixels.shape[2] // side, side)


def link_blocks(points: Tensor, reach: int) -> Links:
    """Link the blocks of reach + 1 pixels a side that hold points at most ``reach`` rows and columns apart.

    Args:
        points: Boolean B×H×W.
        reach: 1 to 7.

    Returns:
        The links between ceil(H / (reach + 1)) × ceil(W / (reach + 1)) blocks.
    """
    # Two points of neighbouring blocks are within reach where the further one comes earlier in its own block.
    side = reach + 1
    bit = torch.arange(side, dtype=torch.uint8, device=points.device)
    codes = (in_blocks(points, side).view(torch.uint8) << bit).sum(-1, dtype=torch.uint8)  # bit j is column j
    rows = codes.unbind(2)
    columns = reduce(torch.bitwise_or, rows)
    upper, lower = [row[:, :-1] for row in rows], [row[:, 1:] for row in rows]
    return Links(
        right=(_before(columns[..., :-1]) & columns[..., 1:]) > 0,
        below=_meet([(row > 0).view(torch.uint8) * 255 for row in upper], lower),
        below_right=_meet([_before(row[..., :-1]) for row in upper], [row[..., 1:] for row in lower]),
        below_left=_meet([_behind(row[..., 1:]) for row in upper], [row[..., :-1] for row in lower]),
    )


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


def _meet(upper: list[Tensor], lower: list[Tensor]) -> Tensor:
    """Whether a row of the upper block and an earlier one of the lower block have a column in common."""
    later, found = torch.zeros_like(upper[0]), torch.zeros_like(upper[0])
    for row in range(len(upper) - 1, 0, -1):
        later = later | upper[row]
        found = found | (later & lower[row - 1])
    return found > 0


def label_rounds(rows: int, columns: int) -> int:
    """Rounds of label propagation that an accelerator runs on R×C blocks, whatever the points are."""
    return 2 * math.ceil(math.log2(max(rows, columns, 2))) + 2


def may_wait(device: torch.device) -> bool:
    """Whether code may look at values to decide what comes next; an accelerator and a compiled graph may not."""
    return device.type == "cpu" and not torch.compiler.is_compiling()


def label_blocks(links: Links, rounds: int | None = None) -> tuple[Tensor, Tensor]:
    """Label the connected parts of the graph, by propagation with pointer jumping.

    Each round takes the smallest label around a block, hooks the block's root to it and then shortens every path to
    the root; the number of rounds grows with the logarithm of the longest path, not with its length.

    Args:
        links: The links between B×R×C blocks.
        rounds: Number of rounds. None runs until the labels stand still on the CPU, and ``label_rounds(R, C)`` on an
            accelerator, where asking would wait for the device.

    Returns:
        int32 B×(R·C) labels, each the smallest flat index of a block of its part, and a boolean B: whether the image's
        labels have settled. Labels that have not are no components.
    """
    batch, height, width = links.below.shape[0], links.right.shape[1], links.below.shape[2]
    blocks, device = height * width, links.right.device
    labels = torch.arange(blocks, dtype=torch.int32, device=device).repeat(batch, 1)
    until_settled = rounds is None and may_wait(device)
    limit = blocks if until_settled else label_rounds(height, width) if rounds is None else rounds
    for _ in range(limit):
        parent = _smallest_linked(labels.view(batch, height, width), links).view(batch, blocks)
        if until_settled and torch.equal(parent, labels):
            break
        parent = parent.scatter_reduce(1, labels, parent, "amin")
        for _ in range(_JUMPS):
            parent = parent.gather(1, parent)
        labels = parent
    differ = torch.zeros(batch, dtype=torch.bool, device=device)
    for linked, one, other in links.pairs(labels.view(batch, height, width)):
        differ = differ | (linked & (one != other)).any(2).any(1)
    return labels, ~differ


def _smallest_linked(labels: Tensor, links: Links) -> Tensor:
    smallest, none = labels.clone(), labels.shape[1] * labels.shape[2]
    for linked, one, other in links.pairs(smallest):
        least = torch.where(linked, torch.minimum(one, other), none)
        one.clamp_max_(least)  # the two ends overlap in memory
        other.clamp_max_(least)
    return smallest
