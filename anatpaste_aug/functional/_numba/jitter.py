"""Colour jitter of one patch, in place; see `functional.jitter` for the definitions."""

import math

import numpy as np

from .jit import compiled


@compiled
def jitter(patch, order, brightness, contrast, saturation, hue):
    """Jitter a floating-point C×N patch in [0, 1]; the factors are of its dtype."""
    for step in order:
        if step == 0:
            scale(patch, patch.dtype.type(0), brightness)
        elif step == 1:
            scale(patch, patch.dtype.type(mean_luminance(patch)), contrast)
        elif step == 2 and len(patch) == 3:
            saturate(patch, saturation)
        elif step == 3 and len(patch) == 3:
            turn_hue(patch, hue)


@compiled
def scale(patch, about, factor):
    """Scale the values about one value."""
    zero, one = patch.dtype.type(0), patch.dtype.type(1)
    for channel in range(len(patch)):
        values = patch[channel]
        for i in range(len(values)):
            values[i] = min(max(about + (values[i] - about) * factor, zero), one)


@compiled
def luminance(patch, i):
    """The grey value of one pixel, with torchvision's weights."""
    kind = patch.dtype.type
    if len(patch) == 1:
        return patch[0, i]
    return patch[0, i] * kind(0.2989) + patch[1, i] * kind(0.587) + patch[2, i] * kind(0.114)


@compiled
def mean_luminance(patch):
    count = patch.shape[1]
    # Four sums at once, so that an addition need not wait for the one before.
    sums = np.zeros(4, np.float64)
    for i in range(0, count - 3, 4):
        for k in range(4):
            sums[k] += luminance(patch, i + k)
    for i in range(count - count % 4, count):
        sums[0] += luminance(patch, i)
    return sums.sum() / count


@compiled
def saturate(patch, factor):
    """Scale the colours about each pixel's grey value."""
    zero, one = patch.dtype.type(0), patch.dtype.type(1)
    for i in range(patch.shape[1]):
        gray = luminance(patch, i)
        for channel in range(3):
            patch[channel, i] = min(max(gray + (patch[channel, i] - gray) * factor, zero), one)


@compiled
def turn_hue(patch, shift):
    """Turn the hue of each pixel by ``shift`` turns, through HSV as kornia converts it."""
    kind = patch.dtype.type
    for i in range(patch.shape[1]):
        red, green, blue = patch[0, i], patch[1, i], patch[2, i]
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
        patch[0, i], patch[1, i], patch[2, i] = red, green, blue
