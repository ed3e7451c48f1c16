"""Measure the peak memory of one call."""

import ctypes
import gc
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")

_SURE = 2**24  # bytes; other allocations of the process are negligible beside this


def peak_bytes(run: Callable[[], object], device: torch.device) -> int | None:
    """Measure the peak bytes above those before the call, in untimed runs, including scratch memory and the result.

    On a device, this is the peak of torch's allocator. On the CPU, it is the rise of the process's resident memory, in
    pages; if it is small, the median of three runs (Linux with glibc; else None).
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    try:
        first = _resident_rise(run)
        return first if first > _SURE else int(statistics.median([first, _resident_rise(run), _resident_rise(run)]))
    except (OSError, AttributeError):  # no such files, or no malloc_trim
        return None


def _resident_rise(run: Callable[[], object]) -> int:
    trim()  # otherwise, freed memory could be reused without a rise
    _RESET.write_text("5")  # resets the high-water mark
    before = resident("VmRSS")
    run()
    return resident("VmHWM") - before


def trim() -> None:
    """Return freed memory to the system (glibc)."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def resident(field: str) -> int:
    """Return the resident bytes of this process: ``VmRSS`` is the current value, ``VmHWM`` the peak (Linux).

    Raises:
        OSError: The system has no such file.
    """
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of live tensors except those of ``known``; scratch memory inside operations is not counted.

    Attributes:
        peak: The largest number of bytes.
    """

    def __init__(self, *known: torch.Tensor) -> None:
        super().__init__()
        self._known = {tensor.untyped_storage()._cdata for tensor in known}
        self._live: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self._live = {key: entry for key, entry in self._live.items() if not entry[0].expired()}
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                storage = leaf.untyped_storage()
                if storage._cdata not in self._known:
                    self._live[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.peak = max(self.peak, sum(size for _, size in self._live.values()))
        return out
