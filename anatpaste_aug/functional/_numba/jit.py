"""How the kernels are compiled. Only modules that are loaded when Numba is there import this one.

The first call on a machine waits for the compiler, so kernels are written for it to have little to do:

* A kernel only loops over arrays that it gets. Scratch memory comes from the caller: each `np.empty`, `array.sum()`,
  `array.min()`, and `min` or `max` of two types, is a function that is compiled as well, at 0.05 to 0.3 seconds.
* No array is assigned to a slice, except by a loop: the message of the error that it may raise takes 3 seconds.
* Few kernels: each costs 0.1 seconds before its first line. What a kernel calls is optimized again with it, and what
  it calls in four places four times.
* ``None`` for an argument leaves the branches that need it out of the code.
* Few arguments: rows of parameters come as one array of integers and one of floats, not as a tuple of many arrays.
* One signature: the caller converts dtypes and makes arrays contiguous, and passes literals as NumPy scalars.

What is to be seen with ``numba.core.event.register("numba:compile", listener)``: each function, and its time.
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
    """Machine code at the first call, kept on disk for the next process; it runs without the interpreter's lock.

    It is kept in ``NUMBA_CACHE_DIR``, else in ``anatpaste_aug`` in the user's cache folder. A line in the log
    ``anatpaste_aug`` (a warning, so that it is seen) says when a process compiles. Other processes wait for it, and
    load what it has compiled.

    Floating point is neither reordered nor fused, so that the results are those of the same operations in torch.
    """
    # Numba looks for changes in the kernel's own file only, and would keep what it has inlined from another one.
    kernel.__qualname__ = f"{kernel.__name__}_{_sources()}"
    settings: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        with _kept_outside_the_package():
            result: Any = numba.njit(cache=True, **settings)(kernel)
    except RuntimeError:  # no folder may be written to
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
    except (OSError, NotImplementedError):  # a folder that can only be read, or one of a system without locks
        return nullcontext()


@cache
def _lock(folder: str) -> FileLock:
    """A lock that one thread may hold several times, since kernels compile the kernels that they call."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    return FileLock(Path(folder) / ".lock")


if hasattr(os, "register_at_fork"):
    # filelock refuses a lock that a fork has inherited, such as the one in a worker of a data loader.
    os.register_at_fork(after_in_child=_lock.cache_clear)


class _Announcement(event.Listener):
    """Says once in a process that kernels are compiled."""

    said = False

    def on_start(self, event: Any) -> None:
        kernel = event.data["dispatcher"]
        if self.said or not any(kernel is ours for ours in _kernels):
            return
        self.said = True
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
