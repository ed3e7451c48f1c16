"""The blurred shapes of a batch, over the pixels that each one covers; see `functional.shape` for the definition.

A line of a shape is one run of pixels, and a blurred run is the difference of two values of the Gaussian's cumulative
sum. So the horizontal blur costs one subtraction per pixel, and only the vertical blur costs more. Lines at the same
distance from the shape's center are equal.
"""

import numpy as np

from anatpaste_aug.functional._numba.jit import compiled
from anatpaste_aug.functional._numba.rows import (
    ANGLE,
    ANYWHERE,
    APPLY,
    ELLIPSE,
    LEFT,
    MARGIN,
    OPACITY,
    RADIUS,
    SCALED_HEIGHT,
    SCALED_WIDTH,
    SIGMA,
    TOP,
)


@compiled
def blurred_run(total, first, last, size, begin, out):
    """Add the blur of the pixels ``first`` to ``last`` of ``size`` to ``out``, from position ``begin`` on.

    Edge pixels are repeated beyond the image.
    """
    middle = len(total) // 2 + begin
    below = total[middle - first : middle - first + len(out)]
    above = total[middle - last - 1 : middle - last - 1 + len(out)]
    for x in range(len(out)):
        out[x] += (below[x] if first > 0 else 1.0) - (above[x] if last < size - 1 else 0.0)


@compiled
def add_lines(lines, first, last, begin, end, weights, row):
    """Add the pixels ``begin`` to ``end`` of the lines ``first`` to ``last``, times their weights, to the row.

    Four lines at a time, so that the row is read and written less often.
    """
    four = last - (last - first) % 4
    for d in range(first, four, 4):
        # Slices of single lines, so that Numba knows that they are contiguous.
        a, b = lines[d, begin:end], lines[d + 1, begin:end]
        c, e = lines[d + 2, begin:end], lines[d + 3, begin:end]
        p, q, r, s = weights[d], weights[d + 1], weights[d + 2], weights[d + 3]
        for x in range(len(row)):
            row[x] = row[x] + p * a[x] + q * b[x] + r * c[x] + s * e[x]
    for d in range(four, last):
        a, p = lines[d, begin:end], weights[d]
        for x in range(len(row)):
            row[x] += p * a[x]


@compiled
def clear(pixels):
    """Set H×W values to 0."""
    for y in range(len(pixels)):
        line = pixels[y]
        for x in range(len(line)):
            line[x] = 0


@compiled
def soft_masks(rows, reals, regions, total, reach, weights, lines, out, begin, end):
    """Draw X_mask of the images ``begin`` to ``end``: drawn shapes, reduced by their margins and blurred.

    Args:
        rows, reals: See `rows`; one patch per image.
        regions: uint8 B×H×W, or empty.
        total: float64 scratch, twice the longer side: the cumulative sum of the blur's weights.
        reach: int64 scratch, one for each line of half a shape.
        weights: float32 scratch of the same length.
        lines: float32 scratch of as many rows, W + H wide.
        out: float32 B×H×W, written.
        begin, end: A range of images.
    """
    height, width = out.shape[1:]
    longest = len(total) // 2
    for i in range(begin, end):
        row, opacity = rows[i], reals[i, OPACITY]
        if row[APPLY] == 0:
            clear(out[i])
            continue
        # The cumulative sum of the Gaussian at each distance from −L to L − 1.
        radius, sigma = row[RADIUS], max(reals[i, SIGMA], np.float32(1e-6))
        for j in range(len(total)):
            total[j] = 0.0
        for j in range(longest - radius, longest + radius + 1):
            distance = (j - longest) / sigma
            total[j] = np.exp(-0.5 * (distance * distance))
        for j in range(1, len(total)):
            total[j] += total[j - 1]
        whole = total[len(total) - 1]
        for j in range(len(total)):
            total[j] /= whole
        y0, x0 = row[TOP] + row[SCALED_HEIGHT] // 2, row[LEFT] + row[SCALED_WIDTH] // 2
        reach_y = max(row[SCALED_HEIGHT] // 2 - row[MARGIN], 0)
        reach_x = max(row[SCALED_WIDTH] // 2 - row[MARGIN], 0)
        ellipse = row[ELLIPSE] != 0
        # The half-width of each line, by its distance from the center; see `functional.shape._inside`.
        square_y, square_x = max(reach_y, 1) * max(reach_y, 1), max(reach_x, 1) * max(reach_x, 1)
        x = reach_x
        for y in range(reach_y + 1):
            if ellipse:
                room_x = 2 * reach_x * reach_x * (square_y - y * y)
                room = (2 * y * (y - 1) + 1) * square_x if y > 0 else 0
                while x > 0:
                    room_y = 2 * reach_y * reach_y * (square_x - x * x)
                    if (2 * x * (x - 1) + 1) * square_y <= room_x or room <= room_y:
                        break
                    x -= 1
            reach[y] = x
        left, right = max(x0 - reach_x - radius, 0), min(x0 + reach_x + radius, width - 1) + 1
        top, bottom = max(y0 - reach_y - radius, 0), min(y0 + reach_y + radius, height - 1) + 1
        count = reach_y + 1 if ellipse else 1  # all lines of a rectangle are equal
        # For each distance from the center: the blurred line, and its weight in each row of the image.
        for d in range(count):
            line, share = lines[d, : right - left], lines[d, width : width + bottom - top]
            for j in range(len(line)):
                line[j] = 0
            for j in range(len(share)):
                share[j] = 0
            blurred_run(total, max(x0 - reach[d], 0), min(x0 + reach[d], width - 1), width, left, line)
            # All lines of a rectangle, or the two lines of an ellipse at this distance (one in the middle; one if the
            # other is outside the image).
            for side in range(2 if ellipse and d > 0 else 1):
                above = y0 + d * (2 * side - 1) if ellipse else max(y0 - reach_y, 0)
                below = above if ellipse else min(y0 + reach_y, height - 1)
                if above >= 0 and below < height:
                    blurred_run(total, above, below, height, top, share)
        masked = len(regions) > 0 and row[ANYWHERE] == 0
        clear(out[i, :top])
        clear(out[i, bottom:])
        for y in range(top, bottom):
            clear(out[i, y : y + 1])  # here, so that it is still in cache below
            begin_x, end_x = left, right
            if masked:
                while begin_x < end_x and not regions[i, y, begin_x]:
                    begin_x += 1
                while begin_x < end_x and not regions[i, y, end_x - 1]:
                    end_x -= 1
            if begin_x == end_x:
                continue
            # Lines farther away than the blur's radius contribute nothing.
            away = abs(y - y0) if ellipse else 0
            nearest, farthest = max(away - radius, 0), min(away + radius + 1, count)
            for d in range(nearest, farthest):
                weights[d] = lines[d, width + y - top] * opacity
            soft = out[i, y, begin_x:end_x]
            add_lines(lines, nearest, farthest, begin_x - left, end_x - left, weights, soft)
            for j in range(len(soft)):
                soft[j] = min(soft[j], np.float32(1))  # sums of weights may exceed 1 by a rounding error
            if masked:
                keep = regions[i, y, begin_x:end_x]
                for j in range(len(soft)):
                    soft[j] = soft[j] if keep[j] else np.float32(0)


@compiled
def patch_masks(rows, reals, turns, regions, out, begin, end):
    """Draw X_mask of whole patches, with hard edges; see `soft_masks`.

    ``turns`` is int64 B×8: height and width of the rotated patch's bounding box, and `move.inverse_rotation`.
    """
    height, width = out.shape[1:]
    for i in range(begin, end):
        row, turn = rows[i], turns[i]
        clear(out[i])
        if row[APPLY] == 0:
            continue
        top, left = row[TOP], row[LEFT]
        first, last = max(left, 0), min(left + turn[1], width)
        masked = len(regions) > 0 and row[ANYWHERE] == 0
        for y in range(max(top, 0), min(top + turn[0], height)):
            soft = out[i, y]
            for x in range(first, last):
                inside = True
                if reals[i, ANGLE] != 0:
                    from_y, from_x = turned(turn, y - top, x - left)
                    inside = 0 <= from_y < row[SCALED_HEIGHT] and 0 <= from_x < row[SCALED_WIDTH]
                if inside and (not masked or regions[i, y, x]):
                    soft[x] = reals[i, OPACITY]


@compiled
def turned(turn, y, x):
    """See `move.turn`."""
    return (y * turn[3] + turn[2] + x * turn[4]) >> 16, (y * turn[6] + turn[5] + x * turn[7]) >> 16
