"""CLAHE and Otsu's threshold of one image; see `functional.clahe` and `functional.otsu` for the definitions."""

import numpy as np

from ..clahe import BIN_SIZE, BINS
from ..intensity import GRAY_LEVELS, SNAP
from ..otsu import BINS as OTSU_BINS
from .jit import compiled

_SHIFT = np.uint64(50)  # exact for every mix of levels and area: both are below 2¹⁸ times 2¹⁴


@compiled
def bins_of_bytes(gray, bins):
    """The CLAHE bins of a uint8 H×W image, uint8."""
    height, width = gray.shape
    low, high = np.uint8(255), np.uint8(0)
    for y in range(height):
        for x in range(width):
            low, high = min(low, gray[y, x]), max(high, gray[y, x])
    table = np.empty(256, np.uint8)
    span = max(float(high) - float(low), 1.0)
    for value in range(256):
        level = np.rint((value - float(low)) / span * (GRAY_LEVELS - 1))
        table[value] = int(min(max(level, 0), GRAY_LEVELS - 1)) // BIN_SIZE
    for y in range(height):
        for x in range(width):
            bins[y, x] = table[gray[y, x]]


@compiled
def bins_of_floats(gray, bins):
    """The CLAHE bins of a floating-point H×W image, in its own precision; see `intensity.stretch_levels`."""
    height, width = gray.shape
    # Column by column, because a processor can compare many columns at once, but a minimum only one pixel at a time.
    lows, highs, check = gray[0].copy(), gray[0].copy(), np.zeros_like(gray[0])
    for y in range(height):
        line = gray[y]
        for x in range(width):
            lows[x] = line[x] if line[x] < lows[x] else lows[x]
            highs[x] = line[x] if line[x] > highs[x] else highs[x]
            check[x] += line[x] - line[x]
    if np.isnan(check.sum()):  # NaN, or infinite: every quotient by the span would be 0 or NaN
        bins[:] = 0
        return
    low, high = lows.min(), highs.max()
    kind = gray.dtype.type
    span = high - low if high > low else kind(1)
    zero, top, snap = kind(0), kind(GRAY_LEVELS - 1), kind(SNAP)
    for y in range(height):
        line, out = gray[y], bins[y]
        for x in range(width):
            level = np.rint(np.rint((line[x] - low) / span * top * snap) / snap)
            level = level if level > zero else zero  # NaN as well, of a span that is infinite
            out[x] = np.int32(level) // np.int32(BIN_SIZE)


@compiled
def redistribute(hist, limit):
    """Clip one histogram in place and hand the excess out again; see `clahe.redistribute`.

    There must be room for it, as there is in every tile at CLIP_LIMIT.
    """
    total = clipped = np.int64(0)
    for i in range(BINS):
        total += hist[i]
        hist[i] = min(hist[i], limit)
        clipped += hist[i]
    increment = (total - clipped) // BINS
    excess = total
    for i in range(BINS):
        raised = hist[i] + increment
        hist[i] = raised if raised < limit - increment else limit
        excess -= hist[i]
    while excess > 0:
        for start in range(BINS):
            room = 0
            for i in range(BINS):
                room += 1 if hist[i] < limit else 0
            for i in range(start, BINS, room // excess if room > excess else 1):
                if hist[i] < limit:
                    hist[i] += 1
                    excess -= 1
            if excess <= 0:
                break


@compiled
def tile_curves(bins, tile_h, tile_w, limit, curves):
    """The curve of each tile into uint32 rows×columns×256; the image is reflected at its far ends to whole tiles."""
    height, width = bins.shape
    rows, columns, _ = curves.shape
    scale = (GRAY_LEVELS - 1) / (tile_h * tile_w)
    hist = np.empty(BINS, np.int32)
    for row in range(rows):
        for column in range(columns):
            hist[:] = 0
            first, last = column * tile_w, (column + 1) * tile_w
            for y in range(row * tile_h, (row + 1) * tile_h):
                line = bins[y if y < height else 2 * height - 2 - y]
                inside = line[first : min(last, width)]
                mirrored = line[2 * width - 1 - last : width - 1]
                for x in range(len(inside)):
                    hist[inside[x]] += 1
                if last > width:
                    for x in range(len(mirrored)):
                        hist[mirrored[x]] += 1
            redistribute(hist, limit)
            curve, below = curves[row, column], 0
            for i in range(BINS):
                below += hist[i]
                curve[i] = int(min(below * scale, float(GRAY_LEVELS - 1)))


@compiled
def equalize(bins, tile_h, tile_w, limit, levels):
    """The levels of an H×W image, 0…16383 in uint16."""
    height, width = bins.shape
    rows, columns = -(-height // tile_h), -(-width // tile_w)
    curves = np.empty((rows, columns, BINS), np.uint32)
    tile_curves(bins, tile_h, tile_w, limit, curves)
    # The quotient by the area is a product with its rounded-up inverse.
    inverse = np.uint64(-(-(1 << 50) // (tile_h * tile_w)))
    mixed, step = np.empty((columns, BINS), np.uint32), np.empty((columns, BINS), np.uint32)
    for row in range(rows + 1):
        mix_rows(curves[max(row - 1, 0)], curves[min(row, rows - 1)], tile_h, mixed, step)
        top = row * tile_h - tile_h // 2
        for y in range(top, min(top + tile_h, height)):
            if y >= 0:
                for cell in range(columns + 1):
                    start = cell * tile_w - tile_w // 2
                    begin, end = max(start, 0), min(start + tile_w, width)
                    left, right = mixed[max(cell - 1, 0)], mixed[min(cell, columns - 1)]
                    look_up(bins[y, begin:end], left, right, begin - start, tile_w, inverse, levels[y, begin:end])
            for column in range(columns):
                table, change = mixed[column], step[column]
                for i in range(BINS):
                    table[i] += change[i]


@compiled
def mix_rows(above, below, tile_h, mixed, step):
    """The curves on the first line between two rows of tiles, and what each further line adds (modulo 2³²)."""
    for column in range(len(mixed)):
        upper, lower, table, change = above[column], below[column], mixed[column], step[column]
        for i in range(BINS):
            table[i] = upper[i] * np.uint32(tile_h)
            change[i] = lower[i] - upper[i]


@compiled
def look_up(bins, left, right, offset, tile_w, inverse, levels):
    """Mix the curves of two columns of tiles along one line of the cell between them."""
    for x in range(len(bins)):
        bin_, weight = bins[x], np.uint64(offset + x)
        value = left[bin_] * (np.uint64(tile_w) - weight) + right[bin_] * weight
        levels[x] = (value * inverse) >> _SHIFT


@compiled
def otsu(levels):
    """The level up to which a pixel is dark."""
    height, width = levels.shape
    below = np.zeros(GRAY_LEVELS + 1, np.int32)  # becomes the number of pixels below each level
    above = below[1:]
    for y in range(height):
        line = levels[y]
        for x in range(width):
            above[line[x]] += 1
    low, high = 0, GRAY_LEVELS - 1
    while below[low + 1] == 0:
        low += 1
    while below[high + 1] == 0:
        high -= 1
    for level in range(low, high):
        below[level + 1] += below[level]
    span, pixels = high - low, height * width
    darker = np.empty(OTSU_BINS + 1, np.int64)
    for i in range(OTSU_BINS):
        darker[i] = below[low + (i * span + OTSU_BINS - 1) // OTSU_BINS]
    darker[OTSU_BINS] = pixels
    total = np.int64(0)
    for i in range(OTSU_BINS):
        total += (darker[i + 1] - darker[i]) * (2 * i + 1)
    best, most, moment = 0, 0.0, np.int64(0)
    for i in range(OTSU_BINS - 1):
        moment += (darker[i + 1] - darker[i]) * (2 * i + 1)
        dark, bright = darker[i + 1], pixels - darker[i + 1]
        if dark and bright:
            distance = moment / (2 * OTSU_BINS) / dark - (total - moment) / (2 * OTSU_BINS) / bright
            between = np.float64(np.float32(dark) * np.float32(bright)) * (distance * distance)
            if between > most:
                best, most = i, between
    return low + (2 * best + 1) * span // (2 * OTSU_BINS)
