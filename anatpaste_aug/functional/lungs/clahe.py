"""Contrast-limited adaptive histogram equalization of batches, as scikit-image defines it."""

import torch
from torch import Tensor

from anatpaste_aug.functional.intensity import GRAY_LEVELS, stretch_levels
from anatpaste_aug.precision import to_float64

BINS = 256
BIN_SIZE = 1 + GRAY_LEVELS // BINS

CLIP_LIMIT = 0.01


def clahe(gray: Tensor) -> Tensor:
    """Equalize each image over tiles of an eighth of its height and width.

    The definition is ``skimage.exposure.equalize_adapthist`` (0.26, 256 bins, default tiles and clip limit) up to its
    last step, the stretch of the result to [0, 1]. Tile curves and weights are combined in exact integers, whereas
    scikit-image adds rounded floats: with tile sides that are not a power of two, or above 64, a level can
    differ by 1 of 16383.

    Args:
        gray: B×H×W, uint8 or floating point, finite, H and W at least 32.

    Returns:
        int32 B×H×W with values in 0…16383.

    Example:
        >>> levels = clahe(torch.arange(1024, dtype=torch.float32).view(1, 32, 32))
        >>> levels.shape, levels.dtype
        (torch.Size([1, 32, 32]), torch.int32)
    """
    _, height, width = gray.shape
    tile = (max(height // 8, 1), max(width // 8, 1))
    area = tile[0] * tile[1]
    bins = stretch_levels(gray, BIN_SIZE)
    hist = _tile_histograms(bins, tile)
    hist = redistribute(hist, max(int(CLIP_LIMIT * area), 1))
    # In float64, as in the definition: its rounding can fall just below the integer that the exact product is.
    curves = to_float64(hist.cumsum(-1, dtype=torch.int32)).mul_((GRAY_LEVELS - 1) / area).clamp_max_(GRAY_LEVELS - 1)
    return _interpolate(bins, curves.int().to(bins.device), tile)


def _tile_histograms(bins: Tensor, tile: tuple[int, int]) -> Tensor:
    """Count the bins of each tile: B×rows×columns×256. The image is reflected at its far edges to whole tiles."""
    batch = bins.shape[0]
    for axis, side in enumerate(tile, start=1):
        missing = -bins.shape[axis] % side
        if missing:  # less than a tile; the order within a tile does not matter
            reflected = bins.narrow(axis, bins.shape[axis] - 1 - missing, missing)
            bins = torch.cat([bins, reflected], axis)
    _, height, width = bins.shape
    rows, columns = height // tile[0], width // tile[1]
    row = torch.arange(height, dtype=torch.int32, device=bins.device) // tile[0]
    column = torch.arange(width, dtype=torch.int32, device=bins.device) // tile[1]
    index = bins + ((row * columns).unsqueeze(1) + column) * BINS
    one = torch.ones(1, 1, dtype=torch.int32, device=bins.device).expand(batch, height * width)
    hist = torch.zeros(batch, rows * columns * BINS, dtype=torch.int32, device=bins.device)
    return hist.scatter_add_(1, index.flatten(1).long(), one).view(batch, rows, columns, BINS)


def rounds_for(limit: int) -> int:
    """Return a number of rounds that always suffices for redistribution, so that a loop need not test for its end.

    A search over the histograms of a tile at CLIP_LIMIT found at most 11 rounds at limits up to 12 (images of 256 px),
    12 at 163 (1024 px), 38 at 655, 257 at 2052 and 288 at 2621 (4096 px). The worst histograms have about 60 full bins
    above those with room. Between 2051 and 2052, the excess no longer fits into one pass over the starting bins.
    """
    return max(16, limit // 6)


def redistribute(hist: Tensor, limit: int, rounds: int | None = None) -> Tensor:
    """Clip histograms and redistribute the excess, by the loop of scikit-image's ``clip_histogram``.

    The loop is sequential in one histogram and independent between histograms, so they are processed in
    parallel. Real radiographs of 256 px converge in 5 rounds.

    Args:
        hist: …×256 int32 counts.
        limit: Highest count that stays in a bin.
        rounds: Number of rounds; None runs `rounds_for` the limit.

    Returns:
        …×256 int32.
    """
    rounds = rounds_for(limit) if rounds is None else rounds
    shape = hist.shape
    hist = hist.reshape(-1, BINS)
    total = hist.sum(1, keepdim=True, dtype=torch.int32)
    hist = hist.clamp_max(limit).short()  # the limit of an image of 2²⁴ pixels is 2621
    increment = (total - hist.sum(1, keepdim=True, dtype=torch.int32)) // BINS
    # Every bin gets the average; a bin that is then within one more average of the limit is filled up.
    hist = hist + increment.short()
    hist = torch.where(hist < limit - increment, hist, limit)
    excess = total - hist.sum(1, keepdim=True, dtype=torch.int32)
    start = torch.zeros_like(excess, dtype=torch.int16)
    for _ in range(rounds):
        hist, excess, start = _distribute(hist, excess, start, limit)
    return hist.view(shape).int()


def _distribute(hist: Tensor, excess: Tensor, start: Tensor, limit: int) -> tuple[Tensor, Tensor, Tensor]:
    """Run one round: add one count to every ``step``-th bin from ``start`` on that is below the limit.

    The definition tries all starting bins in turn, repeatedly. A start that meets no bin with room changes nothing, not
    even the step, so this skips to the next start that does: every round places at least one count.
    """
    bins = torch.arange(BINS, device=hist.device, dtype=torch.int16)
    room = hist < limit
    step = (room.sum(1, keepdim=True, dtype=torch.int32) // excess.clamp_min(1)).clamp_min_(1).short()
    last = torch.where(room, bins, -1).amax(1, keepdim=True)
    offset = bins - torch.where(last >= start, start, 0)
    turn = torch.where(room & (offset >= 0), offset % step, BINS)
    next_turn = turn.amin(1, keepdim=True)
    chosen = (turn == next_turn) & ((next_turn < BINS) & (excess > 0))
    start = torch.where(last >= start, start, 0) + next_turn + 1
    return hist + chosen, excess - chosen.sum(1, keepdim=True, dtype=torch.int32), start


def _interpolate(bins: Tensor, curves: Tensor, tile: tuple[int, int]) -> Tensor:
    """Look up each pixel's bin in the curves of the four nearest tiles, interpolate bilinearly and truncate.

    The interpolation is written as a polynomial c00 + x·c01 + y·(c10 + x·c11), whose coefficients are computed once
    per cell and bin. Three fused passes over the image remain, in exact integers.
    """
    batch, height, width = bins.shape
    (tile_h, tile_w), area = tile, tile[0] * tile[1]
    # The largest partial sum is a curve value times the tile's area: 32-px tiles fit float32 exactly.
    exact = GRAY_LEVELS * area
    dtype = torch.float32 if exact <= 2**24 else torch.int32 if exact <= 2**31 else torch.int64

    rows, columns = curves.shape[1], curves.shape[2]
    curves = curves.to(dtype)
    above = torch.arange(-1, rows, device=bins.device).clamp_min_(0)
    below = torch.arange(0, rows + 1, device=bins.device).clamp_max_(rows - 1)
    left = torch.arange(-1, columns, device=bins.device).clamp_min_(0)
    right = torch.arange(0, columns + 1, device=bins.device).clamp_max_(columns - 1)
    top, bottom = curves.index_select(1, above), curves.index_select(1, below)
    c00, c01 = top.index_select(2, left), top.index_select(2, right)
    c10, c11 = bottom.index_select(2, left), bottom.index_select(2, right)
    c11 = c00 - c01 - c10 + c11
    c01, c10, c00 = (c01 - c00) * tile_h, (c10 - c00) * tile_w, c00 * area

    y = torch.arange(tile_h // 2, height + tile_h // 2, dtype=torch.int32, device=bins.device)
    x = torch.arange(tile_w // 2, width + tile_w // 2, dtype=torch.int32, device=bins.device)
    cell = ((y // tile_h * (columns + 1)).unsqueeze(1) + x // tile_w) * BINS
    index = (bins + cell).flatten(1).long()
    y, x = (y % tile_h).to(dtype).unsqueeze(1), (x % tile_w).to(dtype)

    def look_up(table: Tensor) -> Tensor:
        return table.flatten(1).gather(1, index).view(batch, height, width)

    slope = look_up(c10).addcmul_(look_up(c11), x)
    mixed = look_up(c00).addcmul_(look_up(c01), x).addcmul_(slope, y)
    if dtype == torch.float32:
        # Rounding a quotient of this size never reaches the next integer. The divisor is a tensor because CUDA divides
        # by a Python number by multiplying with its reciprocal, which can.
        return mixed.div_(torch.full((1,), float(area), device=mixed.device)).int()
    return (mixed // area).int()
