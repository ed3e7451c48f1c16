"""The foreground of patches, and medians over a disk; see `functional.foreground` for the definitions."""

from anatpaste_aug.functional._numba.jit import compiled
from anatpaste_aug.functional._numba.rows import (
    APPLY,
    DONOR,
    HEIGHT,
    LEFT,
    SCALED_HEIGHT,
    SCALED_WIDTH,
    SOURCE_LEFT,
    SOURCE_TOP,
    TOP,
    WIDTH,
)
from anatpaste_aug.functional.move import ONE


@compiled
def move_foreground(rows, foreground, sources, columns, out, begin, end):
    """Overwrite the pixels of the patches in the images ``begin`` to ``end``, where no patch is rotated.

    Args:
        rows: See `rows`; one patch per image.
        foreground: uint8 B×H×W.
        sources: uint8 N×H×W.
        columns: int64 3×W scratch.
        out: uint8 B×H×W.
        begin, end: A range of images.
    """
    height, width = out.shape[1:]
    for i in range(begin, end):
        row = rows[i]
        if row[APPLY] == 0:
            continue
        source, first, last = sources[row[DONOR]], max(row[LEFT], 0), min(row[LEFT] + row[SCALED_WIDTH], width)
        for x in range(first, last):
            neighbors = interpolated(x - row[LEFT], row[WIDTH], row[SCALED_WIDTH])
            columns[0, x], columns[1, x], columns[2, x] = neighbors
        for y in range(max(row[TOP], 0), min(row[TOP] + row[SCALED_HEIGHT], height)):
            above, below, down = interpolated(y - row[TOP], row[HEIGHT], row[SCALED_HEIGHT])
            upper, lower = source[row[SOURCE_TOP] + above], source[row[SOURCE_TOP] + below]
            given, result = foreground[i, y], out[i, y]
            for x in range(first, last):
                left, right, share = row[SOURCE_LEFT] + columns[0, x], row[SOURCE_LEFT] + columns[1, x], columns[2, x]
                over = (ONE - share) * upper[left] + share * upper[right]
                under = (ONE - share) * lower[left] + share * lower[right]
                result[x] = given[x] or 2 * ((ONE - down) * over + down * under) >= ONE * ONE


@compiled
def interpolated(position, size, scaled):
    """Return the pixels that one of the resized patch lies between, and the weight of the second; see `move`."""
    numerator, divisor = (2 * position + 1) * size - scaled, 2 * scaled
    whole = numerator // divisor
    rest = (2 * ONE * (numerator - whole * divisor) + divisor) // (2 * divisor)
    return max(whole, 0), min(whole + 1, size - 1), rest


@compiled
def medians(ranks, values, disk, first, last, wanted, reach, counts, out):
    """Write the median over a disk around each wanted pixel of one image; 0 elsewhere.

    By a histogram of the disk that slides along the rows (Huang et al., 1979).

    Args:
        ranks: int32, the image in a frame ``reach`` pixels wide, flattened: the rank of each pixel's value; 0 for 0.
        values: float32, the value of each rank.
        disk: int64: how far each pixel of the disk is from its center in a flattened image. Their number is odd.
        first, last: int64: the same for the first and the last pixel of each row of the disk.
        wanted: uint8 H×W.
        reach: The width of the frame.
        counts: int64 scratch, one for each rank: the pixels of that rank in the disk.
        out: float32 H×W, written.
    """
    height, width = out.shape
    need = len(disk) // 2 + 1  # the median is the largest value that so many pixels reach
    guess, nonzero, reached = 1, 0, 0  # the rank of a median; the pixels in the disk above 0, and those that reach it
    for y in range(height):
        start, x = (y + reach) * (width + 2 * reach) + reach, -2 * reach - 1
        for end in range(width):
            out[y, end] = 0
            if not wanted[y, end]:
                continue
            if end - x > 2 * reach:  # farther than sliding is worth
                for k in range(len(counts)):
                    counts[k] = 0
                nonzero = reached = 0
                for k in range(len(disk)):
                    rank = ranks[start + end + disk[k]]
                    counts[rank] += 1
                    nonzero += rank > 0
                    reached += rank >= guess
                x = end
            while x < end:
                for k in range(len(first)):
                    rank = ranks[start + x + first[k]]
                    counts[rank] -= 1
                    nonzero -= rank > 0
                    reached -= rank >= guess
                x += 1
                for k in range(len(last)):
                    rank = ranks[start + x + last[k]]
                    counts[rank] += 1
                    nonzero += rank > 0
                    reached += rank >= guess
            if nonzero < need:
                continue
            while reached < need:
                guess -= 1
                reached += counts[guess]
            while reached - counts[guess] >= need:
                reached -= counts[guess]
                guess += 1
            out[y, end] = values[guess]
