"""Index CheXpert (Irvin et al. 2019) from the download: ``CheXpert-v1.0-small``, or the full size.

The full size has four archives: "CheXpert-v1.0 batch 1 (validate & csv)" contains the lists and ``valid/``; "batch 2
(train 1)" to "batch 4 (train 3)" contain the training patients. They can be read without merging them.

The published set has 223,414 rows in ``train.csv`` and 234 in ``valid.csv``, each with 14 labels that are 1 (present),
0 (absent), −1 (uncertain) or blank (not mentioned). Sato et al. (arXiv 2205.04282) train on the normal images of the
PA view and test on five diseases.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from anatpaste_aug.datasets.chexpert.folders import find_patients
from anatpaste_aug.datasets.files.tables import find_folder, parse_age, read_rows
from anatpaste_aug.datasets.records import DatasetError, Record
from anatpaste_aug.datasets.splits import Split

__all__ = ["DEVICES", "DISEASES", "ChexpertIndex", "image_key", "index_chexpert"]

DISEASES = ("Pleural Effusion", "Cardiomegaly", "Consolidation", "Edema", "Atelectasis")
"""The findings that make an image abnormal: CheXpert's five competition tasks."""

PUBLISHED_ROWS = {"train": 223_414, "valid": 234}

DEVICES = "Support Devices"
"""The label of tubes, lines and pacemakers."""

_LABELS = (
    *("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema"),
    *("Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture"),
    DEVICES,
)
_ABOUT = ("Path", "Frontal/Lateral", "AP/PA", "Sex", "Age")
_VALUES = {"": 0, "0": 0, "0.0": 0, "-0.0": 0, "1": 1, "1.0": 1, "-1": -1, "-1.0": -1}
_PATH = re.compile(r"(?:.*/)?(train|valid)/(patient\d+)/([^/]+/[^/]+)")
_LAYOUT = (
    "train.csv, valid.csv, train/ and valid/, as CheXpert-v1.0-small unpacks, or the four folders of the full size, "
    '"CheXpert-v1.0 batch 1 (validate & csv)" to "batch 4 (train 3)", in one folder'
)


@dataclass(frozen=True)
class ChexpertIndex:
    """The frontal images of a download that are normal or abnormal, of every view; an iterable of records.

    Attributes:
        root: The folder that contains the lists and the images.
        records: Sorted by `image_key`; their paths are relative to ``root``.
        rows: Number of images in each list.
        contradictory: Number of images with No Finding and a disease, which are left out.
    """

    root: Path
    records: tuple[Record, ...]
    rows: dict[str, int]
    contradictory: int

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def missing(self) -> str:
        """How the set differs from the published one, in words; empty for the complete set."""
        rows = PUBLISHED_ROWS.items()
        return ", ".join(f"{self.rows[s]:,} of {n:,} images in {s}.csv" for s, n in rows if self.rows[s] != n)

    def find_again(self, split: Split) -> Split:
        """Return the split with the paths of this download, for example those of the four archives."""
        paths = {image_key(record): record.path for record in self.records}
        train, val, test = (
            tuple([replace(record, path=paths.get(image_key(record), record.path)) for record in part])
            for part in (split.train, split.val, split.test)
        )
        return replace(split, train=train, val=val, test=test)


def index_chexpert(root: str | os.PathLike[str]) -> ChexpertIndex:
    """List the frontal images of a download that are normal or abnormal, without opening them.

    Normal images have No Finding = 1, abnormal ones have any of `DISEASES` = 1. Other images are left out, such as
    those that have only −1 or another finding. ``findings`` are all labels that are 1, ``source`` is ``train`` or
    ``valid``, and ``patient`` is the name of the folder. Repeated rows count once.

    Patient folders are found in ``train/`` and ``valid/``, or in the folders of the four archives; missing ones keep
    the path of the list. Other lists, such as ``train_visualCheXbert.csv``, are not read.

    Args:
        root: The folder with ``train.csv``, or one up to two levels above it.

    Raises:
        DatasetError: A file or column is missing, a value is invalid, a path has no patient, or two rows about one
            image differ; the message names the file and the line.
    """
    lists = find_folder(root, "train.csv", _LAYOUT)
    folder, patients = find_patients(lists, Path(root))
    records: list[Record] = []
    rows: dict[str, int] = {}
    known: dict[tuple[str, ...], tuple[int | None, tuple[str, ...]]] = {}  # few combinations of labels occur
    seen: dict[str, int] = {}
    contradictory = 0
    for source in PUBLISHED_ROWS:
        table = lists / f"{source}.csv"
        rows[source] = 0
        for line, values in read_rows(table, (*_ABOUT, *_LABELS)):
            path, side, view, sex, age = values[: len(_ABOUT)]
            match = _PATH.fullmatch(path)
            if match is None or match[1] != source:
                raise DatasetError(f"{table}, line {line}: Path={path!r}, expected {source}/patient00001/study1/...")
            patient, file = match[2], match[3]
            path = f"{source}/{patient}/{file}"
            if path in seen:
                if seen[path] != hash(values):
                    raise DatasetError(f"{table}, line {line}: a second row about {path}, with other values")
                continue
            seen[path] = hash(values)
            rows[source] += 1
            if (labels := values[len(_ABOUT) :]) not in known:
                known[labels] = _classify(labels, f"{table}, line {line}")
            if side not in ("Frontal", "Lateral"):
                raise DatasetError(f"{table}, line {line}: Frontal/Lateral={side!r}, expected one of the two")
            label, findings = known[labels]
            contradictory += label is None and "No Finding" in findings
            if label is not None and side == "Frontal":
                about = (view or None, sex or None, parse_age(age))
                path = _find_image(folder, patients.get((source, patient), ()), patient, file) or path
                records.append(Record(path, label, patient, source, *about, findings))
    return ChexpertIndex(folder, tuple(sorted(records, key=image_key)), rows, contradictory)


def image_key(record: Record) -> tuple[str, ...]:
    """Return what identifies an image in every layout: train or valid, patient, study and file.

    >>> image_key(Record("CheXpert-v1.0 batch 2 (train 1)/patient00001/study1/a.jpg", 0, "patient00001", "train"))
    ('train', 'patient00001', 'study1', 'a.jpg')
    """
    return (record.source, *record.path.split("/")[-3:])


def _classify(labels: Sequence[str], where: str) -> tuple[int | None, tuple[str, ...]]:
    """Return the label (None: neither normal nor abnormal) and the findings that are present."""
    values = [_VALUES.get(text) for text in labels]
    if None in values:
        raise DatasetError(f"{where}: label {labels[values.index(None)]!r}, expected 1, 0, -1 or blank")
    findings = tuple([name for name, value in zip(_LABELS, values, strict=True) if value == 1])
    ill = not set(DISEASES).isdisjoint(findings)
    if "No Finding" in findings:
        return (None, findings) if ill else (0, findings[1:])
    return (1 if ill else None), findings


def _find_image(root: Path, folders: Sequence[str], patient: str, file: str) -> str | None:
    """Return the path of an image relative to the root; None if its patient has no folder."""
    paths = [f"{folder}/{patient}/{file}".lstrip("/") for folder in folders]
    if len(paths) > 1:  # some or all of the patient's studies were moved or copied
        paths = [path for path in paths if (root / path).is_file()] or paths
    return paths[0] if paths else None
