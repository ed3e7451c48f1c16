"""Find a random pixel of each mask, without a cumulative sum over all pixels."""

import numpy as np

from anatpaste_aug.functional._numba.jit import compiled


@compiled
def random_pixels(masks, u, counts, row, column, found):
    """Find the pixel of rank floor(u · count) of each mask.

    Args:
        masks: uint8 B×H×W of 0 and 1.
        u: float32 B×K.
        counts: int64 scratch, H.
        row, column: int64 B×K, written.
        found: uint8 B, written.
    """
    height, width = masks.shape[1:]
    for i in range(len(masks)):
        total = 0
        for y in range(height):
            # Counts of 32 bits take half the instructions of 64.
            line, count = masks[i, y], np.uint32(0)
            for x in range(width):
                count += np.uint32(line[x])
            counts[y] = count
            total += counts[y]
        for k in range(u.shape[1]):
            rank = min(int(u[i, k] * np.float32(total)), total - 1)
            y = x = 0
            if total > 0:
                while rank >= counts[y]:
                    rank -= counts[y]
                    y += 1
                while rank > 0 or not masks[i, y, x]:
                    rank -= masks[i, y, x]
                    x += 1
            row[i, k], column[i, k] = y, x
        found[i] = total > 0
