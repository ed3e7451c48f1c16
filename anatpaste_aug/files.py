"""Writing files whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it once the block is done, and vanishes if the block fails.

    A crash leaves the old file or the new one, never half of one. The temporary file lies in the same folder, since a
    rename is atomic only within one file system.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def shown(path: str | os.PathLike[str]) -> str:
    r"""A path in one line of printable text, for messages: a name may hold line breaks, or bytes that are no text.

    >>> shown("a b.png"), shown("a\nb.png")
    ('a b.png', 'a\\nb.png')
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in os.fspath(path))
