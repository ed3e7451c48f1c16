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
            room_x = reach_x * reach_x * (1 - (y / max(reach_y, 1)) ** 2)
            line = y * (y - 1) + 0.5 if y > 0 else 0.0
            while x > 0:
                room_y = reach_y * reach_y * (1 - (x / max(reach_x, 1)) ** 2)
                if x * (x - 1) + 0.5 <= room_x or line <= room_y:
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
def soft_masks(params, lungs, out, begin, end):
    """X_mask of the images ``begin`` to ``end``, into float32 B×H×W; ``lungs`` is uint8 B×H×W, or empty."""
    _, height, width = out.shape
    longest = max(height, width)
    total = np.empty(2 * longest, np.float64)
    reach, weights = np.empty(height, np.int64), np.empty(height, np.float32)
    for i in range(begin, end):
        out[i] = 0
        if not params.apply[i]:
            continue
        running_sum(params.sigma[i], total)
        radius = blur_reach(params.sigma[i], longest)
        y0, x0, ellipse = params.center_y[i], params.center_x[i], params.ellipse[i]
        reach_y = max(params.height[i] // 2 - params.margin[i], 0)
        reach_x = max(params.width[i] // 2 - params.margin[i], 0)
        reaches(reach_y, reach_x, ellipse, reach)
        left, right = max(x0 - reach_x - radius, 0), min(x0 + reach_x + radius, width - 1) + 1
        top, bottom = max(y0 - reach_y - radius, 0), min(y0 + reach_y + radius, height - 1) + 1
        count = reach_y + 1 if ellipse else 1  # all lines of a rectangle are alike
        # By their distance from the centre: what lines are across, and what they give to each row.
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
        masked = lungs.shape[0] > 0 and not params.anywhere[i]
        for y in range(top, bottom):
            begin_x, end_x = left, right
            if masked:
                while begin_x < end_x and not lungs[i, y, begin_x]:
                    begin_x += 1
                while begin_x < end_x and not lungs[i, y, end_x - 1]:
                    end_x -= 1
            if begin_x == end_x:
                continue
            # Lines that are farther away than the blur reaches give nothing.
            distance = abs(y - y0) if ellipse else 0
            nearest, farthest = max(distance - radius, 0), min(distance + radius + 1, count)
            for d in range(nearest, farthest):
                weights[d] = shares[d, y - top] * params.opacity[i]
            row = out[i, y, begin_x:end_x]
            add_lines(lines, nearest, farthest, begin_x - left, end_x - left, weights, row)
            for x in range(len(row)):
                row[x] = min(row[x], np.float32(1))  # sums of weights may exceed it by a rounding
            if masked:
                keep = lungs[i, y, begin_x:end_x]
                for x in range(len(row)):
                    row[x] = row[x] if keep[x] else np.float32(0)
