"""The intensity target on the CPU, as custom operators of torch."""

from typing import Sequence  # noqa: UP035 - custom_op of torch 2.5 does not support that of collections.abc

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.library import custom_op

from anatpaste_aug.functional._numba.pasting import arrays_of, check_cuts, make_tables
from anatpaste_aug.functional._numba.threads import empty, run_in_threads


@custom_op("anatpaste_aug::patches_foreground", mutates_args=(), device_types="cpu")
def patches_foreground(params: Sequence[Tensor], foreground: Tensor, sources: Tensor) -> Tensor:
    """See `functional.patches_foreground`; no patch is rotated."""
    from anatpaste_aug.functional._numba.foreground import move_foreground

    out = torch.zeros_like(foreground, memory_format=torch.contiguous_format)
    own, others, result = (mask[:, 0].contiguous().view(torch.uint8).numpy() for mask in (foreground, sources, out))
    height, width = own.shape[1:]
    for k in range(params[0].shape[1]):
        arrays = arrays_of([field[:, k] for field in params])
        check_cuts(arrays, sources)
        if len(own) != len(arrays.apply):
            raise ValueError(f"foreground for {len(arrays.apply)} rows of params must be as many, got {len(own)}")
        rows, _ = make_tables(arrays, height, width)

        def some(begin: int, end: int, rows: npt.NDArray[np.int64] = rows) -> None:
            move_foreground(rows, own, others, np.empty((3, width), np.int64), result, begin, end)

        run_in_threads(some, len(own))
    return out


@patches_foreground.register_fake
def _(params: Sequence[Tensor], foreground: Tensor, sources: Tensor) -> Tensor:
    return torch.empty_like(foreground, memory_format=torch.contiguous_format)


@custom_op("anatpaste_aug::local_median", mutates_args=(), device_types="cpu")
def local_median(padded: Tensor, steps: Sequence[int], wanted: Tensor, reach: int) -> Tensor:
    """float32 B×H×W medians over the disks around the ``wanted`` pixels, else 0; values are finite and not negative."""
    from anatpaste_aug.functional._numba.foreground import medians

    out = empty(*wanted.shape, dtype=torch.float32)
    images, places, result = padded.flatten(1).numpy(), wanted.contiguous().view(torch.uint8).numpy(), out.numpy()
    disk = np.array(steps, np.int64)
    ends = np.array(steps[1:]) > disk[:-1] + 1  # where a row of the disk ends
    first, last = disk[np.r_[True, ends]], disk[np.r_[ends, True]]

    def some(begin: int, end: int) -> None:
        for i in range(begin, end):
            changed = np.flatnonzero(images[i] > 0)
            order = images[i, changed].argsort()
            ordered = images[i, changed[order]]
            new = np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]  # the first pixel of each value
            ranks = np.zeros(images.shape[1], np.int32)
            ranks[changed[order]] = new.cumsum()
            values = np.append(np.float32(0), ordered[new])
            medians(ranks, values, disk, first, last, places[i], reach, np.empty(len(values), np.int64), result[i])

    run_in_threads(some, len(out))
    return out


@local_median.register_fake
def _(padded: Tensor, steps: Sequence[int], wanted: Tensor, reach: int) -> Tensor:
    return padded.new_empty(wanted.shape)
