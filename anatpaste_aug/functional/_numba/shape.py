"""The blurred shapes of a batch, over the pixels that each one reaches; see `functional.shape` for the definition.

A line of a shape is one run of pixels, and a blurred run is a difference of two values of the kernel's running sum. So
only the vertical half of the blur costs more than a subtraction a pixel, and lines at one distance from the shape's
centre are alike.
"""

import numpy as np

from .jit import compiled


@compiled
def blur_reach(sigma, longest):
    """See `shape.blur_radius`."""
    return int(min(np.float32(4) * sigma + np.float32(0.5), np.float32(longest - 1)))


@compiled
def running_sum(sigma, total):
    """Into ``total``, of 2·L values: the Gaussian's weights up to each distance from −L to L − 1."""
    longest = len(total) // 2
    reach, width = blur_reach(sigma, longest), max(sigma, np.float32(1e-6))
    total[:] = 0
    for i in range(longest - reach, longest + reach + 1):
        total[i] = np.exp(-0.5 * ((i - longest) / width) ** 2)
    for i in range(1, 2 * longest):
        total[i] += total[i - 1]
    total /= total[-1]


@compiled
def blurred_run(total, first, last, size, begin, out):
    """Add the blur of the pixels ``first`` to ``last`` of ``size`` to ``out``, from position ``begin`` on.

    Pixels at an edge go on beyond it.
    """
    middle = len(total) // 2 + begin
    below = total[middle - first : middle - first + len(out)]
    above = total[middle - last - 1 : middle - last - 1 + len(out)]
    for x in range(len(out)):
        out[x] += (below[x] if first > 0 else 1.0) - (above[x] if last < size - 1 else 0.0)


@compiled
def reaches(reach_y, reach_x, ellipse, reach):
    """How far each line reaches to the left and right of the centre, by its distance from it; see `shape._inside`."""
    x = reach_x
    for y in range(reach_y + 1):
        if ellipse:
            square_y, square_x = max(reach_y, 1) ** 2, max(reach_x, 1) ** 2
            room_x = 2 * reach_x * reach_x * (square_y - y * y)
            line = (2 * y * (y - 1) + 1) * square_x if y > 0 else 0
            while x > 0:
                room_y = 2 * reach_y * reach_y * (square_x - x * x)
                if (2 * x * (x - 1) + 1) * square_y <= room_x or line <= room_y:
                    break
                x -= 1
        reach[y] = x


@compiled
def add_lines(lines, first, last, begin, end, weights, row):
    """Add the pixels ``begin`` to ``end`` of the lines ``first`` to ``last``, times their weights, to the row.

    Four lines at once, so that the row is read and written less often.
    """
    four = last - (last - first) % 4
    for d in range(first, four, 4):
        # Slices of single lines, which are known to be contiguous.
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
def soft_masks(params, hard, turns, regions, out, begin, end):
    """X_mask of the images ``begin`` to ``end``, into float32 B×H×W; ``regions`` is uint8 B×H×W, or empty.

    ``turns`` is int64 B×8: height and width of the rotated patch's bounding box, and `move.inverse_rotation`.
    """
    longest = max(out.shape[1], out.shape[2])
    total = np.empty(2 * longest, np.float64)
    for i in range(begin, end):
        out[i] = 0
        if not params.apply[i]:
            continue
        masked = regions.shape[0] > 0 and not params.anywhere[i]
        region = regions[i] if masked else regions[:0, 0]
        if hard:
            patch_mask(params, i, turns[i], region, out[i])
        else:
            running_sum(params.sigma[i], total)
            drawn_mask(params, i, total, region, out[i])


@compiled
def patch_mask(params, i, turn, region, out):
    """The whole patch, with hard edges."""
    height, width = out.shape
    top, left = params.top[i], params.left[i]
    begin, end = max(left, 0), min(left + turn[1], width)
    for y in range(max(top, 0), min(top + turn[0], height)):
        row = out[y]
        for x in range(begin, end):
            row[x] = params.opacity[i]
        if params.angle[i] != 0:
            for x in range(begin, end):
                from_y, from_x = turned(turn, y - top, x - left)
                if not (0 <= from_y < params.scaled_height[i] and 0 <= from_x < params.scaled_width[i]):
                    row[x] = 0
        if len(region) > 0:
            keep = region[y]
            for x in range(begin, end):
                row[x] = row[x] if keep[x] else np.float32(0)


@compiled
def turned(turn, y, x):
    """See `move.turn`."""
    return (y * turn[3] + turn[2] + x * turn[4]) >> 16, (y * turn[6] + turn[5] + x * turn[7]) >> 16


@compiled
def drawn_mask(params, i, total, region, out):
    """The drawn shape, less its margin and blurred; ``total`` is its kernel's running sum."""
    height, width = out.shape
    reach, weights = np.empty(height, np.int64), np.empty(height, np.float32)
    radius = blur_reach(params.sigma[i], max(height, width))
    y0, x0 = params.top[i] + params.scaled_height[i] // 2, params.left[i] + params.scaled_width[i] // 2
    ellipse = params.ellipse[i]
    reach_y = max(params.scaled_height[i] // 2 - params.margin[i], 0)
    reach_x = max(params.scaled_width[i] // 2 - params.margin[i], 0)
    reaches(reach_y, reach_x, ellipse, reach)
    left, right = max(x0 - reach_x - radius, 0), min(x0 + reach_x + radius, width - 1) + 1
    top, bottom = max(y0 - reach_y - radius, 0), min(y0 + reach_y + radius, height - 1) + 1
    count = reach_y + 1 if ellipse else 1  # all lines of a rectangle are alike
    # By their distance from the center: what lines are across, and what they give to each row.
    lines, shares = np.zeros((count, right - left), np.float32), np.zeros((count, bottom - top), np.float32)
    for d in range(count):
        blurred_run(total, max(x0 - reach[d], 0), min(x0 + reach[d], width - 1), width, left, lines[d])
        if not ellipse:
            blurred_run(total, max(y0 - reach_y, 0), min(y0 + reach_y, height - 1), height, top, shares[d])
            continue
        if y0 - d >= 0:
            blurred_run(total, y0 - d, y0 - d, height, top, shares[d])
        if d > 0 and y0 + d < height:
            blurred_run(total, y0 + d, y0 + d, height, top, shares[d])
    masked = len(region) > 0
    for y in range(top, bottom):
        begin_x, end_x = left, right
        if masked:
            while begin_x < end_x and not region[y, begin_x]:
                begin_x += 1
            while begin_x < end_x and not region[y, end_x - 1]:
                end_x -= 1
        if begin_x == end_x:
            continue
        # Lines that are farther away than the blur reaches give nothing.
        distance = abs(y - y0) if ellipse else 0
        nearest, farthest = max(distance - radius, 0), min(distance + radius + 1, count)
        for d in range(nearest, farthest):
            weights[d] = shares[d, y - top] * params.opacity[i]
        row = out[y, begin_x:end_x]
        add_lines(lines, nearest, farthest, begin_x - left, end_x - left, weights, row)
        for x in range(len(row)):
            row[x] = min(row[x], np.float32(1))  # sums of weights may exceed it by a rounding
        if masked:
            keep = region[y, begin_x:end_x]
            for x in range(len(row)):
                row[x] = row[x] if keep[x] else np.float32(0)
