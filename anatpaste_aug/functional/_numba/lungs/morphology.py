"""3×3 dilation of one mask."""

from anatpaste_aug.functional._numba.jit import compiled


@compiled
def spread(mask, scratch, flip):
    """Dilate a mask in place.

    Args:
        mask: uint8 of 0 and 1 in an empty frame one pixel wide.
        scratch: uint8 of the same shape.
        flip: uint8; 1 inverts the result, except in the frame.
    """
    lines, width = mask.shape
    for y in range(1, lines - 1):
        for x in range(width):
            scratch[y, x] = mask[y - 1, x] | mask[y, x] | mask[y + 1, x]
    for y in range(1, lines - 1):
        for x in range(1, width - 1):
            mask[y, x] = (scratch[y, x - 1] | scratch[y, x] | scratch[y, x + 1]) ^ flip
