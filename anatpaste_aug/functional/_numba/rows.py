"""Parameters as kernels take them: a table of whole numbers and one of others, with a row per patch.

A tuple of many arrays would be compiled array by array, in every kernel that it is passed to.
"""

INTEGERS = (
    *("apply", "donor", "source_top", "source_left", "height", "width", "scaled_height", "scaled_width"),
    *("top", "left", "ellipse", "margin", "anywhere"),
)
APPLY, DONOR, SOURCE_TOP, SOURCE_LEFT, HEIGHT, WIDTH, SCALED_HEIGHT, SCALED_WIDTH = range(8)
TOP, LEFT, ELLIPSE, MARGIN, ANYWHERE = range(8, 13)
RADIUS = 13  # where the blur is cut off; see `shape.blur_radius`
# The lines and columns of the image that the mask reaches (none for what isn't pasted), and what is cut for them, seen
# from the patch's corner: the patch, or more. `pasting` fills these in.
FIRST, LAST, BEGIN, END, UP, DOWN, WEST, EAST = range(14, 22)
ORDER = 22  # four columns: the order of the color jitter

REALS = ("angle", "opacity", "sigma", "brightness", "contrast", "saturation", "hue")
ANGLE, OPACITY, SIGMA, BRIGHTNESS, CONTRAST, SATURATION, HUE = range(7)
