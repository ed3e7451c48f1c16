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
    half, one = kind(0.5), kind(1)
    target = np.empty(width, scale.dtype)
    for i in range(begin, end):
        out[i] = images[i]
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
                given, result = images[i, channel, y], out[i, channel, y]
                for x in range(left, right):
                    weight = kind(weights[x])
                    if weight > 0:
                        before = kind(given[x])
                        pasted = (target[x] - offset[channel]) / scale[channel]
                        change = pasted - before
                        # The form of torch.lerp, which ends exactly on the pasted value.
                        value = before + weight * change if weight < half else pasted - change * (one - weight)
                        result[x] = np.rint(value) if rounded else value
