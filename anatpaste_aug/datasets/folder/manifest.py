"""A manifest: a CSV file with the label of each image and, optionally, its split, patient, view and finding."""

import csv
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from anatpaste_aug.datasets.files.parallel import some_of
from anatpaste_aug.datasets.folder.index import FolderIndex
from anatpaste_aug.datasets.records import DatasetError, Record
from anatpaste_aug.files import shown

__all__ = ["MANIFEST", "annotated", "index_manifest"]

MANIFEST = "path,split,label,patient,view,finding"
"""The header of a manifest, for error messages."""

_HELP = f"expected a CSV file with the columns {MANIFEST}, of which path and label are needed"
_SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_LABELS = {"0": 0, "normal": 0, "good": 0, "1": 1, "abnormal": 1, "anomalous": 1, "bad": 1}


def index_manifest(manifest: str | os.PathLike[str], root: str | os.PathLike[str] | None = None) -> FolderIndex:
    """List the images of a manifest, without opening them.

    The columns are ``path`` (relative to ``root``), ``label`` (0 or normal, 1 or abnormal), and optionally ``split``
    (train, val or test; without it, the images are split by patient), ``patient``, ``view`` and ``finding`` (several
    separated by semicolons). Other columns are ignored.

    Args:
        manifest: The CSV file.
        root: Folder that the paths are relative to; None is the folder of the manifest.

    Raises:
        DatasetError: The file cannot be read, lacks a column, or has an invalid line; the message gives its number.
    """
    manifest = Path(manifest)
    root = manifest.parent if root is None else Path(root)
    if not root.is_dir():
        raise DatasetError(
            f"{shown(root)} is not a folder: give the one that the paths of {shown(manifest)} start from"
        )
    records: dict[str, Record] = {}
    splits: set[str] = set()
    for line, row in _rows(manifest):
        where = f"{shown(manifest)}, line {line}"
        path = _relative(row["path"], root, where)
        if path in records:
            raise DatasetError(f"{where}: {shown(path)} is listed a second time: list each image once")
        if "label" not in row:
            raise DatasetError(f"{shown(manifest)} has no column label: {_HELP}")
        if (label := _LABELS.get(row["label"].lower())) is None:
            raise DatasetError(f"{where}: label={row['label']!r}, expected 0 or normal, 1 or abnormal")
        source = "all"
        if split := row.get("split", ""):
            if split.lower() not in _SPLITS:
                raise DatasetError(f"{where}: split={split!r}, expected train, val or test")
            source = _SPLITS[split.lower()]
        splits.add(source)
        if "all" in splits and len(splits) > 1:
            raise DatasetError(
                f"{where}: some lines have a split and others have none: give all lines one of train, val and test, or "
                "leave the column out"
            )
        if source == "train" and label:
            raise DatasetError(f"{where}: an abnormal image in train, but only normal ones train: write val or test")
        patient, view = row.get("patient") or path, row.get("view") or None
        records[path] = Record(path, label, patient, source, view, findings=_findings(row) if label else ())
    if not records:
        raise DatasetError(f"{shown(manifest)} lists no images: {_HELP}")
    remedy = f"change the split column of {shown(manifest)}, or leave it out to split the images by patient"
    return FolderIndex(root, tuple(records.values()), remedy)


def has_labels(manifest: str | os.PathLike[str]) -> bool:
    """Return whether a manifest has a column ``label``; else it describes the images of a layout, see `annotated`."""
    return any("label" in row for _, row in _rows(Path(manifest)))


def annotated(index: FolderIndex, manifest: str | os.PathLike[str]) -> FolderIndex:
    """Add patient, view and finding of a manifest, which may be incomplete, to the images of a folder layout.

    Args:
        index: The images of the layout.
        manifest: With the columns ``path`` (relative to the layout's root) and ``patient``, ``view`` or ``finding``.

    Raises:
        DatasetError: The file cannot be read, or lists an image that is not in the layout.
    """
    manifest = Path(manifest)
    records = {record.path: record for record in index}
    unknown: list[str] = []
    for line, row in _rows(manifest):
        path = _relative(row["path"], index.root, f"{shown(manifest)}, line {line}")
        if (record := records.get(path)) is None:
            unknown.append(path)
            continue
        findings = (_findings(row) if record.label else ()) or record.findings
        patient, view = row.get("patient") or record.patient, row.get("view") or record.view
        records[path] = replace(record, patient=patient, view=view, findings=findings)
    if unknown:
        raise DatasetError(
            f"{shown(manifest)} lists {len(unknown)} image(s) that {shown(index.root)} does not have: "
            f"{some_of(list(map(shown, unknown)))}. Write paths relative to that folder"
        )
    remedy = f"move all images of a patient to one part, or correct the patient column of {shown(manifest)}"
    return FolderIndex(index.root, tuple(records.values()), remedy)


def _rows(manifest: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and stripped values by lower-case column name; skip empty lines."""
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            names = [name.strip().lower() for name in next(reader, [])]
            if "path" not in names:
                raise DatasetError(f"{shown(manifest)} has no column path: {_HELP}")
            for row in reader:
                if not any(row):
                    continue
                if len(row) != len(names):
                    raise DatasetError(
                        f"{shown(manifest)}, line {reader.line_num}: {len(row)} instead of {len(names)} values; {_HELP}"
                    )
                values = dict(zip(names, (value.strip() for value in row), strict=True))
                if not values["path"]:
                    raise DatasetError(f"{shown(manifest)}, line {reader.line_num}: the path is empty")
                yield reader.line_num, values
    except OSError as error:
        raise DatasetError(f"cannot read {shown(manifest)}: {error.strerror or error}; {_HELP}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{shown(manifest)} is not a CSV file in UTF-8 ({error}): {_HELP}") from error


def _relative(text: str, root: Path, where: str) -> str:
    """Return a path of the manifest relative to the root."""
    path = text.replace("\\", "/")
    if Path(text).is_absolute():
        try:
            return Path(os.path.abspath(text)).relative_to(os.path.abspath(root)).as_posix()
        except ValueError:
            raise DatasetError(
                f"{where}: {shown(text)} is not below {shown(root)}: give a folder above all images as --root"
            ) from None
    return PurePosixPath(path).as_posix()


def _findings(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(name.strip() for name in row.get("finding", "").split(";") if name.strip())
