"""Color jitter of patches, in place; see `functional.jitter` for the definitions."""

import math

import numpy as np

from anatpaste_aug.functional._numba.jit import compiled
from anatpaste_aug.functional._numba.rows import (
    BRIGHTNESS,
    CONTRAST,
    DOWN,
    EAST,
    FIRST,
    HEIGHT,
    HUE,
    LAST,
    ORDER,
    SATURATION,
    UP,
    WEST,
    WIDTH,
)


@compiled
def jitter(patches, rows, reals, color, begin, end):
    """Jitter the patches of the images ``begin`` to ``end``, which are in [0, 1].

    The contrast is scaled about the mean of the patch alone, even if more was cut.

    Args:
        patches: Floating point, one C×N for each of these images; see `blending.cut`.
        rows, reals: See `rows`.
        color: True jitters hue and saturation too (C = 3); None removes these from the code.
        begin, end: A range of images.
    """
    kind = patches.dtype.type
    zero, one = kind(0), kind(1)
    for i in range(begin, end):
        row, patch = rows[i], patches[i - begin]
        if row[FIRST] >= row[LAST]:
            continue
        width = row[EAST] - row[WEST]
        count = (row[DOWN] - row[UP]) * width
        for step in range(ORDER, ORDER + 4):
            if row[step] < 2:
                about, factor = zero, kind(reals[i, BRIGHTNESS])
                if row[step] == 1:
                    factor = kind(reals[i, CONTRAST])
                    start = -row[UP] * width - row[WEST]
                    about = kind(mean_luminance(patch, start, row[HEIGHT], row[WIDTH], width))
                for channel in range(len(patch)):
                    values = patch[channel]
                    for j in range(count):
                        values[j] = min(max(about + (values[j] - about) * factor, zero), one)
            elif color is not None:
                if row[step] == 2:
                    saturate(patch, count, kind(reals[i, SATURATION]))
                else:
                    turn_hue(patch, count, kind(reals[i, HUE]))


@compiled
def luminance(patch, i):
    """Return the gray value of one pixel, with torchvision's weights."""
    kind = patch.dtype.type
    if len(patch) == 1:
        return patch[0, i]
    return patch[0, i] * kind(0.2989) + patch[1, i] * kind(0.587) + patch[2, i] * kind(0.114)


@compiled
def mean_luminance(patch, start, height, width, pitch):
    """Average a height × width part of a patch from index ``start`` on; ``pitch`` is the width of what was cut."""
    # Four independent sums, so that additions can overlap.
    first = second = third = fourth = 0.0
    for y in range(height):
        line = start + y * pitch
        for i in range(line, line + width - width % 4, 4):
            first += luminance(patch, i)
            second += luminance(patch, i + 1)
            third += luminance(patch, i + 2)
            fourth += luminance(patch, i + 3)
        for i in range(line + width - width % 4, line + width):
            first += luminance(patch, i)
    return (first + second + third + fourth) / (height * width)


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
    """Rotate the hue of each pixel by ``shift`` turns, through HSV as kornia converts it."""
    kind = patch.dtype.type
    for i in range(count):
        red, green, blue = patch[0, i], patch[1, i], patch[2, i]
        value = max(red, max(green, blue))
        chroma = value - min(red, min(green, blue))
        saturation = chroma / (value + kind(1e-8))  # 0 for black
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
