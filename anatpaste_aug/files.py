"""Writing files whole or not at all, with errors that name them."""

import errno
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_ZEROS = bytes(2**20)

# What spreadsheets take for the beginning of a formula (OWASP, "CSV Injection").
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it once the block is done, and vanishes if the block fails.

    A crash leaves the old file or the new one, never half of one. The temporary file lies in the same folder, since a
    rename is atomic only within one file system.

    Raises:
        OSError: it could not be written, for want of space perhaps; the message names the file, the reason and the
            remedy. The old file is as it was.
    """
    target = Path(path)
    # Of this call alone: processes on several machines, or in containers, may have one number.
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        if error.filename not in (None, str(temporary)):
            raise  # of another file that the block has to do with
        earlier = "the earlier one there is whole" if target.exists() else "nothing was written"
        message = f"{shown(target)} could not be written: {_reason(error)}; {earlier}. Make room or name another folder"
        raise OSError(error.errno, message) from error
    finally:
        with suppress(OSError):  # where the folder is none, the first error is the one to tell
            temporary.unlink(missing_ok=True)


def check_writable(folder: str | os.PathLike[str]) -> None:
    """See before hours of work whether files can be written to a folder, or to the one that it would be made in.

    Nothing is left there, nor is the folder made.

    Raises:
        OSError: they cannot; the message names the folder, the reason and the remedy.
    """
    place = Path(folder).absolute()
    while not os.path.lexists(place):
        place = place.parent
    try:
        descriptor, name = tempfile.mkstemp(prefix=".probe-", dir=place)
        try:
            with open(descriptor, "wb") as file:
                file.write(bytes(4096))  # a full disk still makes empty files
                file.flush()
                os.fsync(descriptor)
        finally:
            os.unlink(name)
    except OSError as error:
        message = f"nothing can be written to {shown(folder)} ({shown(place)}: {_reason(error)}). Name another folder"
        raise OSError(error.errno, message) from error


def take_space(file: BinaryIO, size: int) -> None:
    """Make the file this long, with zeros whose blocks belong to it: a full disk then shows now and not hours later.

    Args:
        file: open for writing, at its end.
        size: in bytes.

    Raises:
        OSError: there is no room.
    """
    start = file.tell()
    file.flush()
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
            return
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # what file systems without it say
                raise
    for begin in range(start, size, len(_ZEROS)):
        file.write(_ZEROS[: size - begin])
    file.flush()


def shown(path: str | os.PathLike[str]) -> str:
    r"""A path in one line of printable text, for messages: a name may hold line breaks, or bytes that are no text.

    >>> shown("a b.png"), shown("a\nb.png")
    ('a b.png', 'a\\nb.png')
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in os.fspath(path))


def spreadsheet_safe(name: str) -> str:
    """Return a file name for a CSV file: one that a spreadsheet would run as a formula gets a leading ``./``.

    It still names the same file.

    >>> spreadsheet_safe("a.png"), spreadsheet_safe("=HYPERLINK(A1).png")
    ('a.png', './=HYPERLINK(A1).png')
    """
    return f"./{name}" if name.startswith(_FORMULA) else name


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
