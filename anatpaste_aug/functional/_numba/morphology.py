"""3×3 morphology of one mask, in place; masks are uint8 of 0 and 1 in a frame one pixel wide, which is set here."""

from .jit import compiled


@compiled
def threshold(levels, highest, mask):
    """1 where a level is at most ``highest``."""
    height, width = levels.shape
    for y in range(height):
        line, out = levels[y], mask[y + 1, 1:-1]
        for x in range(width):
            out[x] = line[x] <= highest


@compiled
def shrink(mask, scratch):
    """Erosion; what lies outside is ignored. Leaves the frame empty."""
    lines, width = mask.shape
    set_frame(mask, 1)
    for y in range(1, lines - 1):
        for x in range(width):
            scratch[y, x] = mask[y - 1, x] & mask[y, x] & mask[y + 1, x]
    for y in range(1, lines - 1):
        for x in range(1, width - 1):
            mask[y, x] = scratch[y, x - 1] & scratch[y, x] & scratch[y, x + 1]
    set_frame(mask, 0)


@compiled
def spread(mask, scratch):
    """Dilation, of a mask in an empty frame."""
    lines, width = mask.shape
    for y in range(1, lines - 1):
        for x in range(width):
            scratch[y, x] = mask[y - 1, x] | mask[y, x] | mask[y + 1, x]
    for y in range(1, lines - 1):
        for x in range(1, width - 1):
            mask[y, x] = scratch[y, x - 1] | scratch[y, x] | scratch[y, x + 1]


@compiled
def set_frame(mask, value):
    """Set the outermost pixels."""
    lines, width = mask.shape
    for x in range(width):
        mask[0, x] = mask[lines - 1, x] = value
    for y in range(lines):
        mask[y, 0] = mask[y, width - 1] = value
