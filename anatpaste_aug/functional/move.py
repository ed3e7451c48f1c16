"""Map pixels of the image to pixels of the patch: placed, rotated and resized."""

from collections.abc import Sequence

import torch
from torch import Tensor

from anatpaste_aug.paste.params import PasteParams, rotated_size
from anatpaste_aug.precision import to_float64


def patch_pixels(params: PasteParams, height: int, width: int, *, rotated: bool = True) -> tuple[Tensor, Tensor]:
    """Return the row and column of the resized patch for each pixel of the image, also outside the patch.

    A rotated patch is resampled by its nearest pixels, in the whole-number arithmetic of Pillow's ``rotate``.

    Args:
        params: One patch per image, B rows.
        height: Height H of the images.
        width: Width W of the images.
        rotated: False skips the rotation, if all angles are 0.

    Returns:
        Two int64 tensors B×H×W; B×H×1 and B×1×W without rotation.
    """
    device = params.top.device
    y = torch.arange(height, device=device).unsqueeze(1) - column(params.top)
    x = torch.arange(width, device=device) - column(params.left)
    if not rotated:
        return y, x
    return turn([column(number) for number in inverse_rotation(params)], y, x)


def inside_patch(params: PasteParams, row: Tensor, column_: Tensor) -> Tensor:
    """Test which of the pixels of `patch_pixels` lie on the patch: boolean B×H×W."""
    within_rows = (row >= 0) & (row < column(params.scaled_height))
    return within_rows & (column_ >= 0) & (column_ < column(params.scaled_width))


def move(
    sources: Tensor,
    params: PasteParams,
    row: Tensor,
    column_: Tensor,
    *,
    beyond_source: bool = False,
    resized: bool = True,
) -> Tensor:
    """Move the source's pixels to their places in the image.

    Args:
        sources: B×C×Hs×Ws, uint8 or floating point.
        params: One patch per image, B rows.
        row: The rows that `patch_pixels` returned for images of H×W.
        column_: The columns that it returned.
        beyond_source: Beyond the patch, use the source pixels around it, and repeat the edges of the source beyond
            those; False repeats the edges of the patch.
        resized: Resample bilinearly, as ``cv2.resize`` does; False if no patch is resized.

    Returns:
        B×C×H×W.
    """
    height, width = sources.shape[-2:]
    top, left = column(params.source_top), column(params.source_left)
    bottom, right = top + column(params.height) - 1, left + column(params.width) - 1
    if beyond_source:
        top_limit, left_limit = torch.zeros_like(top), torch.zeros_like(left)
        bottom_limit, right_limit = top_limit + height - 1, left_limit + width - 1
    else:
        # Replayed params may be wrong: on CUDA, an index out of bounds would abort the process.
        top_limit, bottom_limit = top.clamp(0, height - 1), bottom.clamp(0, height - 1)
        left_limit, right_limit = left.clamp(0, width - 1), right.clamp(0, width - 1)

    def read(y: Tensor, x: Tensor) -> Tensor:
        y = torch.minimum(torch.maximum(y, top_limit), bottom_limit)
        x = torch.minimum(torch.maximum(x, left_limit), right_limit)
        if len(sources) == 1 and y.shape[2] == x.shape[1] == 1:  # not rotated: whole rows and columns
            return sources.index_select(2, y.flatten()).index_select(3, x.flatten())
        places = y * width + x
        index = places.flatten(1).unsqueeze(1)
        flat = sources.flatten(2).gather(2, index.expand(-1, sources.shape[1], -1))
        return flat.view(*sources.shape[:2], *places.shape[1:])

    if not resized:
        return read(row + top, column_ + left)
    y, y_rest = _scaled(row, params.height, params.scaled_height)
    x, x_rest = _scaled(column_, params.width, params.scaled_width)
    y, x = y + top, x + left
    corners = [read(y, x), read(y, x + 1), read(y + 1, x), read(y + 1, x + 1)]
    return _interpolated(corners, y_rest.unsqueeze(1), x_rest.unsqueeze(1))


ONE = 2**11
"""The sum of the weights of an interpolation, which are integers as in OpenCV's code for uint8 images."""


def _scaled(position: Tensor, size: Tensor, scaled: Tensor) -> tuple[Tensor, Tensor]:
    """Map pixel centers of the resized patch to the original patch: integer part, and fraction in 1/2048."""
    numerator = (2 * position + 1) * column(size) - column(scaled)
    divisor = 2 * column(scaled).clamp_min(1)
    whole = torch.div(numerator, divisor, rounding_mode="floor")
    rest = (2 * ONE * (numerator - whole * divisor) + divisor) // (2 * divisor)
    return whole, rest


def _interpolated(corners: list[Tensor], down: Tensor, right: Tensor) -> Tensor:
    """Interpolate between four corners with the weights of ``cv2.resize``; bit for bit its result for uint8."""
    if corners[0].dtype != torch.uint8:
        down, right = (weight.to(corners[0].dtype) / ONE for weight in (down, right))
        upper, lower = torch.lerp(corners[0], corners[1], right), torch.lerp(corners[2], corners[3], right)
        return torch.lerp(upper, lower, down)
    first, second, third, fourth = (corner.int() for corner in corners)
    down, right = down.int(), right.int()
    upper = (first * (ONE - right) + second * right) >> 4
    lower = (third * (ONE - right) + fourth * right) >> 4
    return ((((ONE - down) * upper >> 16) + (down * lower >> 16) + 2) >> 2).to(torch.uint8)


def inverse_rotation(params: PasteParams) -> Tensor:
    """Return the affine map from a pixel (y, x) of the bounding box to the patch: int64 6×B in 1/65536 of a pixel.

    The row at (0, 0) and its increments along y and x, then the same for the column. This is Pillow's arithmetic;
    integers are the same on every device.
    """
    radians = to_float64(params.angle).deg2rad()
    cosine, sine = radians.cos(), radians.sin()
    height, width = to_float64(params.scaled_height), to_float64(params.scaled_width)
    sizes = rotated_size(params.scaled_height, params.scaled_width, params.angle)
    high, wide = (to_float64(side) for side in sizes)
    first_y, first_x = (1 - high) / 2, (1 - wide) / 2  # the center of the first pixel relative to the middle
    row = height / 2 + cosine * first_y + sine * first_x
    column_ = width / 2 - sine * first_y + cosine * first_x
    steps = (torch.stack([row, cosine, sine, column_, -sine, cosine]) * 65536 + 0.5).floor().long()
    return steps.to(params.angle.device)


def turn(rotation: Sequence[Tensor], y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Map pixels (y, x) of the bounding box to pixels of the patch, by `inverse_rotation`."""
    row, row_y, row_x, column_, column_y, column_x = rotation
    return (y * row_y + row + x * row_x) >> 16, (y * column_y + column_ + x * column_x) >> 16


def column(values: Tensor) -> Tensor:
    """Reshape B values to B×1×1."""
    return values.view(-1, 1, 1)
