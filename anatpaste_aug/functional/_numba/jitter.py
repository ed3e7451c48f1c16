"""Colour jitter of one patch, in place; see `functional.jitter` for the definitions."""

import math

import numpy as np

from .jit import compiled


@compiled
def jitter(patch, box, order, brightness, contrast, saturation, hue):
    """Jitter a floating-point C×h×w patch in [0, 1]; the factors are of its dtype.

    The contrast's mean is that of a box: its first row, the row after its last one, and the same of its columns.
    """
    for step in order:
        if step == 0:
            scale(patch, patch.dtype.type(0), brightness)
        elif step == 1:
            scale(patch, patch.dtype.type(mean_luminance(patch, box)), contrast)
        elif step == 2 and len(patch) == 3:
            saturate(patch, saturation)
        elif step == 3 and len(patch) == 3:
            turn_hue(patch, hue)


@compiled
def scale(patch, about, factor):
    """Scale the values about one value."""
    zero, one = patch.dtype.type(0), patch.dtype.type(1)
    flat = patch.reshape(len(patch), -1)
    for channel in range(len(flat)):
        values = flat[channel]
        for i in range(len(values)):
            values[i] = min(max(about + (values[i] - about) * factor, zero), one)


@compiled
def luminance(patch, y, x):
    """The gray value of one pixel, with torchvision's weights."""
    kind = patch.dtype.type
    if len(patch) == 1:
        return patch[0, y, x]
    return patch[0, y, x] * kind(0.2989) + patch[1, y, x] * kind(0.587) + patch[2, y, x] * kind(0.114)


@compiled
def mean_luminance(patch, box):
    top, bottom, left, right = box
    # Four sums at once, so that an addition need not wait for the one before.
    sums = np.zeros(4, np.float64)
    whole = right - (right - left) % 4
    for y in range(top, bottom):
        for x in range(left, whole, 4):
            for k in range(4):
                sums[k] += luminance(patch, y, x + k)
        for x in range(whole, right):
            sums[0] += luminance(patch, y, x)
    return sums.sum() / ((bottom - top) * (right - left))


@compiled
def saturate(patch, factor):
    """Scale the colours about each pixel's grey value."""
    zero, one = patch.dtype.type(0), patch.dtype.type(1)
    for y in range(patch.shape[1]):
        for x in range(patch.shape[2]):
            gray = luminance(patch, y, x)
            for channel in range(3):
                patch[channel, y, x] = min(max(gray + (patch[channel, y, x] - gray) * factor, zero), one)


@compiled
def turn_hue(patch, shift):
    """Turn the hue of each pixel by ``shift`` turns, through HSV as kornia converts it."""
    kind = patch.dtype.type
    flat = patch.reshape(3, -1)
    for i in range(flat.shape[1]):
        red, green, blue = flat[0, i], flat[1, i], flat[2, i]
        value = max(red, max(green, blue))
        chroma = value - min(red, min(green, blue))
        saturation = chroma / (value + kind(1e-8))  # 0 of black
        if chroma == 0:
            hue = kind(0)
        elif red >= green and red >= blue:
            hue = (green - blue) / chroma
        elif green >= blue:
            hue = kind(2) + (blue - red) / chroma
        else:
            hue = kind(4) + (red - green) / chroma
        hue = hue / kind(6) + shift
        sixths = (hue - np.floor(hue)) * kind(6)
        sector = math.floor(sixths)
        rest = sixths - kind(sector)
        low = value * (kind(1) - saturation)
        falling = value * (kind(1) - rest * saturation)
        rising = value * (kind(1) - (kind(1) - rest) * saturation)
        if sector == 0 or sector == 6:
            red, green, blue = value, rising, low
        elif sector == 1:
            red, green, blue = falling, value, low
        elif sector == 2:
            red, green, blue = low, value, rising
        elif sector == 3:
            red, green, blue = low, falling, value
        elif sector == 4:
            red, green, blue = rising, low, value
        else:
            red, green, blue = value, low, falling
        flat[0, i], flat[1, i], flat[2, i] = red, green, blue
