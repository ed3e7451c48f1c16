"""Algorithm 1 on one image after the other, in buffers that stay in a core's caches."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..clahe import CLIP_LIMIT
from .clahe import bins_of_bytes, bins_of_floats, equalize, otsu
from .components import keep_components
from .morphology import shrink, spread, threshold


def segment(gray: npt.NDArray[Any], smallest: float, out: npt.NDArray[np.bool_]) -> None:
    """Lungs of B×H×W grey images, uint8 or floating point, into ``out``."""
    _, height, width = gray.shape
    find_bins = bins_of_bytes if gray.dtype == np.uint8 else bins_of_floats
    tile_h, tile_w = max(height // 8, 1), max(width // 8, 1)
    limit = max(int(CLIP_LIMIT * (tile_h * tile_w)), 1)
    bins, levels = np.empty((height, width), np.uint8), np.empty((height, width), np.uint16)
    mask, scratch = (np.empty((height + 2, width + 2), np.uint8) for _ in range(2))
    for image, lungs in zip(gray, out, strict=True):
        find_bins(image, bins)
        equalize(bins, tile_h, tile_w, limit, levels)
        threshold(levels, otsu(levels), mask)
        shrink(mask, scratch)
        spread(mask, scratch)
        keep_components(mask, True, 1.0)
        spread(mask, scratch)
        keep_components(mask, False, smallest)
        lungs[...] = mask[1:-1, 1:-1]
