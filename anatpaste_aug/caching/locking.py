"""One process at a time, where slots are handed out and files are created."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .layout import MaskCacheError

_PATIENCE = 60.0  # seconds; a lock is held for milliseconds, or while the file is preallocated


def lock_path(path: Path) -> Path:
    """The empty file beside ``path`` that is locked; it stays, since removing it would let two in."""
    return path.with_name(f".{path.name}.lock")


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Hold a lock of the operating system, which ends with the process however that ends.

    Raises:
        MaskCacheError: The lock's file cannot be created, or another process held the lock for a minute.
    """
    from filelock import FileLock, Timeout  # comes with torch

    held = FileLock(lock, timeout=_PATIENCE)
    try:
        held.acquire()
    except Timeout:
        raise MaskCacheError(f"another process has held {lock} for {_PATIENCE:g} s; end it, or try again") from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise MaskCacheError(f"cannot create {lock}: {reason}; pass a path in a folder that can be written") from error
    try:
        yield
    finally:
        held.release()
