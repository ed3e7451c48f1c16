"""Smoothing on the CPU, as an operator of torch."""

from typing import Sequence  # noqa: UP035 - custom_op of torch 2.5 does not know that of collections.abc

import numpy as np
import torch
from torch import Tensor
from torch.library import custom_op

from anatpaste_aug.functional._numba.threads import empty, run_in_threads


@custom_op("anatpaste_aug::local_median", mutates_args=(), device_types="cpu")
def local_median(padded: Tensor, steps: Sequence[int], wanted: Tensor, reach: int) -> Tensor:
    """float32 B×H×W medians over the neighborhoods of the ``wanted`` pixels, and 0 elsewhere; see `median.medians`."""
    from anatpaste_aug.functional._numba.median import medians

    out = empty(*wanted.shape, dtype=torch.float32)
    images, places, result = padded.flatten(1).numpy(), wanted.contiguous().view(torch.uint8).numpy(), out.numpy()
    apart = np.array(steps, np.int64)

    def some(begin: int, end: int) -> None:
        scratch = np.empty(len(apart), np.float32)
        medians(images[begin:end], apart, places[begin:end], reach, scratch, result[begin:end])

    run_in_threads(some, len(out))
    return out


@local_median.register_fake
def _(padded: Tensor, steps: Sequence[int], wanted: Tensor, reach: int) -> Tensor:
    return padded.new_empty(wanted.shape)
