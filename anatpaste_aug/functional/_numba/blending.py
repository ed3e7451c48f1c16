"""Blending, over the pixels that each mask reaches; see `paste.paste` for the definition."""

import numpy as np

from .jit import compiled
from .jitter import jitter
from .shape import blur_reach, turned

BLACK, SOURCE, EDGE = 0, 1, 2  # what lies beyond a patch


@compiled
def cut(image, top, left, height, width, scale, offset):
    """A part of the image in [0, 1], as C×h×w; beyond the image's edges the nearest pixel.

    The values are those of the image times ``scale`` plus ``offset`` of each channel.
    """
    patch = np.empty((len(image), height, width), scale.dtype)
    last_y, last_x = image.shape[1] - 1, image.shape[2] - 1
    first, last = max(-left, 0), min(width, last_x + 1 - left)  # the columns that lie in the image
    for channel in range(len(image)):
        for y in range(height):
            line, out = image[channel, min(max(top + y, 0), last_y)], patch[channel, y]
            for x in range(first, last):
                out[x] = line[left + x] * scale[channel] + offset[channel]
            for x in range(first):
                out[x] = line[0] * scale[channel] + offset[channel]
            for x in range(max(last, 0), width):
                out[x] = line[last_x] * scale[channel] + offset[channel]
    return patch


@compiled
def copy(image, out):
    """Line by line, because those are known to be contiguous."""
    for channel in range(len(image)):
        for y in range(image.shape[1]):
            given, line = image[channel, y], out[channel, y]
            for x in range(len(given)):
                line[x] = given[x]


@compiled
def blend(images, sources, masks, params, hard, beyond, turns, scale, offset, rounded, out, begin, end):
    """Blend the images ``begin`` to ``end`` of B×C×H×W into ``out``.

    Args:
        images: uint8, float32 or float64.
        sources: N×C×Hs×Ws like the images.
        masks: float32 B×H×W.
        params: `PasteParams` of arrays, one patch per image.
        hard: Whether the masks are whole patches.
        beyond: BLACK, SOURCE or EDGE.
        turns: See `shape.soft_masks`.
        scale, offset: Per channel, of the floating-point type to calculate in: value · scale + offset is in [0, 1].
        rounded: Whether the values are whole numbers.
        out: Like the images.
        begin, end: A range of images.
    """
    channels, height, width = images.shape[1:]
    kind = scale.dtype.type
    target, line = np.empty(width, scale.dtype), np.empty(width, scale.dtype)
    for i in range(begin, end):
        copy(images[i], out[i])
        if not params.apply[i]:
            continue
        patch_h, patch_w, patch_top, patch_left = params.height[i], params.width[i], params.top[i], params.left[i]
        if hard:
            first, last, left, right = patch_top, patch_top + turns[i, 0], patch_left, patch_left + turns[i, 1]
        else:
            radius = blur_reach(params.sigma[i], max(height, width))
            reach_y = max(patch_h // 2 - params.margin[i], 0) + radius
            reach_x = max(patch_w // 2 - params.margin[i], 0) + radius
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
        top, source = params.source_top[i] + up, sources[params.donor[i]]
        patch = cut(source, top, params.source_left[i] + west, down - up, east - west, scale, offset)
        jitter(
            patch,
            (-up, patch_h - up, -west, patch_w - west),
            params.jitter_order[i],
            kind(params.brightness[i]),
            kind(params.contrast[i]),
            kind(params.saturation[i]),
            kind(params.hue[i]),
        )
        begin_x, end_x = max(left, patch_left + west), min(right, patch_left + east)
        for y in range(first, last):
            row = y - patch_top
            if beyond == EDGE:
                row = min(max(row, 0), patch_h - 1)
            for channel in range(channels):
                if hard and params.angle[i] != 0:
                    for x in range(left, right):
                        from_y, from_x = turned(turns[i], row, x - patch_left)
                        inside = 0 <= from_y < patch_h and 0 <= from_x < patch_w
                        target[x] = patch[channel, from_y, from_x] if inside else kind(0)
                else:
                    target[left:right] = 0
                    if up <= row < down and begin_x < end_x:
                        values, offset_x = patch[channel, row - up], patch_left + west
                        target[begin_x:end_x] = values[begin_x - offset_x : end_x - offset_x]
                        if beyond == EDGE:
                            target[left : max(begin_x, left)] = values[0]
                            target[max(end_x, left) : right] = values[len(values) - 1]
                    elif beyond == EDGE:  # the patch lies beyond the image
                        target[left:right] = patch[channel, row, 0 if right <= patch_left else patch_w - 1]
                given, result = images[i, channel, y, left:right], out[i, channel, y, left:right]
                mix(given, masks[i, y, left:right], target[left:right], scale[channel], offset[channel], line)
                if rounded:
                    for x in range(len(result)):
                        result[x] = np.rint(line[x])
                else:
                    for x in range(len(result)):
                        result[x] = line[x]


@compiled
def mix(given, weights, target, scale, offset, line):
    """Into ``line``: the given values and the target, which is in [0, 1], by their weights."""
    kind = line.dtype.type
    half, one = kind(0.5), kind(1)
    for x in range(len(given)):
        weight, before = kind(weights[x]), kind(given[x])
        pasted = (target[x] - offset) / scale
        change = pasted - before
        # The form of torch.lerp, which ends exactly on the pasted value.
        value = before + weight * change if weight < half else pasted - change * (one - weight)
        line[x] = value if weight > 0 else before
