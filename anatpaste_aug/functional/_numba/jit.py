"""How the kernels are compiled. Only modules that are loaded when Numba is there import this one."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(kernel: Kernel) -> Kernel:
    """Machine code at the first call, kept on disk for the next process; it runs without the interpreter's lock.

    It is kept in ``NUMBA_CACHE_DIR``, else in ``anatpaste_aug`` in the user's cache folder.

    Floating point is neither reordered nor fused, so that the results are those of the same operations in torch.
    """
    # Numba looks for changes in the kernel's own file only, and would keep what it has inlined from another one.
    kernel.__qualname__ = f"{kernel.__name__}_{_sources()}"
    settings: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        with _kept_outside_the_package():
            result: Kernel = numba.njit(cache=True, **settings)(kernel)
    except RuntimeError:  # no folder may be written to
        result = numba.njit(**settings)(kernel)
    return result


@contextmanager
def _kept_outside_the_package() -> Iterator[None]:
    """An uninstallation leaves files beside the source behind, and what is left is imported as an empty package."""
    config: Any = numba.config
    before = config.CACHE_DIR
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if not before and os.path.isabs(folder):
        config.CACHE_DIR = os.path.join(folder, "anatpaste_aug")
    try:
        yield
    finally:
        config.CACHE_DIR = before


@cache
def _sources() -> str:
    """A digest of everything that kernels are made of."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
