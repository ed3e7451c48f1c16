"""The median of the values around single pixels."""

import numpy as np

from anatpaste_aug.functional._numba.jit import compiled


@compiled
def medians(padded, steps, wanted, reach, values, out):
    """Write the median over a neighborhood of each wanted pixel; 0 elsewhere.

    Args:
        padded: float32 B×N, images of H×W in a frame ``reach`` pixels wide, flattened.
        steps: int64: how far each pixel of the neighborhood is from its center in a flattened image. Their number is
            odd.
        wanted: uint8 B×H×W.
        reach: The width of the frame.
        values: float32 scratch, as long as ``steps``.
        out: float32 B×H×W, written.
    """
    height, width = out.shape[1:]
    middle = len(steps) // 2
    guess = padded.dtype.type(0)
    lowest, highest = padded.dtype.type(-np.inf), padded.dtype.type(np.inf)
    for i in range(len(out)):
        for y in range(height):
            for x in range(width):
                out[i, y, x] = 0
                if not wanted[i, y, x]:
                    continue
                center = (y + reach) * (width + 2 * reach) + x + reach
                for k in range(len(steps)):
                    values[k] = padded[i, center + steps[k]]
                # Start at the previous pixel's median, which is close, and step to the next lower or higher value.
                for _ in range(len(steps)):
                    less = equal = 0
                    below, above = lowest, highest
                    for k in range(len(steps)):
                        value = values[k]
                        less += value < guess
                        equal += value == guess
                        below = value if value < guess and value > below else below
                        above = value if value > guess and value < above else above
                    if less > middle:
                        guess = below
                    elif less + equal <= middle:
                        guess = above
                    else:
                        break
                out[i, y, x] = guess
