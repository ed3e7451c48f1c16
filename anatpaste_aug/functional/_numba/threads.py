"""Process the images of a batch in threads."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise

import numpy as np
import torch

_CHUNKS = 4  # chunks of a batch per thread: more balance the load, as images differ in the work they take


def run_in_threads(work: Callable[[int, int], object], count: int) -> None:
    """Call ``work(begin, end)`` on ranges that partition 0…count, in as many threads as torch uses."""
    _keep_freed_memory()
    threads = min(torch.get_num_threads(), count)
    if threads <= 1:
        work(0, count)
        return
    edges = [count * i // (threads * _CHUNKS) for i in range(threads * _CHUNKS + 1)]
    ranges = iter(list(pairwise(edges)))  # the iterator of a list is thread-safe

    def run() -> None:
        for begin, end in ranges:
            work(begin, end)

    pool = _pool(threads - 1)
    others = [pool.submit(run) for _ in range(threads - 1)]
    try:
        run()
    finally:
        wait(others)
    for other in others:
        other.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Keep the threads between calls: starting one takes as long as some kernels run."""
    return ThreadPoolExecutor(threads)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked child has none of its parent's threads


def empty(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    """Allocate by NumPy, which asks Linux for huge pages: faulting in small pages takes as long as a blur."""
    return torch.from_numpy(np.empty(shape, torch.empty(0, dtype=dtype, device="cpu").numpy().dtype))


@cache
def _keep_freed_memory() -> None:
    """Keep glibc from returning every freed batch to the system, and faulting it in again at the next call.

    Its allocator returns memory above a threshold that grows with the largest block freed so far, up to 32 MB; one such
    block, never touched, is enough.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8, device="cpu")
