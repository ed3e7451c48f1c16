"""Opening the file of a mask cache, and creating it whole or not at all."""

import errno
import glob
import os
from pathlib import Path
from typing import BinaryIO, Literal

from ..files import atomic_path
from .layout import Layout, MaskCacheError, StaleMaskCacheError
from .locking import exclusive, lock_path
from .storage import FileStorage

Stale = Literal["error", "rebuild"]
"""What to do about a file that is damaged or was made with other settings."""

_ZEROS = bytes(2**20)


def open_file(path: Path, wanted: Layout, stale: Stale) -> FileStorage:
    """Open the file, or create it with all its space taken.

    Of several processes that come at once, one creates the file and the others open that one. A stale file that is
    rebuilt stays as it is for those who have it open.

    Raises:
        MaskCacheError: The file cannot be opened or created; StaleMaskCacheError: it is stale and not to be rebuilt.
    """
    try:
        return FileStorage(path, wanted)
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise MaskCacheError(f"the folder of {path} does not exist; create it first") from None
    except StaleMaskCacheError:
        if stale == "error":
            raise
    with exclusive(lock_path(path)):
        try:
            return FileStorage(path, wanted)  # another process was faster
        except (FileNotFoundError, StaleMaskCacheError):
            _create(path, wanted)
        return FileStorage(path, wanted)


def _create(path: Path, layout: Layout) -> None:
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        leftover.unlink(missing_ok=True)  # of a process that was killed here: we hold the lock, so nobody is creating
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            _take_space(file, layout.nbytes)
            file.seek(0)
            file.write(layout.encode())
    except OSError as error:
        raise MaskCacheError(
            f"cannot create {path} with {layout.nbytes / 1e6:.1f} MB: {error.strerror}; "
            "make room, or pass a path where there is some"
        ) from error


def _take_space(file: BinaryIO, size: int) -> None:
    """Make a file of zeros whose blocks belong to it, so that a full disk shows now and not hours later."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
            return
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # what file systems without it say
                raise
    for start in range(0, size, len(_ZEROS)):
        file.write(_ZEROS[: size - start])
