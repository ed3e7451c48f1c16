"""8-connected components of one mask, through the horizontal runs of pixels that they are made of.

Masks are uint8 in a frame of zeros one pixel wide: a run ends before the frame, and no line needs a special case.
"""

import numpy as np

from .jit import compiled


@compiled
def find_runs(framed, start, stop, first):
    """First pixel, pixel behind the last, and each line's first run; returns their number."""
    lines, width = framed.shape
    count = 0
    for y in range(1, lines - 1):
        first[y] = count
        line = framed[y]
        x = 1
        while x < width:
            if line[x]:
                start[count] = x
                while line[x]:
                    x += 1
                stop[count] = x
                count += 1
            x += 1
    first[lines - 1] = count
    return count


@compiled
def root(parent, run):
    while parent[run] != run:
        parent[run] = parent[parent[run]]
        run = parent[run]
    return run


@compiled
def join_runs(start, stop, first, parent):
    """Number each run by the first run of its component."""
    lines = len(first)
    for run in range(first[lines - 1]):
        parent[run] = run
    for y in range(2, lines - 1):
        upper, lower = first[y - 1], first[y]
        while upper < first[y] and lower < first[y + 1]:
            if start[upper] <= stop[lower] and start[lower] <= stop[upper]:  # diagonal neighbours touch
                one, other = root(parent, upper), root(parent, lower)
                parent[max(one, other)] = min(one, other)
            if stop[upper] < stop[lower]:
                upper += 1
            else:
                lower += 1
    for run in range(first[lines - 1]):
        parent[run] = parent[parent[run]]


@compiled
def runs_of(framed):
    """First pixel, pixel behind the last, each line's first run, and the first run of each one's component."""
    lines, width = framed.shape
    most = (lines - 2) * ((width - 1) // 2)
    start, stop = np.empty(most, np.int32), np.empty(most, np.int32)
    first = np.zeros(lines, np.int64)
    parent = np.empty(find_runs(framed, start, stop, first), np.int32)
    join_runs(start, stop, first, parent)
    return start, stop, first, parent


@compiled
def label_components(framed, labels):
    """The flat index of each component's first pixel, into H×W labels that hold the background's."""
    start, stop, first, parent = runs_of(framed)
    lines, width = framed.shape
    named = np.empty(len(parent), np.int64)
    for y in range(1, lines - 1):
        for run in range(first[y], first[y + 1]):
            if parent[run] == run:
                named[run] = (y - 1) * (width - 2) + start[run] - 1
            labels[y - 1, start[run] - 1 : stop[run] - 1] = named[parent[run]]


@compiled
def keep_components(framed, inside, smallest):
    """Erase components in place: with ``inside`` those at the border, and those of fewer than ``smallest`` pixels."""
    start, stop, first, parent = runs_of(framed)
    lines, width = framed.shape
    area = np.zeros(len(parent), np.int64)
    for y in range(1, lines - 1):
        for run in range(first[y], first[y + 1]):
            area[parent[run]] += stop[run] - start[run]
            if inside and (y == 1 or y == lines - 2 or start[run] == 1 or stop[run] == width - 1):
                area[parent[run]] -= lines * width  # below zero for good
    for y in range(1, lines - 1):
        for run in range(first[y], first[y + 1]):
            if not area[parent[run]] >= smallest:  # NaN keeps nothing, as in torch
                framed[y, start[run] : stop[run]] = 0
