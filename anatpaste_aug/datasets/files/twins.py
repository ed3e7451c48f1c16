"""Files with the same bytes, found without reading those that have no other of their size."""

import filecmp
import hashlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

__all__ = ["File", "find_twins", "is_same"]


class File(NamedTuple):
    """A path relative to the root, and the size in bytes."""

    path: str
    size: int


def find_twins(root: Path, first: Iterable[File], second: Iterable[File]) -> list[tuple[str, str]]:
    """Pairs of a file of each side that hold the same bytes, sorted; empty files are none.

    A file of the second side is paired once: with that of its own name, or the first by path.
    """
    by_size: dict[int, list[str]] = defaultdict(list)
    for path, size in first:
        by_size[size].append(path)
    hashes: dict[str, str | None] = {}

    def hash_of(path: str) -> str | None:
        if path not in hashes:
            hashes[path] = _sha256(root / path)
        return hashes[path]

    twins = []
    for path, size in second:
        if not size or not (known := hash_of(path) if by_size.get(size) else None):
            continue
        if same := [other for other in by_size[size] if hash_of(other) == known]:
            name = path.rpartition("/")[2]
            twins.append((min(same, key=lambda other: (other.rpartition("/")[2] != name, other)), path))
    return sorted(twins)


def is_same(first: Path, second: Path) -> bool:
    """Whether two files hold the same bytes."""
    try:
        return filecmp.cmp(first, second, shallow=False)
    except OSError:  # one cannot be read, which loading will say
        return False


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # loading will say so
        return None
