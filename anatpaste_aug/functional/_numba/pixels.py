"""A mask's n-th pixel, found without the sums of its rows before it."""

import numpy as np

from .jit import compiled


@compiled
def random_pixels(masks, u, row, column, found):
    """See `params._random_pixel`; ``masks`` is uint8 B×H×W, and the places go into the last three arrays."""
    batch, height, width = masks.shape
    per_row = np.empty(height, np.uint32)
    for i in range(batch):
        total = np.uint32(0)
        for y in range(height):
            line, count = masks[i, y], np.uint32(0)
            for x in range(width):
                count += np.uint32(line[x])
            per_row[y] = count
            total += count
        row[i], column[i], found[i] = 0, 0, total > 0
        if total == 0:
            continue
        rank = min(np.int64(u[i] * u.dtype.type(total)), np.int64(total) - 1)
        y = 0
        while rank >= per_row[y]:
            rank -= np.int64(per_row[y])
            y += 1
        x = 0
        while rank > 0 or not masks[i, y, x]:
            rank -= np.int64(masks[i, y, x])
            x += 1
        row[i], column[i] = y, x
