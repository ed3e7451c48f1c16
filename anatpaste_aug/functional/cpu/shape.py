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
def blurred_run(total, first, last, size, position):
    """The blur of the pixels ``first`` to ``last`` of ``size``, at ``position``; pixels at an edge go on beyond it."""
    longest = len(total) // 2
    below = total[longest + position - first] if first > 0 else total[-1]
    above = total[longest + position - last - 1] if last < size - 1 else np.float64(0)
    return np.float32(below - above)


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
def soft_masks(params, lungs, out, begin, end):
    """X_mask of the images ``begin`` to ``end``, into float32 B×H×W; ``lungs`` is uint8 B×H×W, or empty."""
    _, height, width = out.shape
    longest = max(height, width)
    total = np.empty(2 * longest, np.float64)
    reach, lines = np.empty(height, np.int64), np.empty((height, width), np.float32)
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
        left, right = max(x0 - reach_x - radius, 0), min(x0 + reach_x + radius, width - 1)
        count = reach_y + 1 if ellipse else 1
        for d in range(count):
            first, last = max(x0 - reach[d], 0), min(x0 + reach[d], width - 1)
            for x in range(left, right + 1):
                lines[d, x] = blurred_run(total, first, last, width, x)
        masked = lungs.shape[0] > 0 and not params.anywhere[i]
        opacity = params.opacity[i]
        for y in range(max(y0 - reach_y - radius, 0), min(y0 + reach_y + radius, height - 1) + 1):
            begin_x, end_x = left, right + 1
            if masked:
                while begin_x < end_x and not lungs[i, y, begin_x]:
                    begin_x += 1
                while begin_x < end_x and not lungs[i, y, end_x - 1]:
                    end_x -= 1
            row = out[i, y, begin_x:end_x]
            for d in range(count if len(row) else 0):
                weight = line_weight(total, y0, d, reach_y, ellipse, height, y) * opacity
                line = lines[d, begin_x:end_x]
                if weight > 0:
                    for x in range(len(row)):
                        row[x] += weight * line[x]
            for x in range(len(row)):
                row[x] = min(row[x], np.float32(1))  # sums of weights may exceed it by a rounding
            if masked:
                keep = lungs[i, y, begin_x:end_x]
                for x in range(len(row)):
                    row[x] = row[x] if keep[x] else np.float32(0)


@compiled
def line_weight(total, centre, distance, reach, ellipse, height, y):
    """What the lines at one distance from the centre give to line ``y``; all lines of a rectangle are alike."""
    if not ellipse:
        return blurred_run(total, max(centre - reach, 0), min(centre + reach, height - 1), height, y)
    weight = np.float32(0)
    if centre - distance >= 0:
        weight += blurred_run(total, centre - distance, centre - distance, height, y)
    if distance > 0 and centre + distance < height:
        weight += blurred_run(total, centre + distance, centre + distance, height, y)
    return weight
