"""CLAHE and Otsu's threshold of one image; see `lungs.clahe` and `lungs.otsu` for the definitions."""

import numpy as np

from anatpaste_aug.functional._numba.jit import compiled
from anatpaste_aug.functional.intensity import GRAY_LEVELS, SNAP
from anatpaste_aug.functional.lungs.clahe import BIN_SIZE, BINS
from anatpaste_aug.functional.lungs.otsu import BINS as OTSU_BINS

_SHIFT = np.uint64(50)  # exact for every mix of levels and area: both are below 2¹⁸ times 2¹⁴


@compiled
def bins_of_bytes(gray, table, bins):
    """Look up the CLAHE bins of a uint8 H×W image in a table of 256."""
    height, width = gray.shape
    for y in range(height):
        line, out = gray[y], bins[y]
        for x in range(width):
            out[x] = table[line[x]]


@compiled
def bins_of_floats(gray, low, span, bins):
    """Compute the CLAHE bins of a floating-point H×W image in its own precision; see `intensity.stretch_levels`.

    ``low`` and ``span`` are arrays of one value of the image's dtype.
    """
    height, width = gray.shape
    darkest, reach = low[0], span[0]
    kind = type(darkest)
    zero, top, snap = kind(0), kind(GRAY_LEVELS - 1), kind(SNAP)
    for y in range(height):
        line, out = gray[y], bins[y]
        for x in range(width):
            level = np.rint(np.rint((line[x] - darkest) / reach * top * snap) / snap)
            level = level if level > zero else zero  # also for NaN, from an infinite span
            out[x] = np.int32(level) // np.int32(BIN_SIZE)


@compiled
def tile_curves(bins, tile_h, tile_w, limit, hist, curves):
    """Compute the curve of each tile, uint32 rows×columns×256; the image is reflected at its far edges to whole tiles.

    ``hist`` is int32 scratch of the same shape.
    """
    height, width = bins.shape
    rows, columns, _ = curves.shape
    scale = (GRAY_LEVELS - 1) / (tile_h * tile_w)
    for row in range(rows):
        for column in range(columns):
            counts, curve = hist[row, column], curves[row, column]
            for i in range(BINS):
                counts[i] = 0
            first, last = column * tile_w, (column + 1) * tile_w
            for y in range(row * tile_h, (row + 1) * tile_h):
                line = bins[y if y < height else 2 * height - 2 - y]
                inside = line[first : min(last, width)]
                for x in range(len(inside)):
                    counts[inside[x]] += 1
                if last > width:
                    mirrored = line[2 * width - 1 - last : width - 1]
                    for x in range(len(mirrored)):
                        counts[mirrored[x]] += 1
            redistribute(counts, limit)
            below = 0
            for i in range(BINS):
                below += counts[i]
                level = below * scale
                curve[i] = np.int64(level if level < GRAY_LEVELS - 1 else GRAY_LEVELS - 1)


@compiled
def redistribute(hist, limit):
    """Clip one histogram in place and redistribute the excess; see `functional.lungs.clahe.redistribute`.

    The histogram must have room for it, as in every tile at CLIP_LIMIT.
    """
    total = clipped = 0
    for i in range(BINS):
        total += hist[i]
        hist[i] = hist[i] if hist[i] < limit else limit
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
                room += hist[i] < limit
            step = room // excess if room > excess else 1
            i = start
            while i < BINS:
                if hist[i] < limit:
                    hist[i] += 1
                    excess -= 1
                i += step
            if excess <= 0:
                break


@compiled
def equalize(bins, tile_h, tile_w, inverse, curves, mixed, levels):
    """Compute the equalized levels of an H×W image, 0…16383 in uint16.

    Args:
        bins: uint8 H×W.
        tile_h: Height of a tile.
        tile_w: Width of a tile.
        inverse: uint64; dividing by a tile's area is multiplying with it and shifting right by 50 bits.
        curves: uint32 rows×(columns·256) of `tile_curves`.
        mixed: uint32 2×(columns·256) scratch.
        levels: uint16 H×W, the result.
    """
    height, width = bins.shape
    rows, columns = curves.shape[0], curves.shape[1] // BINS
    # The curves interpolated to one line between two rows of tiles, and their increments per line (modulo 2³²).
    tables, steps = mixed[0], mixed[1]
    for row in range(rows + 1):
        above, below = curves[max(row - 1, 0)], curves[min(row, rows - 1)]
        for i in range(len(tables)):
            tables[i] = above[i] * np.uint32(tile_h)
            steps[i] = below[i] - above[i]
        top = row * tile_h - tile_h // 2
        for y in range(max(top, 0), min(top + tile_h, height)):
            for cell in range(columns + 1):
                start = cell * tile_w - tile_w // 2
                begin, end = max(start, 0), min(start + tile_w, width)
                left, right = tables[max(cell - 1, 0) * BINS :], tables[min(cell, columns - 1) * BINS :]
                look_up(bins[y, begin:end], left, right, begin - start, tile_w, inverse, levels[y, begin:end])
            for i in range(len(tables)):
                tables[i] += steps[i]


@compiled
def look_up(bins, left, right, offset, tile_w, inverse, levels):
    """Interpolate between the curves of two columns of tiles, along one line of the cell between them."""
    for x in range(len(bins)):
        bin_, weight = bins[x], np.uint64(offset + x)
        value = left[bin_] * (np.uint64(tile_w) - weight) + right[bin_] * weight
        levels[x] = (value * inverse) >> _SHIFT


@compiled
def otsu(levels, below, darker):
    """Find Otsu's threshold: the level up to which a pixel is dark.

    Args:
        levels: uint16 H×W.
        below: int32 scratch, one longer than the number of levels.
        darker: int64 scratch, one longer than the number of bins.
    """
    height, width = levels.shape
    pixels = height * width
    for i in range(GRAY_LEVELS + 1):
        below[i] = 0
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
    span, moment = high - low, 0
    darker[OTSU_BINS] = pixels
    for i in range(OTSU_BINS):
        darker[i] = below[low + (i * span + OTSU_BINS - 1) // OTSU_BINS]
    for i in range(OTSU_BINS):
        moment += (darker[i + 1] - darker[i]) * (2 * i + 1)
    total, moment, best, most = moment, 0, 0, 0.0
    for i in range(OTSU_BINS - 1):
        moment += (darker[i + 1] - darker[i]) * (2 * i + 1)
        dark, bright = darker[i + 1], pixels - darker[i + 1]
        if dark > 0 and bright > 0:
            distance = moment / (2 * OTSU_BINS) / dark - (total - moment) / (2 * OTSU_BINS) / bright
            between = np.float64(np.float32(dark) * np.float32(bright)) * (distance * distance)
            if between > most:
                best, most = i, between
    return low + (2 * best + 1) * span // (2 * OTSU_BINS)
