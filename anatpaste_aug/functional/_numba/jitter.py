"""Color jitter of one patch, in place; see `functional.jitter` for the definitions."""

import math

import numpy as np

from .jit import compiled


@compiled
def jitter(patch, height, width, box, order, brightness, contrast, saturation, hue):
    """Jitter a patch in [0, 1].

    Args:
        patch: Floating point C×N; the first height·width values of each channel are the patch, row by row.
        height: Of the patch.
        width: Of the patch.
        box: Whose mean the contrast is about: its first row, the row after its last one, and the same of its columns.
        order: int64, four of 0 (brightness), 1 (contrast), 2 (saturation), 3 (hue).
        brightness, contrast, saturation, hue: Of the patch's dtype.
    """
    kind = patch.dtype.type
    zero, one, count = kind(0), kind(1), height * width
    for step in range(4):
        if order[step] < 2:
            about, factor = zero, brightness
            if order[step] == 1:
                about, factor = kind(mean_luminance(patch, width, box)), contrast
            for channel in range(len(patch)):
                values = patch[channel]
                for i in range(count):
                    values[i] = min(max(about + (values[i] - about) * factor, zero), one)
        elif len(patch) == 3 and order[step] == 2:
            saturate(patch, count, saturation)
        elif len(patch) == 3:
            turn_hue(patch, count, hue)


@compiled
def luminance(patch, i):
    """The gray value of one pixel, with torchvision's weights."""
    kind = patch.dtype.type
    if len(patch) == 1:
        return patch[0, i]
    return patch[0, i] * kind(0.2989) + patch[1, i] * kind(0.587) + patch[2, i] * kind(0.114)


@compiled
def mean_luminance(patch, width, box):
    top, bottom, left, right = box
    whole = right - (right - left) % 4
    # Four sums at once, so that an addition need not wait for the one before.
    first = second = third = fourth = 0.0
    for y in range(top, bottom):
        for i in range(y * width + left, y * width + whole, 4):
            first += luminance(patch, i)
            second += luminance(patch, i + 1)
            third += luminance(patch, i + 2)
            fourth += luminance(patch, i + 3)
        for i in range(y * width + whole, y * width + right):
            first += luminance(patch, i)
    return (first + second + third + fourth) / ((bottom - top) * (right - left))


@compiled
def saturate(patch, count, factor):
    """Scale the colors about each pixel's gray value."""
    zero, one = patch.dtype.type(0), patch.dtype.type(1)
    for i in range(count):
        gray = luminance(patch, i)
        for channel in range(3):
            patch[channel, i] = min(max(gray + (patch[channel, i] - gray) * factor, zero), one)


@compiled
def turn_hue(patch, count, shift):
    """Turn the hue of each pixel by ``shift`` turns, through HSV as kornia converts it."""
    kind = patch.dtype.type
    for i in range(count):
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
