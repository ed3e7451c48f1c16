"""The CSV files of a download: found, read as they are, and checked before anything is made of them."""

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from anatpaste_aug.datasets.files.filenames import is_leftover_folder
from anatpaste_aug.datasets.records import DatasetError

__all__ = ["find_folder", "is_folder", "parse_age", "read_rows"]

_DEPTH = 2  # the dataset's own folder, and one around it
_MOST_FOLDERS = 2000  # a folder of 26 000 others given by mistake is answered, not crawled


def find_folder(root: str | os.PathLike[str], file: str, layout: str) -> Path:
    """The folder that holds ``file``: ``root`` itself, or the only one up to two levels below it.

    Raises:
        DatasetError: No such folder, no such file in it, or several; ``layout`` says what was expected.
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
    """Line number and the named columns of each row, without spaces around the values; empty lines are passed over.

    A byte order mark and Windows line ends are taken as they come; columns of other names are ignored.

    Raises:
        DatasetError: The file is missing or no text, lacks a column, or a row is cut off.
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
                if " " in "".join(values):  # rare, and stripping each value is half of the time
                    values = tuple([value.strip() for value in values])
                yield reader.line_num, values
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror or error}. Complete the download") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} is not a CSV file, or is damaged: {error}. Download it again") from error


def parse_age(text: str) -> int | None:
    """Years of ``"48"``, ``"48.0"`` or DICOM's ``"048Y"``; None where there is none, as in ``"6 M"`` or blank.

    >>> parse_age("048Y"), parse_age("48.0"), parse_age("")
    (48, 48, None)
    """
    number = text.strip().removesuffix("Y").removesuffix(".0")
    return int(number) if number.isascii() and number.isdigit() else None


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one; a link that leads to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if is_folder(entry) and not is_leftover_folder(entry.name))
    except OSError:  # a folder beside the download that is none of ours to read
        return []
    return [folder / name for name in names]
