"""Algorithm 1 on the CPU, a few images at a time in each of torch's threads.

The definitions are those of ``clahe``, ``otsu``, ``morphology`` and ``components``, whose masks these are bit for bit.
A few images stay in a core's caches from the first step to the last, and NumPy's calls cost less than torch's.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .clahe import BIN_SIZE, BINS, CLIP_LIMIT
from .host_components import Mask, clear_border_on_host, remove_small_on_host
from .intensity import GRAY_LEVELS

_Array = npt.NDArray[Any]
_CHUNK_PIXELS = 2**19  # a thread's share: arrays that stay in the caches, calls long enough for threads to take turns
_SNAP = 256  # see `intensity.stretch_levels`


class _Layout(NamedTuple):
    """Where the pixels of an H×W image lie among its tiles."""

    tile: tuple[int, int]
    tiles: tuple[int, int]
    pad: tuple[tuple[int, int], ...]
    histogram: _Array  # of each pixel of the padded image: its tile's first bin
    around: tuple[slice, _Array, _Array]  # the tiles with their outermost ones repeated, as an index
    cell: _Array  # of each pixel: the first bin of the cell between four tiles
    y: _Array  # H×1 and W weights of the lower and of the right tiles
    x: _Array


def segment_on_host(images: Tensor, smallest: float) -> Tensor:
    """Boolean B×1×H×W lungs of B×H×W grey images on the CPU; components below ``smallest`` pixels are dropped."""
    _keep_freed_memory()
    gray = images.numpy()
    lungs = torch.empty(len(images), 1, *images.shape[1:], dtype=torch.bool)
    out = lungs.numpy()
    threads = torch.get_num_threads()
    share = -(-len(gray) // threads)
    count = max(1, min(share, _CHUNK_PIXELS // gray[0].size)) if len(gray) else 1

    def segment(start: int) -> None:
        out[start : start + count, 0] = _segment(gray[start : start + count], smallest)

    starts = range(0, len(gray), count)
    if len(starts) > 1 and threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(segment, starts))
    else:
        for start in starts:
            segment(start)
    return lungs


@lru_cache
def _keep_freed_memory() -> None:
    """Keep glibc from handing every freed buffer back to the system, and faulting it in again at the next step.

    Its allocator returns memory above a threshold that grows with the largest block freed so far, up to 32 MB; one such
    block, never touched, is enough.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8)


def _segment(gray: _Array, smallest: float) -> Mask:
    levels = _clahe(gray)
    eroded = ~_dilate(levels > _otsu(levels))
    inside = clear_border_on_host(_dilate(eroded))
    return remove_small_on_host(_dilate(inside), smallest)


def _dilate(mask: Mask) -> Mask:
    given = np.ascontiguousarray(mask).view(np.uint8)  # bytes are combined far faster than booleans
    tall = given.copy()
    tall[:, 1:] |= given[:, :-1]
    tall[:, :-1] |= given[:, 1:]
    out = tall.copy()
    out[..., 1:] |= tall[..., :-1]
    out[..., :-1] |= tall[..., 1:]
    return out.view(np.bool_)


def _bins(gray: _Array) -> _Array:
    """The histogram bin of each pixel, intp; see `intensity.stretch_levels`."""
    bins: _Array
    low, high = gray.min((1, 2), keepdims=True), gray.max((1, 2), keepdims=True)
    if gray.dtype == np.uint8:
        span = np.maximum(high.astype(float) - low, 1.0)[:, 0]
        levels = np.rint((np.arange(256.0) - low[:, 0]) / span * (GRAY_LEVELS - 1)).clip(0, GRAY_LEVELS - 1)
        bins = np.empty(gray.shape, np.intp)
        for table, image, out in zip((levels // BIN_SIZE).astype(np.intp), gray, bins, strict=True):
            np.take(table, image, out=out, mode="clip")
        return bins
    with np.errstate(invalid="ignore", over="ignore"):
        levels = (gray - low) / np.where(high > low, high - low, gray.dtype.type(1)) * (GRAY_LEVELS - 1)
        levels = np.rint(np.rint(levels * _SNAP) / _SNAP)
        levels = np.nan_to_num(levels, copy=False).clip(0, GRAY_LEVELS - 1)
    bins = levels.astype(np.intp) // BIN_SIZE
    return bins


def _clahe(gray: _Array) -> _Array:
    """Equalised levels, intp B×H×W; see `clahe.clahe`."""
    layout = _layout(*gray.shape[1:])
    area, tiles = layout.tile[0] * layout.tile[1], layout.tiles[0] * layout.tiles[1]
    image = np.arange(len(gray))[:, None, None]
    bins = _bins(gray)
    padded = np.pad(bins, layout.pad, mode="reflect") if any(after for _, after in layout.pad) else bins
    index = padded + layout.histogram
    index += image * (tiles * BINS)
    hist = _count(index, len(gray) * tiles * BINS).reshape(-1, BINS)
    hist = _redistribute(hist, area, max(int(CLIP_LIMIT * area), 1))
    curves = np.cumsum(hist, axis=1) * ((GRAY_LEVELS - 1) / area)
    np.minimum(curves, GRAY_LEVELS - 1, out=curves)

    exact = GRAY_LEVELS * area
    dtype: Any = np.float32 if exact <= 2**24 else np.int32 if exact <= 2**31 else np.int64
    corners: _Array = curves.astype(np.int32).astype(dtype).reshape(-1, *layout.tiles, BINS)[layout.around]
    c00, c01, c10, c11 = corners[:, :-1, :-1], corners[:, :-1, 1:], corners[:, 1:, :-1], corners[:, 1:, 1:]
    c11 = c00 - c01 - c10 + c11
    c01, c10, c00 = (c01 - c00) * dtype(layout.tile[0]), (c10 - c00) * dtype(layout.tile[1]), c00 * dtype(area)
    index = bins + layout.cell
    index += image * c00[0].size
    x, y = layout.x.astype(dtype), layout.y.astype(dtype)
    slope = np.take(c11, index, mode="clip")
    slope *= x
    slope += np.take(c10, index, mode="clip")
    slope *= y
    mixed = np.take(c01, index, mode="clip")
    mixed *= x
    mixed += np.take(c00, index, mode="clip")
    mixed += slope
    if dtype is np.float32:
        mixed /= np.float32(area)
        return mixed.astype(np.intp)
    return (mixed // area).astype(np.intp)


@lru_cache(maxsize=2)
def _layout(height: int, width: int) -> _Layout:
    tile = (max(height // 8, 1), max(width // 8, 1))
    pad = ((0, 0), (0, -height % tile[0]), (0, -width % tile[1]))
    tiles = ((height + pad[1][1]) // tile[0], (width + pad[2][1]) // tile[1])
    row = np.arange(height + pad[1][1])[:, None] // tile[0]
    column = np.arange(width + pad[2][1]) // tile[1]
    y, x = np.arange(height)[:, None] + tile[0] // 2, np.arange(width) + tile[1] // 2
    cell = (y // tile[0] * (tiles[1] + 1) + x // tile[1]) * BINS
    above, left = (np.arange(-1, count + 1).clip(0, count - 1) for count in tiles)
    around = (slice(None), above[:, None], left[None])
    return _Layout(tile, tiles, pad, (row * tiles[1] + column) * BINS, around, cell, y % tile[0], x % tile[1])


def _redistribute(hist: _Array, total: int, limit: int) -> _Array:
    """See `clahe.redistribute`; a histogram is left alone as soon as it has no excess."""
    hist = np.minimum(hist, limit)
    increment = (total - hist.sum(1, dtype=np.int32, keepdims=True)) // BINS
    hist += increment
    hist = np.where(hist < limit - increment, hist, np.int32(limit))
    excess = total - hist.sum(1, dtype=np.int32, keepdims=True)

    # The first round starts at bin 0 everywhere, and settles three histograms in four.
    room = hist < limit
    step = np.maximum(room.sum(1, dtype=np.int32, keepdims=True) // np.maximum(excess, 1), 1)
    chosen = room & _multiples()[step[:, 0]] & (excess > 0)
    hist += chosen
    excess -= chosen.sum(1, dtype=np.int32, keepdims=True)
    active = np.flatnonzero(excess > 0)
    part, excess = hist[active], excess[active]
    start = np.ones_like(excess)
    bins = np.arange(BINS, dtype=np.int32)
    while len(active):
        room = part < limit
        step = np.maximum(room.sum(1, dtype=np.int32, keepdims=True) // excess, 1)
        start[~(room & (bins >= start)).any(1)] = 0
        offset = bins - start
        start += np.where(room & (offset >= 0), offset % step, BINS).min(1, keepdims=True)
        offset = bins - start
        chosen = room & (offset >= 0) & (offset % step == 0)
        part += chosen
        excess -= chosen.sum(1, dtype=np.int32, keepdims=True)
        start += 1
        hist[active] = part
        still = (excess > 0)[:, 0]
        active, part, excess, start = active[still], part[still], excess[still], start[still]
    return hist


@lru_cache
def _multiples() -> Mask:
    """Row s marks the multiples of s among the bins."""
    marks: Mask = np.arange(BINS) % np.arange(BINS + 1).clip(1)[:, None] == 0
    return marks


def _otsu(levels: _Array) -> _Array:
    """Thresholds B×1×1; see `otsu.otsu_threshold`."""
    count, pixels = len(levels), levels[0].size
    hist = _count(levels + np.arange(count)[:, None, None] * GRAY_LEVELS, count * GRAY_LEVELS).reshape(count, -1)
    cumulative = np.cumsum(hist, axis=1)
    used = hist > 0
    low = used.argmax(1)[:, None]
    span = GRAY_LEVELS - 1 - used[:, ::-1].argmax(1)[:, None] - low
    index = np.arange(BINS)
    first = low + (index[1:] * span + BINS - 1) // BINS
    darker = np.zeros((count, BINS + 1), np.int64)
    darker[:, 1:-1] = np.where(first > 0, np.take_along_axis(cumulative, np.maximum(first - 1, 0), 1), 0)
    darker[:, -1] = pixels
    moments = np.cumsum(np.diff(darker) * (2 * index + 1), axis=1)
    dark, bright = darker[:, 1:-1], pixels - darker[:, 1:-1]
    with np.errstate(invalid="ignore"):  # a constant image has an empty class
        mean_dark = moments[:, :-1] / (2 * BINS) / dark
        mean_bright = (moments[:, -1:] - moments[:, :-1]) / (2 * BINS) / bright
    weights = (dark.astype(np.float32) * bright.astype(np.float32)).astype(np.float64)
    best = np.nan_to_num(weights * np.square(mean_dark - mean_bright)).argmax(1)[:, None]
    thresholds: _Array = low + (2 * best + 1) * span // (2 * BINS)
    return thresholds[..., None]


def _count(values: _Array, size: int) -> npt.NDArray[np.int32]:
    """``np.bincount`` without the interpreter's lock, so that threads can count side by side."""
    flat = torch.from_numpy(values).view(-1)
    counts: npt.NDArray[np.int32] = torch.zeros(size, dtype=torch.int32).scatter_add_(0, flat, _ones(len(flat))).numpy()
    return counts


@lru_cache(maxsize=4)
def _ones(size: int) -> Tensor:
    return torch.ones(size, dtype=torch.int32)
