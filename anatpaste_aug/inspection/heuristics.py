"""What an image looks like: inverted, on its side, frontal, framed?

Rates, at 256×256, on frontal radiographs that are not in the mean radiograph below: 500 of children (Zhang Lab, 200
normal and 300 pneumonia, patients apart from the 1,733 images in the mean) and 246 of adults (NIH ChestX-ray14, AP and
PA, with and without findings; another 246 images are in the mean; parted by image). The thresholds were set with all
of these images in view, so expect somewhat worse on others.

| suspicion | found | of the originals, children and adults |
|---|---|---|
| inverted | inverted copies: 500 of 500, 245 of 246 | 0 and 0 |
| on its side | transposed, every third pneumonia and sixth normal child: 389 of 389; 300 adults: 292 | 0 and 0 |
| bright border | with a straight white frame of 8 px: 500 of 500, 246 of 246 | 0 and 6, which look framed |
| flat bands | in a straight black frame of 26 px: 500 of 500, 246 of 246 | 0 and 5, which have such bands |
| not frontal | not known: no other views were at hand | 0 and 1 |
| lungs on one side only | not known, for the same reason | 47 (1 normal) and 23 |
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

__all__ = ["Appearance", "appearance", "content_box", "frontal_likeness"]

# The mean of frontal radiographs on 8×8 fields, in fifths of their standard deviation; the left half, mirrored.
_FRONTAL = (
    (-8, -5, -2, 3),
    (-5, 0, 1, 3),
    (-5, 1, -2, 2),
    (-6, 1, -2, 4),
    (-7, -1, 0, 6),
    (-7, -1, 2, 7),
    (-8, 1, 6, 8),
    (-8, 4, 8, 9),
)
_FLAT = 2 / 255  # standard deviation of a row or column that shows nothing; JPEG noise stays below it
_BRIGHT = 0.8  # of the way from the darkest to the brightest percentile


class Appearance(NamedTuple):
    """What an image batch looks like; float32 B each, on the images' device.

    Attributes:
        frontal: Correlation with the mean frontal radiograph, from −1 (its negative) to 1; see `frontal_likeness`.
        sideways: How much better the mean radiograph on its side fits than the upright one or its negative, −2 to 1.
        band: Share of the image's area that is taken by flat bands along its edges.
        bright_sides: How many of the top, left and right edges are bright along three quarters of their length.
    """

    frontal: Tensor
    sideways: Tensor
    band: Tensor
    bright_sides: Tensor


def appearance(gray: Tensor) -> Appearance:
    """Look at B×H×W gray images in [0, 1].

    Example:
        >>> look = appearance(torch.rand(2, 64, 64))
        >>> look.band.tolist()
        [0.0, 0.0]
    """
    small = adaptive_avg_pool2d(gray, 64)
    low, high = torch.quantile(small.flatten(1), torch.tensor([0.01, 0.99], device=gray.device), dim=1)
    bright = low + _BRIGHT * (high - low)
    edges = (small[:, :2], small[:, :, :2], small[:, :, -2:])
    sides = [torch.quantile(edge.flatten(1), 0.25, dim=1) > bright for edge in edges]
    top, bottom, left, right = content_box(gray)
    # A bright bottom is an overexposed abdomen, no band.
    bottom = torch.where(small[:, -1].mean(1) > bright, gray.shape[1], bottom)
    band = 1 - (bottom - top) * (right - left) / (gray.shape[1] * gray.shape[2])
    upright, on_side = _likeness(gray)
    return Appearance(upright, on_side - upright.abs(), band, torch.stack(sides).sum(0).float())


def content_box(gray: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Top, bottom, left and right (past the end) of what is left of B×H×W images without flat rows and columns at the
    edges; int64 B each. The box of an image that is flat all over is the whole image.

    Example:
        >>> framed = torch.zeros(1, 40, 40)
        >>> framed[:, 5:30, 8:] = torch.rand(25, 32)
        >>> [edge.item() for edge in content_box(framed)]
        [5, 30, 8, 40]
    """
    height, width = gray.shape[1:]
    rows, columns = gray.std(2) < _FLAT, gray.std(1) < _FLAT
    flat = rows.all(1) | columns.all(1)
    before = [torch.where(flat, 0, _leading(lines)) for lines in (rows, rows.flip(1), columns, columns.flip(1))]
    return before[0], height - before[1], before[2], width - before[3]


def frontal_likeness(gray: Tensor) -> Tensor:
    """Correlation of B×H×W gray images with the mean frontal chest radiograph on 8×8 fields; float32 B.

    Flat bands along the edges are not counted. An inverted image has the same value with the other sign; one without
    any contrast has 0.
    """
    return _likeness(gray)[0]


def _likeness(gray: Tensor) -> tuple[Tensor, Tensor]:
    """Correlation with the mean radiograph, upright and on its side (the better of left and right); float32 B each."""
    template = torch.tensor(_FRONTAL, dtype=torch.float32, device=gray.device)
    template = _standardized(torch.cat([template, template.flip(1)], 1).unsqueeze(0))
    boxes = torch.stack(content_box(gray), 1).tolist()
    fields = [
        adaptive_avg_pool2d(image[top:bottom, left:right].unsqueeze(0), 8)
        for image, (top, bottom, left, right) in zip(gray, boxes, strict=True)
    ]
    standardized, lying = _standardized(torch.cat(fields)), template.transpose(1, 2)
    upright, left_side, right_side = ((standardized * each).mean((1, 2)) for each in (template, lying, lying.flip(2)))
    return upright, torch.maximum(left_side, right_side)


def _standardized(fields: Tensor) -> Tensor:
    centered = fields - fields.mean((1, 2), keepdim=True)
    return centered / centered.std((1, 2), correction=0, keepdim=True).clamp_min(1e-6)


def _leading(flags: Tensor) -> Tensor:
    """How many of the first flags of each row are set."""
    return flags.long().cumprod(1).sum(1)
