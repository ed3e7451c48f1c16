"""8-connected components of one mask, by union-find over horizontal runs of pixels."""

from anatpaste_aug.functional._numba.jit import compiled


@compiled
def keep_components(framed, inside, smallest, runs, first, area):
    """Erase 8-connected components in place: those below ``smallest`` pixels, and with ``inside`` those at the border.

    Args:
        framed: uint8 mask of 0 and 1 in a frame of zeros one pixel wide, so that every run ends before the frame and
            no line is a special case.
        inside: Whether to erase components at the border.
        smallest: The smallest area that stays.
        runs: int32 3×R scratch, R the largest possible number of runs.
        first: int64 scratch, one for each line of the frame.
        area: int64 R scratch.
    """
    lines, width = framed.shape
    # For each run: its first pixel, the pixel after its last, and an earlier run of its component.
    start, stop, parent = runs[0], runs[1], runs[2]
    count = first[0] = 0
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
                parent[count] = count
                area[count] = 0
                count += 1
            x += 1
        upper, middle = first[y - 1], first[y]
        lower = middle
        while upper < middle and lower < count:
            if start[upper] <= stop[lower] and start[lower] <= stop[upper]:  # diagonal neighbors touch
                one, other = upper, lower
                while parent[one] != one:
                    parent[one] = parent[parent[one]]
                    one = parent[one]
                while parent[other] != other:
                    parent[other] = parent[parent[other]]
                    other = parent[other]
                if one < other:
                    parent[other] = one
                else:
                    parent[one] = other
            if stop[upper] < stop[lower]:
                upper += 1
            else:
                lower += 1
    first[lines - 1] = count
    for y in range(1, lines - 1):
        for run in range(first[y], first[y + 1]):
            parent[run] = parent[parent[run]]  # the component's first run
            area[parent[run]] += stop[run] - start[run]
            if inside and (y == 1 or y == lines - 2 or start[run] == 1 or stop[run] == width - 1):
                area[parent[run]] -= lines * width  # negative from here on
    for y in range(1, lines - 1):
        line = framed[y]
        for run in range(first[y], first[y + 1]):
            if not area[parent[run]] >= smallest:  # NaN keeps nothing, as in torch
                erased = line[start[run] : stop[run]]
                for x in range(len(erased)):
                    erased[x] = 0
