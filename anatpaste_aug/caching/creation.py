"""Opening the file of a mask cache, and creating it whole or not at all."""

import glob
import os
from pathlib import Path
from typing import Literal

from ..files import atomic_path, take_space
from .layout import Layout, MaskCacheError, StaleMaskCacheError
from .locking import exclusive, lock_path
from .storage import FileStorage

Stale = Literal["error", "rebuild"]
"""What to do about a file that is damaged or was made with other settings."""


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
            take_space(file, layout.nbytes)
            file.seek(0)
            file.write(layout.encode())
    except OSError as error:
        raise MaskCacheError(
            f"cannot create {path} with {layout.nbytes / 1e6:.1f} MB: {os.strerror(error.errno or 0)}; "
            "make room, or pass a path where there is some"
        ) from error
