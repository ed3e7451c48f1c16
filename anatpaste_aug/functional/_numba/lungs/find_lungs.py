"""Algorithm 1 on one image after the other, with buffers that stay in a core's caches."""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from anatpaste_aug.functional._numba.jit import compiled
from anatpaste_aug.functional._numba.lungs.clahe import bins_of_bytes, bins_of_floats, equalize, otsu, tile_curves
from anatpaste_aug.functional._numba.lungs.components import keep_components
from anatpaste_aug.functional._numba.lungs.morphology import spread
from anatpaste_aug.functional.intensity import GRAY_LEVELS
from anatpaste_aug.functional.lungs.clahe import BIN_SIZE, BINS, CLIP_LIMIT
from anatpaste_aug.functional.lungs.otsu import BINS as OTSU_BINS

Array = npt.NDArray[Any]


def segment(gray: Array, smallest: float, out: npt.NDArray[np.bool_]) -> None:
    """Segment the lungs of B×H×W gray images, uint8 or floating point, and write them to ``out``."""
    _, height, width = gray.shape
    bins, lungs = np.empty((height, width), np.uint8), out.view(np.uint8)
    levels, counts = np.empty((height, width), np.uint16), np.empty(GRAY_LEVELS + 1, np.int32)
    darker, framed = np.empty(OTSU_BINS + 1, np.int64), np.zeros((2, height + 2, width + 2), np.uint8)
    scratch = (*tiles(height, width), levels, counts, darker, framed, *component_scratch(height, width))
    for i, (image, low, high) in enumerate(zip(gray, *extremes(gray), strict=True)):
        find_bins(image, low, high, bins)
        find_lungs(bins, lungs[i], smallest, *scratch)


@compiled
def find_lungs(
    bins, out, smallest, tile_h, tile_w, limit, inverse, hist, curves, rows, mixed, levels, counts, darker, framed,
    runs, first, area,
):  # fmt: skip
    """Run Algorithm 1 on the CLAHE bins of one image, as one kernel, so that threads seldom wait for the GIL.

    Args:
        bins: uint8 H×W.
        out: uint8 H×W, written.
        smallest: The smallest area that stays, as floating point.
        tile_h, tile_w, limit, inverse, hist, curves, rows, mixed: See `tiles`.
        levels: uint16 H×W scratch.
        counts, darker: Scratch of `clahe.otsu`.
        framed: uint8 2×(H+2)×(W+2) scratch; the frame is 0.
        runs, first, area: Scratch of `components.keep_components`.
    """
    height, width = bins.shape
    tile_curves(bins, tile_h, tile_w, limit, hist, curves)
    equalize(bins, tile_h, tile_w, inverse, rows, mixed, levels)
    threshold, mask = otsu(levels, counts, darker), framed[0]
    # The erosion of the dark pixels is the complement of the dilation of the bright ones.
    for y in range(height):
        line, bright = levels[y], mask[y + 1]
        for x in range(width):
            bright[x + 1] = line[x] > threshold
    # Erosion, dilation, border clearing, dilation, small components: in a loop, so that each kernel is inlined once.
    for step in range(5):
        if step == 2 or step == 4:
            keep_components(mask, step == 2, 1.0 if step == 2 else smallest, runs, first, area)
        else:
            spread(mask, framed[1], np.uint8(step == 0))
    for y in range(height):
        line, inner = out[y], mask[y + 1]
        for x in range(width):
            line[x] = inner[x + 1]


def extremes(gray: Array) -> tuple[Array, Array]:
    """Return the lowest and the highest value of each of B×H×W images."""
    flat = gray.reshape(len(gray), gray.shape[1] * gray.shape[2])
    return flat.min(1), flat.max(1)


def find_bins(gray: Array, low: Any, high: Any, bins: Array) -> None:
    """Compute the CLAHE bins of an H×W image, uint8; see `intensity.stretch_levels`."""
    if gray.dtype == np.uint8:
        bins_of_bytes(gray, _bins_between(int(low), int(high)), bins)
    elif np.isfinite(low) and np.isfinite(high):
        with np.errstate(over="ignore"):
            span = high - low if high > low else gray.dtype.type(1)
        bins_of_floats(gray, low.reshape(1), span.reshape(1), bins)
    else:  # NaN or infinity: every quotient by the span would be 0 or NaN
        bins[:] = 0


@lru_cache(1024)
def _bins_between(low: int, high: int) -> Array:
    """Return the bin of each byte value, for an image whose bytes lie between ``low`` and ``high``."""
    levels = np.rint((np.arange(256.0) - low) / max(high - low, 1) * (GRAY_LEVELS - 1))
    return (levels.clip(0, GRAY_LEVELS - 1) // BIN_SIZE).astype(np.uint8)


def tiles(height: int, width: int) -> Any:
    """Return the tiles' height and width, the clip limit, the inverse of their area, and arrays for the curves."""
    tile_h, tile_w = max(height // 8, 1), max(width // 8, 1)
    area = tile_h * tile_w
    limit, inverse = max(int(CLIP_LIMIT * area), 1), np.uint64(-(-(1 << 50) // area))
    rows, columns = -(-height // tile_h), -(-width // tile_w)
    hist, curves = np.empty((rows, columns, BINS), np.int32), np.empty((rows, columns, BINS), np.uint32)
    mixed = np.empty((2, columns * BINS), np.uint32)
    return tile_h, tile_w, limit, inverse, hist, curves, curves.reshape(rows, columns * BINS), mixed


def component_scratch(height: int, width: int) -> tuple[Array, Array, Array]:
    """Allocate the scratch of `components.keep_components`."""
    most = height * ((width + 1) // 2)
    return np.empty((3, most), np.int32), np.empty(height + 2, np.int64), np.empty(most, np.int64)
