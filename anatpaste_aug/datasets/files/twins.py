"""Find files with the same content, reading only those that have the same size as another."""

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
    """Return pairs of one file of each side with the same content, sorted; empty files are ignored.

    A file of the second side is in one pair: with the file of the same name, or the first by path.
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
    """Return whether two files have the same content."""
    try:
        return filecmp.cmp(first, second, shallow=False)
    except OSError:  # loading the image reports the reason
        return False


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:  # loading the image reports the reason
        return None
