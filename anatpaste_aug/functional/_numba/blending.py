"""Blending, over the pixels that each mask reaches; see `paste.blend` for the definition."""

import numpy as np

from .jit import compiled
from .jitter import jitter
from .shape import blur_reach


@compiled
def cut(image, top, left, height, width, scale, offset):
    """The patch in [0, 1], as C×N; the image's values times ``scale`` plus ``offset`` of each channel."""
    patch = np.empty((len(image), height * width), scale.dtype)
    for channel in range(len(image)):
        for y in range(height):
            line, out = image[channel, top + y, left : left + width], patch[channel, y * width : (y + 1) * width]
            for x in range(width):
                out[x] = line[x] * scale[channel] + offset[channel]
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
def blend(images, masks, params, scale, offset, rounded, out, begin, end):
    """Blend the images ``begin`` to ``end`` of B×C×H×W into ``out``.

    Args:
        images: uint8, float32 or float64.
        masks: float32 B×H×W.
        params: `AnatPasteParams` of arrays.
        scale, offset: Per channel, of the floating-point type to calculate in: value · scale + offset is in [0, 1].
        rounded: Whether the values are whole numbers.
        out: Like the images.
        begin, end: A range of images.
    """
    _, channels, height, width = images.shape
    kind = scale.dtype.type
    target, line = np.empty(width, scale.dtype), np.empty(width, scale.dtype)
    for i in range(begin, end):
        copy(images[i], out[i])
        if not params.apply[i]:
            continue
        patch_h, patch_w, y0, x0 = params.height[i], params.width[i], params.center_y[i], params.center_x[i]
        patch = cut(images[i], params.source_top[i], params.source_left[i], patch_h, patch_w, scale, offset)
        jitter(
            patch,
            params.jitter_order[i],
            kind(params.brightness[i]),
            kind(params.contrast[i]),
            kind(params.saturation[i]),
            kind(params.hue[i]),
        )
        radius = blur_reach(params.sigma[i], max(height, width))
        reach_y = max(patch_h // 2 - params.margin[i], 0) + radius
        reach_x = max(patch_w // 2 - params.margin[i], 0) + radius
        left, right = max(x0 - reach_x, 0), min(x0 + reach_x + 1, width)
        patch_top, patch_left = y0 - patch_h // 2, x0 - patch_w // 2
        begin_x, end_x = max(left, patch_left), min(right, patch_left + patch_w)
        for y in range(max(y0 - reach_y, 0), min(y0 + reach_y + 1, height)):
            weights, row = masks[i, y], y - patch_top
            for channel in range(channels):
                target[left:right] = 0
                if 0 <= row < patch_h and begin_x < end_x:
                    first = row * patch_w - patch_left
                    target[begin_x:end_x] = patch[channel, first + begin_x : first + end_x]
                given, result = images[i, channel, y, left:right], out[i, channel, y, left:right]
                mix(given, weights[left:right], target[left:right], scale[channel], offset[channel], line)
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
