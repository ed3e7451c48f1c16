"""A batch's images, shared among threads."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise

import numpy as np
import torch

_CHUNKS = 4  # shares of a batch per thread, so that no thread waits long for the one with the larger shapes


def share(work: Callable[[int, int], object], count: int) -> None:
    """Call ``work(begin, end)`` on ranges that make up 0…count, side by side in torch's number of threads."""
    _keep_freed_memory()
    threads = min(torch.get_num_threads(), count)
    if threads <= 1:
        work(0, count)
        return
    edges = [count * i // (threads * _CHUNKS) for i in range(threads * _CHUNKS + 1)]
    shares = iter(list(pairwise(edges)))  # a list's iterator serves one thread at a time

    def take() -> None:
        for begin, end in shares:
            work(begin, end)

    others = [_pool(threads - 1).submit(take) for _ in range(threads - 1)]
    try:
        take()
    finally:
        wait(others)
    for other in others:
        other.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that are kept: starting one takes as long as some kernels."""
    return ThreadPoolExecutor(threads)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a fork has none of its parent's threads


def empty(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    """A tensor in memory from NumPy, which asks Linux for huge pages: small ones take as long to come as a blur."""
    return torch.from_numpy(np.empty(shape, torch.empty(0, dtype=dtype, device="cpu").numpy().dtype))


@cache
def _keep_freed_memory() -> None:
    """Keep glibc from handing every freed batch back to the system, and faulting it in again at the next call.

    Its allocator returns memory above a threshold that grows with the largest block freed so far, up to 32 MB; one such
    block, never touched, is enough.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8, device="cpu")
