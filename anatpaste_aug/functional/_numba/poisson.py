"""Poisson blending, box by box; see `functional.poisson` for the definition."""

import math

import numpy as np

from anatpaste_aug.functional._numba.jit import compiled


@compiled
def blend_differences(images, source, edges, guidance, alpha, weight, begin, end):
    """Blend boxes of the source into the images ``begin`` to ``end`` of B×C×H×W, in place.

    Args:
        images, source: float32 or float64.
        edges: int64 B×4: top, left, bottom and right of the boxes, frames included, clipped to the image.
        guidance: 0 for "source", 1 for "stronger", 2 for "mixed".
        alpha: Like the images, B; empty where it isn't used.
        weight: Like the images, B×H×W; B×0×0 is 1 everywhere.
        begin, end: A range of images.
    """
    for i in range(begin, end):
        top, left, bottom, right = edges[i]
        if bottom - top < 3 or right - left < 3:
            continue
        share = alpha[i] if guidance == 1 else images.dtype.type(0)
        waves = sines(min(bottom - top, right - left) - 2)
        weights = weight[i, top:bottom, left:right] if weight.size else weight[i]
        for channel in range(images.shape[1]):
            divergence = diverge(
                images[i, channel, top:bottom, left:right],
                source[i, channel, top:bottom, left:right],
                guidance,
                share,
                weights,
            )
            upright = bottom - top >= right - left  # the transform is along the shorter side
            change = solve(divergence, waves) if upright else solve(divergence.T.copy(), waves).T
            for y in range(change.shape[0]):
                line = images[i, channel, top + 1 + y, left + 1 : right - 1]
                for x in range(change.shape[1]):
                    line[x] += change[y, x]


@compiled
def diverge(target, source, guidance, share, weights):
    """Compute the divergence of the guidance minus the target's differences, inside the frame, in float64."""
    height, width = target.shape[0] - 2, target.shape[1] - 2
    kind = target.dtype.type
    divergence = np.zeros((height + 1, width + 1))  # its first row and column are the frame's
    for y in range(height + 1):
        for x in range(width + 1):
            own_x, own_y = target[y, x + 1] - target[y, x], target[y + 1, x] - target[y, x]
            guide_x, guide_y = source[y, x + 1] - source[y, x], source[y + 1, x] - source[y, x]
            if guidance == 1:
                guide_x, guide_y = share * guide_x, share * guide_y
                weak_x, weak_y = (kind(1) - share) * own_x, (kind(1) - share) * own_y
                guide_x = weak_x if abs(weak_x) > abs(guide_x) else guide_x
                guide_y = weak_y if abs(weak_y) > abs(guide_y) else guide_y
            elif guidance == 2 and not abs(guide_x - guide_y) > abs(own_x - own_y):
                guide_x, guide_y = own_x, own_y
            excess_x, excess_y = guide_x - own_x, guide_y - own_y
            if weights.size:
                excess_x, excess_y = weights[y, x] * excess_x, weights[y, x] * excess_y
            divergence[y, x] += excess_x + excess_y
            if x < width:
                divergence[y, x + 1] -= excess_x
            if y < height:
                divergence[y + 1, x] -= excess_y
    return divergence[1:, 1:].copy()


@compiled
def sines(count):
    """Return the type-I sine transform of ``count`` values: orthonormal and symmetric, so it is its own inverse."""
    turn = np.empty(2 * (count + 1))
    for k in range(len(turn)):
        turn[k] = math.sqrt(2 / (count + 1)) * math.sin(math.pi * k / (count + 1))
    waves = np.empty((count, count))
    for x in range(count):
        for k in range(count):
            waves[x, k] = turn[(x + 1) * (k + 1) % len(turn)]
    return waves


@compiled
def solve(divergence, waves):
    """Solve Δv = divergence with v = 0 around it.

    A sine transform of the rows, then a tridiagonal system per frequency: half the operations of a second transform.
    """
    height, width = divergence.shape
    values = multiply(divergence, waves)
    ratios, decay = np.empty((height, width)), np.empty(width)
    for k in range(width):
        decay[k] = 2 + 4 * math.sin(math.pi * (k + 1) / (2 * (width + 1))) ** 2
        ratios[0, k] = 1 / decay[k]
        values[0, k] *= -ratios[0, k]
    for y in range(1, height):
        for k in range(width):
            ratio = 1 / (decay[k] - ratios[y - 1, k])
            ratios[y, k] = ratio
            values[y, k] = (values[y - 1, k] - values[y, k]) * ratio
    for y in range(height - 2, -1, -1):
        for k in range(width):
            values[y, k] += ratios[y, k] * values[y + 1, k]
    return multiply(values, waves)


@compiled
def multiply(left, right):
    """Multiply two matrices, four rows of the right one at a time."""
    rows, inner = left.shape
    columns = right.shape[1]
    product = np.zeros((rows, columns))
    whole = inner - inner % 4
    for y in range(rows):
        line = product[y]
        for k in range(0, whole, 4):
            a, b, c, d = left[y, k], left[y, k + 1], left[y, k + 2], left[y, k + 3]
            first, second, third, fourth = right[k], right[k + 1], right[k + 2], right[k + 3]
            for x in range(columns):
                line[x] += a * first[x] + b * second[x] + c * third[x] + d * fourth[x]
        for k in range(whole, inner):
            a, first = left[y, k], right[k]
            for x in range(columns):
                line[x] += a * first[x]
    return product
