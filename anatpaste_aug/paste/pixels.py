"""Choose a random pixel of each mask."""

import torch
from torch import Tensor

_CHUNK = 1024  # pixels per partial sum; at most 8 · 255, as sums of bytes must not overflow


def random_pixel(u: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the floor(u · count)-th True pixel of each mask in reading order.

    Args:
        u: float32 B×K in [0, 1).
        mask: Boolean B×H×W.

    Returns:
        Its row and column, int64 B×K, and whether the mask has any pixel, boolean B×1. Both are 0 if it has none.

    Example:
        >>> random_pixel(torch.tensor([[0.5]]), torch.ones(1, 4, 4, dtype=torch.bool))
        (tensor([[2]]), tensor([[0]]), tensor([[True]]))
    """
    from anatpaste_aug.functional import _numba  # here, because it imports this package

    pixel: tuple[Tensor, Tensor, Tensor] = (_numba.random_pixel if _numba.supports(u, mask) else _random_pixel)(u, mask)
    return pixel


def _random_pixel(u: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    flat = mask.flatten(1)
    if flat.shape[1] % _CHUNK:
        flat = torch.nn.functional.pad(flat, (0, -flat.shape[1] % _CHUNK))
    if torch.compiler.is_compiling() or flat.storage_offset() % 8:
        flat = flat.clone()  # an int64 view must be aligned; a graph can't test the offset
    # Eight pixels are counted by one addition of int64: no byte of a sum over a chunk overflows.
    words = flat.view(torch.int64).unflatten(1, (-1, _CHUNK // 8)).sum(2)
    upto = words.view(torch.uint8).unflatten(1, (-1, 8)).sum(2, dtype=torch.int64).cumsum(1)
    count = upto[:, -1:]
    rank = torch.minimum((u * count).long(), count - 1).clamp_min(0)
    chunk = (upto.unsqueeze(1) <= rank.unsqueeze(2)).sum(2).clamp_max(upto.shape[1] - 1)
    before = torch.where(chunk > 0, upto.gather(1, (chunk - 1).clamp_min(0)), 0)
    line = flat.unflatten(1, (-1, _CHUNK)).gather(1, chunk.unsqueeze(2).expand(-1, -1, _CHUNK))
    pixel = chunk * _CHUNK + (line.cumsum(2) <= (rank - before).unsqueeze(2)).sum(2)
    pixel, width = pixel * (count > 0), mask.shape[2]
    return torch.div(pixel, width, rounding_mode="floor"), pixel % width, count > 0
