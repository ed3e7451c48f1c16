"""Alpha blending over the pixels that each mask covers; see `functional.paste` for the definition."""

import numpy as np

from anatpaste_aug.functional._numba.jit import compiled
from anatpaste_aug.functional._numba.rows import (
    ANGLE,
    BEGIN,
    DONOR,
    DOWN,
    EAST,
    END,
    FIRST,
    HEIGHT,
    LAST,
    LEFT,
    SOURCE_LEFT,
    SOURCE_TOP,
    TOP,
    UP,
    WEST,
    WIDTH,
)
from anatpaste_aug.functional._numba.shape import turned

BLACK, SOURCE, EDGE = 0, 1, 2  # how to fill pixels beyond a patch


@compiled
def cut(sources, rows, tone, patches, begin, end):
    """Cut the patches of the images ``begin`` to ``end``, in [0, 1]; edge pixels of a source are repeated.

    Args:
        sources: N×C×H×W, uint8, float32 or float64.
        rows: See `rows`.
        tone: 2×C, a factor and an offset, of the floating-point type of the arithmetic: value · factor + offset is in
            [0, 1].
        patches: Of that type, one C×N for each of these images, written: each channel row by row from its start.
        begin, end: A range of images.
    """
    last_y, last_x = sources.shape[2] - 1, sources.shape[3] - 1
    for i in range(begin, end):
        row = rows[i]
        if row[FIRST] >= row[LAST]:
            continue
        top, left = row[SOURCE_TOP] + row[UP], row[SOURCE_LEFT] + row[WEST]
        width = row[EAST] - row[WEST]
        first, last = max(-left, 0), min(width, last_x + 1 - left)  # the columns that lie in the source
        for channel in range(sources.shape[1]):
            slope, constant, values = tone[0, channel], tone[1, channel], patches[i - begin, channel]
            for y in range(row[DOWN] - row[UP]):
                line = sources[row[DONOR], channel, min(max(top + y, 0), last_y)]
                out = values[y * width : (y + 1) * width]
                # Slices, so that Numba knows that no index is negative, and vectorizes the loop.
                given, part = line[left + first : left + last], out[first:last]
                for x in range(len(given)):
                    part[x] = given[x] * slope + constant
                for x in range(first):
                    out[x] = line[0] * slope + constant
                for x in range(max(last, 0), width):
                    out[x] = line[last_x] * slope + constant


@compiled
def blend(images, masks, rows, reals, turns, beyond, tone, rounded, patches, target, out, begin, end):
    """Blend the patches into the images ``begin`` to ``end`` of B×C×H×W.

    Args:
        images: uint8, float32 or float64.
        masks: float32 B×H×W.
        rows, reals: See `rows`; one patch per image.
        turns: See `shape.patch_masks`, for masks that are whole patches; None removes rotation from the code.
        beyond: BLACK, SOURCE or EDGE.
        tone: See `cut`.
        rounded: Whether to round to integers.
        patches: The result of `cut`, jittered.
        target: Scratch of the patches' type, W.
        out: Like the images, written.
        begin, end: A range of images.
    """
    kind = target.dtype.type
    for i in range(begin, end):
        row = rows[i]
        left, right, up, wide = row[BEGIN], row[END], row[UP], row[EAST] - row[WEST]
        patch_left = row[LEFT] + row[WEST]
        begin_x, end_x = max(left, patch_left), min(right, patch_left + wide)
        for y in range(images.shape[2]):
            for channel in range(images.shape[1]):
                given, result = images[i, channel, y], out[i, channel, y]
                for x in range(len(result)):
                    result[x] = given[x]
            if y < row[FIRST] or y >= row[LAST]:
                continue
            from_top = y - row[TOP]
            if beyond == EDGE and not (turns is not None and reals[i, ANGLE] != 0):
                from_top = min(max(from_top, 0), row[HEIGHT] - 1)
            start = (from_top - up) * wide
            there = up <= from_top < row[DOWN] and begin_x < end_x
            for channel in range(images.shape[1]):
                values, line = patches[i - begin, channel], target[left:right]
                for x in range(len(line)):
                    line[x] = kind(0)
                if there:
                    part, over = values[start + begin_x - patch_left :], target[begin_x:end_x]
                    for x in range(len(over)):
                        over[x] = part[x]
                if beyond == EDGE:
                    for x in range(left, min(max(begin_x, left), right)):
                        target[x] = values[start]
                    for x in range(max(end_x, left), right):
                        target[x] = values[start + wide - 1]
                if turns is not None and reals[i, ANGLE] != 0:
                    for x in range(left, right):
                        from_y, from_x = turned(turns[i], from_top, x - row[LEFT])
                        inside = 0 <= from_y < row[HEIGHT] and 0 <= from_x < row[WIDTH]
                        target[x] = values[from_y * wide + from_x] if inside else kind(0)
                given, result = images[i, channel, y, left:right], out[i, channel, y, left:right]
                mix(given, masks[i, y, left:right], line, tone[0, channel], tone[1, channel])
                if rounded:
                    for x in range(len(result)):
                        result[x] = np.rint(line[x])
                else:
                    for x in range(len(result)):
                        result[x] = line[x]


@compiled
def mix(given, weights, target, scale, offset):
    """Blend the target, in [0, 1], with the given values by their weights, and write the result to the target."""
    kind = target.dtype.type
    half, one = kind(0.5), kind(1)
    for x in range(len(given)):
        weight, before = kind(weights[x]), kind(given[x])
        pasted = (target[x] - offset) / scale
        change = pasted - before
        # As in torch.lerp, a weight of 1 gives exactly the pasted value.
        value = before + weight * change if weight < half else pasted - change * (one - weight)
        target[x] = value if weight > 0 else before
