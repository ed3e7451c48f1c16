"""The parameters of patches as the kernels take them: a table of integers and one of floats, with a row per patch.

A tuple of many arrays would take longer to compile, in every kernel that it is passed to.
"""

INTEGERS = (
    *("apply", "donor", "source_top", "source_left", "height", "width", "scaled_height", "scaled_width"),
    *("top", "left", "ellipse", "margin", "anywhere"),
)
APPLY, DONOR, SOURCE_TOP, SOURCE_LEFT, HEIGHT, WIDTH, SCALED_HEIGHT, SCALED_WIDTH = range(8)
TOP, LEFT, ELLIPSE, MARGIN, ANYWHERE = range(8, 13)
RADIUS = 13  # where the blur is truncated; see `shape.blur_radius`
# FIRST to END: the rows and columns of the image that the mask covers, empty if the patch isn't pasted. UP to EAST: the
# part of the source that is cut, relative to the patch's corner: the patch, or more. `pasting` sets these columns.
FIRST, LAST, BEGIN, END, UP, DOWN, WEST, EAST = range(14, 22)
ORDER = 22  # four columns: the order of the color jitter

REALS = ("angle", "opacity", "sigma", "brightness", "contrast", "saturation", "hue")
ANGLE, OPACITY, SIGMA, BRIGHTNESS, CONTRAST, SATURATION, HUE = range(7)
