"""How the kernels are compiled. Only modules that need Numba import this one.

The first call on a machine waits for the compiler, so kernels are written to compile quickly:

* A kernel only loops over its arguments. The caller allocates scratch memory: each ``np.empty``, ``array.sum()``,
  ``array.min()``, and ``min`` or ``max`` of two types, is another function to compile, for 0.05 to 0.3 seconds.
* Arrays are copied by loops, not by assigning to slices: compiling the error message of a slice assignment takes 3
  seconds.
* There are few kernels: each costs 0.1 seconds before its first line. A kernel that is called by another one is
  optimized again at every place that calls it.
* ``None`` for an argument removes the branches that need it from the code.
* There are few arguments: parameters are passed as one array of integers and one of floats, not as many arrays.
* Each kernel has one signature per dtype: the caller converts dtypes, makes arrays contiguous, and passes literals as
  NumPy scalars.

``numba.core.event.register("numba:compile", listener)`` reports each compiled function and its time.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import numba
from filelock import FileLock
from numba.core import event

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_log = logging.getLogger("anatpaste_aug")
_kernels: list[Any] = []


def compiled(kernel: Kernel) -> Kernel:
    """Compile a kernel at its first call, without the GIL, and cache the machine code on disk for the next process.

    The cache is ``NUMBA_CACHE_DIR``, or else ``anatpaste_aug`` in the user's cache folder. The logger ``anatpaste_aug``
    reports when a process compiles, as a warning so that it is visible by default. Other processes wait, and load the
    compiled code.

    Floating-point operations are neither reordered nor fused, so that results match the same operations in torch.
    """
    # Numba only checks the kernel's own file for changes, and would keep stale code inlined from other files.
    kernel.__qualname__ = f"{kernel.__name__}_{_sources()}"
    settings: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        with _kept_outside_the_package():
            result: Any = numba.njit(cache=True, **settings)(kernel)
    except RuntimeError:  # no writable cache folder
        result = numba.njit(**settings)(kernel)
    result.compile = partial(_compile_alone, result.stats.cache_path, result.compile)
    _kernels.append(result)
    return result  # type: ignore[no-any-return]


def _compile_alone(folder: str | None, compile_: Callable[[Any], Any], signature: Any) -> Any:
    """Load or compile a kernel while no other process or thread does."""
    with _alone(folder):
        return compile_(signature)


def _alone(folder: str | None) -> AbstractContextManager[Any]:
    try:
        return nullcontext() if folder is None else _lock(folder).acquire()
    except (OSError, NotImplementedError):  # a read-only folder, or a file system without locks
        return nullcontext()


@cache
def _lock(folder: str) -> FileLock:
    """Return a reentrant lock for the cache folder, since kernels compile the kernels that they call."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    return FileLock(Path(folder) / ".lock")


if hasattr(os, "register_at_fork"):
    # filelock refuses to use a lock that was inherited by a fork, as in a worker of a data loader.
    os.register_at_fork(after_in_child=_lock.cache_clear)


class _Announcement(event.Listener):
    """Logs once per process that kernels are being compiled."""

    announced = False

    def on_start(self, event: Any) -> None:
        kernel = event.data["dispatcher"]
        if self.announced or not any(kernel is ours for ours in _kernels):
            return
        self.announced = True
        folder = kernel.stats.cache_path
        if folder is None:
            kept = "at every start, because there is no folder to keep them in; set NUMBA_CACHE_DIR to one"
        else:
            kept = f"once, and keeps them in {folder}"
        _log.warning("anatpaste_aug compiles its CPU kernels, which takes some seconds, %s", kept)

    def on_end(self, event: Any) -> None:
        pass


event.register("numba:compile", _Announcement())


@contextmanager
def _kept_outside_the_package() -> Iterator[None]:
    """Keep cached code out of the package's folder.

    An uninstallation would leave such files behind, and Python would import the remaining folder as an empty package.
    """
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
    """Hash the source of everything that kernels may inline."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
