"""8-connected components on the CPU, through the horizontal runs of pixels that they are made of.

A mask of 65,536 pixels has a thousand or two runs: joining those costs less than labelling pixels. kornia_rs labels
faster still, but its threads do not survive a fork, so that a loader's workers would wait for them for ever.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
_Index = npt.NDArray[np.intp]


class _Runs(NamedTuple):
    """The runs of B×H×W masks in reading order, in a buffer whose lines are one pixel longer than the images'."""

    start: _Index  # position of the first pixel
    stop: _Index  # position behind the last pixel
    row: _Index  # of the image
    component: _Index  # number of one of the component's runs


def clear_border_on_host(mask: Mask) -> Mask:
    """B×H×W without the components that touch the border."""
    _, height, width = mask.shape
    runs = _runs(mask)
    column = runs.start % (width + 1)
    outside = (runs.row == 0) | (runs.row == height - 1) | (column == 0) | (runs.stop % (width + 1) == width)
    touched = np.zeros(len(runs.start), bool)
    touched[runs.component[outside]] = True
    return _drawn(runs, ~touched[runs.component], mask.shape)


def remove_small_on_host(mask: Mask, min_size: float) -> Mask:
    """B×H×W without the components of fewer than ``min_size`` pixels."""
    runs = _runs(mask)
    area = np.bincount(runs.component, weights=runs.stop - runs.start, minlength=len(runs.start))
    return _drawn(runs, area[runs.component] >= min_size, mask.shape)


def _runs(mask: Mask) -> _Runs:
    batch, height, width = mask.shape
    line = width + 1  # a line ends with an empty pixel, so that no run goes on in the next one
    buffer = np.zeros(batch * height * line + 1, np.int8)
    buffer[1:].reshape(batch, height, line)[..., :width] = mask
    edges = np.flatnonzero(buffer[1:] != buffer[:-1])
    start, stop = edges[0::2], edges[1::2]
    row = start // line % height
    # The runs in the line above that touch a run, diagonally too, follow one another. The first line has none above.
    first = np.searchsorted(stop, start - line, side="left")
    count = np.where(row > 0, np.searchsorted(start, stop - line, side="right") - first, 0)
    lower = np.repeat(np.arange(len(start)), count)
    upper = np.arange(len(lower)) + np.repeat(first - (np.cumsum(count) - count), count)
    return _Runs(start, stop, row, _join(len(start), lower, upper))


def _join(count: int, one: _Index, other: _Index) -> _Index:
    """The smallest number in each component of a graph of ``count`` nodes with the edges one – other."""
    parent = np.arange(count)
    while True:
        first, second = parent[one], parent[other]
        apart = first != second
        if not apart.any():
            return parent
        # Hook the larger root to the smaller one, then shorten every path to its root.
        one, other, first, second = one[apart], other[apart], first[apart], second[apart]
        np.minimum.at(parent, np.maximum(first, second), np.minimum(first, second))
        while not np.array_equal(shorter := parent[parent], parent):
            parent = shorter


def _drawn(runs: _Runs, keep: Mask, shape: tuple[int, ...]) -> Mask:
    batch, height, width = shape
    # Gap, run, gap, run, …, gap: the gaps are empty.
    edges = np.zeros(2 * len(keep) + 2, np.intp)
    edges[1:-1:2], edges[2:-1:2], edges[-1] = runs.start, runs.stop, batch * height * (width + 1)
    values = np.zeros(len(edges) - 1, bool)
    values[1::2] = keep
    lines = np.repeat(values, np.diff(edges)).reshape(batch, height, width + 1)
    return np.ascontiguousarray(lines[..., :width])
