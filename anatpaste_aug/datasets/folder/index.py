"""The index of your own images."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from anatpaste_aug.datasets.records import Record

__all__ = ["LAYOUT", "FolderIndex", "StrPath"]

StrPath = str | os.PathLike[str]

LAYOUT = (
    "train/good, test/good and test/FINDING, with or without val/good, val/FINDING and ground_truth/FINDING (masks); "
    "for normal images alone, train/good"
)
"""The layout of MVTec AD, for error messages."""


@dataclass(frozen=True)
class FolderIndex:
    """Your own images; an iterable of records.

    Attributes:
        root: Folder that the records' paths are relative to.
        records: ``source`` is "train", "val" or "test" if the images are already split, else "all".
        remedy: What to do if images of a patient are in several parts; the end of an error message.
    """

    root: Path
    records: tuple[Record, ...]
    remedy: str = ""

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)
