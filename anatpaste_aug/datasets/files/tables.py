"""Find and read the CSV files of a download."""

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from anatpaste_aug.datasets.files.filenames import is_leftover_folder
from anatpaste_aug.datasets.records import DatasetError

__all__ = ["find_folder", "is_folder", "parse_age", "read_rows"]

_DEPTH = 2  # the dataset's folder, and one around it
_MOST_FOLDERS = 2000  # limits the search if the wrong folder is given


def find_folder(root: str | os.PathLike[str], file: str, layout: str) -> Path:
    """Return the folder that contains ``file``: ``root``, or the only such folder up to two levels below it.

    Args:
        root: Where to look.
        file: Name of the file.
        layout: The expected layout, for error messages.

    Raises:
        DatasetError: The folder does not exist, or the file is in none or in several folders.
    """
    root = Path(root)
    if not root.is_dir():
        fault = "is a file: unpack it, then" if root.exists() else "does not exist:"
        raise DatasetError(f"{root} {fault} give the folder that the download was unpacked to")
    level = [root]
    for _ in range(_DEPTH + 1):
        if found := [folder for folder in level if (folder / file).is_file()]:
            if len(found) > 1:
                raise DatasetError(f"several downloads below {root}: {', '.join(map(str, found))}. Give one of them")
            return found[0]
        level = [below for folder in level for below in _folders(folder)][:_MOST_FOLDERS]
    raise DatasetError(f"no {file} in {root}: complete the download; expected {layout}")


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield line number and the named columns of each row, stripped; skip empty lines.

    A byte order mark and Windows line ends are allowed; other columns are ignored.

    Raises:
        DatasetError: The file is missing, is not text, or lacks a column, or a row is incomplete.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            names = [name.strip() for name in next(reader, [])]
            if lacking := [name for name in columns if name not in names]:
                raise DatasetError(f"{path} has no column {', '.join(lacking)}: download it again")
            places = [names.index(name) for name in columns]
            for row in reader:
                if not any(row):
                    continue
                if len(row) != len(names):
                    raise DatasetError(
                        f"{path}, line {reader.line_num}: {len(row)} instead of {len(names)} values: download it again"
                    )
                values = tuple([row[place] for place in places])
                if " " in "".join(values):  # rare, and stripping all values would take half of the time
                    values = tuple([value.strip() for value in values])
                yield reader.line_num, values
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror or error}. Complete the download") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} is not a CSV file, or is damaged: {error}. Download it again") from error


def parse_age(text: str) -> int | None:
    """Parse an age in years, such as ``"48"``, ``"48.0"`` or DICOM's ``"048Y"``; None for others, such as ``"6 M"``.

    >>> parse_age("048Y"), parse_age("48.0"), parse_age("")
    (48, 48, None)
    """
    number = text.strip().removesuffix("Y").removesuffix(".0")
    return int(number) if number.isascii() and number.isdigit() else None


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or a link to one; False for a link that leads to itself."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if is_folder(entry) and not is_leftover_folder(entry.name))
    except OSError:  # a folder without read permission
        return []
    return [folder / name for name in names]
