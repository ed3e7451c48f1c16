"""Indices in any form that a dataset takes."""

from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt
from torch import Tensor

from .storage import Slots

Indices = SupportsIndex | slice | Sequence[int] | npt.NDArray[np.integer] | Tensor
"""An index, a slice, or many indices; negative ones count from the end."""


def slots_of(indices: Indices, count: int) -> Slots:
    """int64 slots of ``count``, from 0 up.

    Raises:
        IndexError: An index is out of range.
        TypeError: They are no integers, or not on the CPU.

    Example:
        >>> slots_of([0, -1], 10)
        array([0, 9])
    """
    if isinstance(indices, slice):
        return np.arange(count)[indices]
    if isinstance(indices, Tensor):
        if indices.device.type != "cpu":
            raise TypeError(f"indices must be on the CPU, where the cache is, got {indices.device}; keep them there")
        indices = indices.numpy()
    given = np.asarray(indices)
    if (given.size and given.dtype.kind not in "iu") or given.ndim > 1:
        raise TypeError(
            f"indices must be integers, one or a row of them, got {given.dtype} of shape {given.shape}; "
            "turn a boolean mask into indices with nonzero"
        )
    slots = given.reshape(-1).astype(np.int64)
    if len(wrong := slots[(slots < -count) | (slots >= count)]):
        raise IndexError(f"indices {listed(wrong)} are out of range for {count} masks")
    return np.where(slots < 0, slots + count, slots)


def listed(numbers: Slots) -> str:
    """The first few, for a message."""
    return ", ".join(map(str, numbers[:5].tolist())) + (", …" if len(numbers) > 5 else "")
