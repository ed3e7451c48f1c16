"""Algorithm 1 on one image after the other, in buffers that stay in a core's caches."""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..clahe import BIN_SIZE, BINS, CLIP_LIMIT
from ..intensity import GRAY_LEVELS
from ..otsu import BINS as OTSU_BINS
from .clahe import bins_of_bytes, bins_of_floats, equalize, otsu, tile_curves
from .components import keep_components
from .morphology import spread

Array = npt.NDArray[Any]
_NO_FLIP, _FLIP = np.uint8(0), np.uint8(1)


def segment(gray: Array, smallest: float, out: npt.NDArray[np.bool_]) -> None:
    """Lungs of B×H×W grey images, uint8 or floating point, into ``out``."""
    _, height, width = gray.shape
    bins, levels = np.empty((height, width), np.uint8), np.empty((height, width), np.uint16)
    below, darker = np.empty(GRAY_LEVELS + 1, np.int32), np.empty(OTSU_BINS + 1, np.int64)
    mask, scratch = np.zeros((height + 2, width + 2), np.uint8), np.empty((height + 2, width + 2), np.uint8)
    inner, bright = mask[1:-1, 1:-1], mask.view(bool)[1:-1, 1:-1]
    equalized, keep = equalizer(height, width), component_filter(height, width)
    for image, lungs, low, high in zip(gray, out, *extremes(gray), strict=True):
        find_bins(image, low, high, bins)
        equalized(bins, levels)
        # Bright pixels, dilated, are what the erosion of the dark ones leaves out, and outside there are none.
        np.greater(levels, otsu(levels, below, darker), out=bright)
        spread(mask, scratch, _FLIP)
        spread(mask, scratch, _NO_FLIP)
        keep(mask, True, 1.0)
        spread(mask, scratch, _NO_FLIP)
        keep(mask, False, smallest)
        lungs[...] = inner


def extremes(gray: Array) -> tuple[Array, Array]:
    """The lowest and the highest value of each of B×H×W images."""
    flat = gray.reshape(len(gray), gray.shape[1] * gray.shape[2])
    return flat.min(1), flat.max(1)


def find_bins(gray: Array, low: Any, high: Any, bins: Array) -> None:
    """The CLAHE bins of an H×W image, uint8; see `intensity.stretch_levels`."""
    if gray.dtype == np.uint8:
        bins_of_bytes(gray, _bins_between(int(low), int(high)), bins)
    elif np.isfinite(low) and np.isfinite(high):
        with np.errstate(over="ignore"):
            span = high - low if high > low else gray.dtype.type(1)
        bins_of_floats(gray, low.reshape(1), span.reshape(1), bins)
    else:  # NaN, or infinite: every quotient by the span would be 0 or NaN
        bins[:] = 0


@lru_cache(1024)
def _bins_between(low: int, high: int) -> Array:
    """The bin of each byte in an image whose bytes lie between ``low`` and ``high``."""
    levels = np.rint((np.arange(256.0) - low) / max(high - low, 1) * (GRAY_LEVELS - 1))
    return (levels.clip(0, GRAY_LEVELS - 1) // BIN_SIZE).astype(np.uint8)


def equalizer(height: int, width: int) -> Any:
    """Bins to levels, with buffers of its own."""
    tile_h, tile_w = max(height // 8, 1), max(width // 8, 1)
    area = tile_h * tile_w
    limit, inverse = max(int(CLIP_LIMIT * area), 1), np.uint64(-(-(1 << 50) // area))
    shape = (-(-height // tile_h), -(-width // tile_w), BINS)
    hist, curves, mixed = (
        np.empty(shape, np.int32),
        np.empty(shape, np.uint32),
        np.empty((2, shape[1] * BINS), np.uint32),
    )

    rows = curves.reshape(shape[0], -1)

    def equalized(bins: Array, levels: Array) -> None:
        tile_curves(bins, tile_h, tile_w, limit, hist, curves)
        equalize(bins, tile_h, tile_w, inverse, rows, mixed, levels)

    return equalized


def component_filter(height: int, width: int) -> Any:
    """`components.keep_components` with buffers of its own."""
    most = height * ((width + 1) // 2)
    runs, first, area = np.empty((3, most), np.int32), np.empty(height + 2, np.int64), np.empty(most, np.int64)

    def keep(framed: Array, inside: bool, smallest: float) -> None:
        keep_components(framed, inside, smallest, runs, first, area)

    return keep
