"""Write files atomically, with errors that name them."""

import errno
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_ZEROS = bytes(2**20)

# Characters that start a formula in spreadsheets (OWASP, "CSV Injection").
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path next to ``path``; replace ``path`` by it after the block, or delete it if the block fails.

    A crash leaves either the old file or the new one, never a partial one. The temporary file is in the same folder,
    because a rename is atomic only within one file system.

    Raises:
        OSError: The file could not be written, for example because the disk is full; the message names the file, the
            reason and a remedy. The old file is unchanged.
    """
    target = Path(path)
    # Unique to this call: processes on different machines or in containers may have the same ID.
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        if error.filename not in (None, str(temporary)):
            raise  # about another file that the block uses
        earlier = "the existing file is unchanged" if target.exists() else "nothing was written"
        remedy = "Free disk space or choose another folder"
        message = f"{shown(target)} could not be written: {_reason(error)}; {earlier}. {remedy}"
        raise OSError(error.errno, message) from error
    finally:
        with suppress(OSError):  # if the folder does not exist, keep the first error
            temporary.unlink(missing_ok=True)


def check_writable(folder: str | os.PathLike[str]) -> None:
    """Check before hours of work that files can be written to a folder, or to the one that it would be created in.

    The folder is not created, and no file remains.

    Raises:
        OSError: They cannot; the message names the folder, the reason and a remedy.
    """
    place = Path(folder).absolute()
    while not os.path.lexists(place):
        place = place.parent
    try:
        descriptor, name = tempfile.mkstemp(prefix=".probe-", dir=place)
        try:
            with open(descriptor, "wb") as file:
                file.write(bytes(4096))  # a full disk still allows empty files
                file.flush()
                os.fsync(descriptor)
        finally:
            os.unlink(name)
    except OSError as error:
        message = f"nothing can be written to {shown(folder)} ({shown(place)}: {_reason(error)}). Choose another folder"
        raise OSError(error.errno, message) from error


def take_space(file: BinaryIO, size: int) -> None:
    """Allocate space for a file, filled with zeros, so that a full disk is an error now and not hours later.

    Args:
        file: Open for writing, positioned at its end.
        size: In bytes.

    Raises:
        OSError: The disk is full.
    """
    start = file.tell()
    file.flush()
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
            return
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # not supported by the file system
                raise
    for begin in range(start, size, len(_ZEROS)):
        file.write(_ZEROS[: size - begin])
    file.flush()


def shown(path: str | os.PathLike[str]) -> str:
    r"""Format a path for messages, as one line of printable text: names may have line breaks or undecodable bytes.

    >>> shown("a b.png"), shown("a\nb.png")
    ('a b.png', 'a\\nb.png')
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in os.fspath(path))


def spreadsheet_safe(name: str) -> str:
    """Return a file name for a CSV file, with a leading ``./`` if a spreadsheet would run it as a formula.

    The result names the same file.

    >>> spreadsheet_safe("a.png"), spreadsheet_safe("=HYPERLINK(A1).png")
    ('a.png', './=HYPERLINK(A1).png')
    """
    return f"./{name}" if name.startswith(_FORMULA) else name


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
