"""Blending, over the pixels that each mask reaches; see `paste.paste` for the definition."""

import numpy as np

from .jit import compiled
from .jitter import jitter
from .rows import (
    ANGLE,
    APPLY,
    BRIGHTNESS,
    CONTRAST,
    DONOR,
    HEIGHT,
    HUE,
    LEFT,
    MARGIN,
    ORDER,
    RADIUS,
    SATURATION,
    SOURCE_LEFT,
    SOURCE_TOP,
    TOP,
    WIDTH,
)
from .shape import turned

BLACK, SOURCE, EDGE = 0, 1, 2  # what lies beyond a patch


@compiled
def cut(image, top, left, height, width, scale, offset, patch):
    """A part of the image in [0, 1], row by row into the channels of ``patch``; beyond its edges the nearest pixel.

    The values are those of the image times ``scale`` plus ``offset`` of each channel.
    """
    last_y, last_x = image.shape[1] - 1, image.shape[2] - 1
    first, last = max(-left, 0), min(width, last_x + 1 - left)  # the columns that lie in the image
    for channel in range(len(image)):
        slope, constant, values = scale[channel], offset[channel], patch[channel]
        for y in range(height):
            line = image[channel, min(max(top + y, 0), last_y)]
            out = values[y * width : (y + 1) * width]
            for x in range(first, last):
                out[x] = line[left + x] * slope + constant
            for x in range(first):
                out[x] = line[0] * slope + constant
            for x in range(max(last, 0), width):
                out[x] = line[last_x] * slope + constant


@compiled
def blend(
    images, sources, masks, rows, reals, turns, hard, beyond, scale, offset, rounded, patch, target, out, begin, end
):
    """Blend the images ``begin`` to ``end`` of B×C×H×W into ``out``, which holds the images.

    Args:
        images: uint8, float32 or float64.
        sources: N×C×Hs×Ws like the images.
        masks: float32 B×H×W.
        rows, reals: See `rows`; one patch per image.
        turns: See `shape.patch_masks`.
        hard: Whether the masks are whole patches.
        beyond: BLACK, SOURCE or EDGE.
        scale, offset: Per channel, of the floating-point type to calculate in: value · scale + offset is in [0, 1].
        rounded: Whether the values are whole numbers.
        patch: Scratch of that type, C×N for the largest part of an image that is cut.
        target: Scratch of that type, W.
        out: Like the images.
        begin, end: A range of images.
    """
    channels, height, width = images.shape[1:]
    kind = scale.dtype.type
    for i in range(begin, end):
        row = rows[i]
        if row[APPLY] == 0:
            continue
        patch_h, patch_w, patch_top, patch_left = row[HEIGHT], row[WIDTH], row[TOP], row[LEFT]
        if hard:
            first, last, left, right = patch_top, patch_top + turns[i, 0], patch_left, patch_left + turns[i, 1]
        else:
            reach_y = max(patch_h // 2 - row[MARGIN], 0) + row[RADIUS]
            reach_x = max(patch_w // 2 - row[MARGIN], 0) + row[RADIUS]
            y0, x0 = patch_top + patch_h // 2, patch_left + patch_w // 2
            first, last, left, right = y0 - reach_y, y0 + reach_y + 1, x0 - reach_x, x0 + reach_x + 1
        first, last, left, right = max(first, 0), min(last, height), max(left, 0), min(right, width)
        if first >= last or left >= right:
            continue  # wholly beyond an edge
        # What is cut, seen from the patch's corner: the patch, and around it what the mask reaches.
        up, down, west, east = 0, patch_h, 0, patch_w
        if beyond == SOURCE and not hard:
            up, down = min(first - patch_top, 0), max(last - patch_top, patch_h)
            west, east = min(left - patch_left, 0), max(right - patch_left, patch_w)
        wide = east - west
        cut(sources[row[DONOR]], row[SOURCE_TOP] + up, row[SOURCE_LEFT] + west, down - up, wide, scale, offset, patch)
        jitter(
            patch,
            down - up,
            wide,
            (-up, patch_h - up, -west, patch_w - west),
            row[ORDER:],
            kind(reals[i, BRIGHTNESS]),
            kind(reals[i, CONTRAST]),
            kind(reals[i, SATURATION]),
            kind(reals[i, HUE]),
        )
        begin_x, end_x = max(left, patch_left + west), min(right, patch_left + east)
        rotated = hard and reals[i, ANGLE] != 0
        for y in range(first, last):
            from_top = y - patch_top
            if beyond == EDGE and not rotated:
                from_top = min(max(from_top, 0), patch_h - 1)
            start = (from_top - up) * wide
            for channel in range(channels):
                values = patch[channel]
                if rotated:
                    for x in range(left, right):
                        from_y, from_x = turned(turns[i], from_top, x - patch_left)
                        inside = 0 <= from_y < patch_h and 0 <= from_x < patch_w
                        target[x] = values[from_y * wide + from_x] if inside else kind(0)
                else:
                    for x in range(left, right):
                        target[x] = kind(0)
                    if up <= from_top < down and begin_x < end_x:
                        shift = start - patch_left - west
                        for x in range(begin_x, end_x):
                            target[x] = values[shift + x]
                        if beyond == EDGE:
                            for x in range(left, begin_x):
                                target[x] = values[start]
                            for x in range(end_x, right):
                                target[x] = values[start + wide - 1]
                    elif beyond == EDGE:  # the patch lies beyond the image
                        nearest = values[start if right <= patch_left else start + wide - 1]
                        for x in range(left, right):
                            target[x] = nearest
                given, result, line = (
                    images[i, channel, y, left:right],
                    out[i, channel, y, left:right],
                    target[left:right],
                )
                mix(given, masks[i, y, left:right], line, scale[channel], offset[channel])
                if rounded:
                    for x in range(len(result)):
                        result[x] = np.rint(line[x])
                else:
                    for x in range(len(result)):
                        result[x] = line[x]


@compiled
def mix(given, weights, target, scale, offset):
    """Replace the target, which is in [0, 1], by the given values and the target, by their weights."""
    kind = target.dtype.type
    half, one = kind(0.5), kind(1)
    for x in range(len(given)):
        weight, before = kind(weights[x]), kind(given[x])
        pasted = (target[x] - offset) / scale
        change = pasted - before
        # The form of torch.lerp, which ends exactly on the pasted value.
        value = before + weight * change if weight < half else pasted - change * (one - weight)
        target[x] = value if weight > 0 else before
