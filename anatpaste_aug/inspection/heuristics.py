"""Estimate what an image looks like: inverted, on its side, frontal, or framed.

Detection rates, at 256×256, on frontal radiographs that are not in the mean radiograph below: 500 of children (Zhang
Lab, 200 normal and 300 pneumonia; other patients than those of the 1,733 images in the mean) and 246 of adults (NIH
ChestX-ray14, AP and PA, with and without findings; split by image from another 246 in the mean). The thresholds were
set on these same images, so expect somewhat worse rates on others.

| suspicion | detected | false alarms on the originals, children and adults |
|---|---|---|
| inverted | inverted copies: 500 of 500, 245 of 246 | 0 and 0 |
| on its side | transposed: 389 of 389 children (every 3rd pneumonia, 6th normal), 292 of 300 adults | 0 and 0 |
| bright border | with a white frame of 8 px: 500 of 500, 246 of 246 | 0 and 6, which look framed |
| flat bands | with a black frame of 26 px: 500 of 500, 246 of 246 | 0 and 5, which have such bands |
| not frontal | unknown: no other views were available | 0 and 1 |
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

__all__ = ["Appearance", "appearance", "content_box", "frontal_similarity"]

# The left half of the mean frontal radiograph on 8×8 fields, in fifths of their standard deviation; it is mirrored.
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
_FLAT = 2 / 255  # standard deviation below which a row or column is flat; above that of JPEG noise
_BRIGHT = 0.8  # fraction of the way from the 1st to the 99th percentile


class Appearance(NamedTuple):
    """What the images of a batch look like; float32 B each, on the images' device.

    Attributes:
        frontal: Correlation with the mean frontal radiograph, from −1 (its negative) to 1; see `frontal_similarity`.
        sideways: How much better the mean radiograph correlates on its side than upright or inverted, −2 to 1.
        band: Fraction of the image's area covered by flat bands along its edges.
        bright_sides: How many of the top, left and right edges are bright along three quarters of their length.
    """

    frontal: Tensor
    sideways: Tensor
    band: Tensor
    bright_sides: Tensor


def appearance(gray: Tensor) -> Appearance:
    """Describe B×H×W gray images in [0, 1].

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
    # A bright bottom is an overexposed abdomen, not a band.
    bottom = torch.where(small[:, -1].mean(1) > bright, gray.shape[1], bottom)
    band = 1 - (bottom - top) * (right - left) / (gray.shape[1] * gray.shape[2])
    upright, on_side = _similarity(gray)
    return Appearance(upright, on_side - upright.abs(), band, torch.stack(sides).sum(0).float())


def content_box(gray: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Bound B×H×W images without the flat rows and columns at their edges.

    Returns:
        Top, bottom, left and right, int64 B each; bottom and right are exclusive. The box of an entirely flat image is
        the whole image.

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


def frontal_similarity(gray: Tensor) -> Tensor:
    """Correlate B×H×W gray images with the mean frontal chest radiograph on 8×8 fields; float32 B.

    Flat bands along the edges are ignored. Inverting an image changes the sign; an image without contrast has 0.
    """
    return _similarity(gray)[0]


def _similarity(gray: Tensor) -> tuple[Tensor, Tensor]:
    """Correlate with the mean radiograph, upright and on its side (the better of left and right); float32 B each."""
    template = torch.tensor(_FRONTAL, dtype=torch.float32, device=gray.device)
    template = _standardized(torch.cat([template, template.flip(1)], 1).unsqueeze(0))
    boxes = torch.stack(content_box(gray), 1).tolist()
    fields = [
        adaptive_avg_pool2d(image[top:bottom, left:right].unsqueeze(0), 8)
        for image, (top, bottom, left, right) in zip(gray, boxes, strict=True)
    ]
    standardized, on_side = _standardized(torch.cat(fields)), template.transpose(1, 2)
    upright, left_side, right_side = (
        (standardized * each).mean((1, 2)) for each in (template, on_side, on_side.flip(2))
    )
    return upright, torch.maximum(left_side, right_side)


def _standardized(fields: Tensor) -> Tensor:
    centered = fields - fields.mean((1, 2), keepdim=True)
    return centered / centered.std((1, 2), correction=0, keepdim=True).clamp_min(1e-6)


def _leading(flags: Tensor) -> Tensor:
    """Count the leading True flags of each row."""
    return flags.long().cumprod(1).sum(1)
