"""Index the RSNA Pneumonia Detection Challenge (Shih et al. 2019) from Kaggle's stage 2 download.

The published set has 26,684 radiographs, one per patient ID: 8,851 Normal, 11,821 No Lung Opacity / Not Normal and
6,012 Lung Opacity. Both CSV files repeat an ID for each box (30,227 rows). Only the DICOM headers contain the view.

The radiographs are from NIH's ChestX-ray14. Each has its own ID in the challenge, so two images may show the same
person.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from anatpaste_aug.datasets.files.decoding import fault_of
from anatpaste_aug.datasets.files.parallel import attempt_all, failure, some_of
from anatpaste_aug.datasets.files.tables import find_folder, parse_age, read_rows
from anatpaste_aug.datasets.records import DatasetError, Record, Unreadable
from anatpaste_aug.files import atomic_path, shown

__all__ = ["ABNORMAL", "RsnaIndex", "index_rsna"]

PUBLISHED_COUNTS = {"Normal": 8_851, "No Lung Opacity / Not Normal": 11_821, "Lung Opacity": 6_012}
ABNORMAL = ("Lung Opacity", "No Lung Opacity / Not Normal")
"""The classes that are abnormal, as a record's ``findings`` name them."""

_IMAGES = "stage_2_train_images"
_CLASSES, _BOXES = "stage_2_detailed_class_info.csv", "stage_2_train_labels.csv"
_LAYOUT = f"{_CLASSES}, {_BOXES} and {_IMAGES}/*.dcm, as rsna-pneumonia-detection-challenge unpacks"
_TAGS = ("ViewPosition", "PatientSex", "PatientAge")

_Header = tuple[str | None, str | None, int | None]  # view, sex, age


@dataclass(frozen=True)
class RsnaIndex:
    """The images of a download, of every view; an iterable of records.

    Attributes:
        root: The folder that contains the CSV files.
        records: Sorted by path, relative to ``root``.
        unreadable: Images that were left out.
    """

    root: Path
    records: tuple[Record, ...]
    unreadable: tuple[Unreadable, ...] = ()

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def missing(self) -> str:
        """How the set differs from the published one, in words; empty for the complete set."""
        found = Counter(record.findings[0] if record.label else "Normal" for record in self.records)
        return ", ".join(f"{found[c]:,} of {n:,} {c}" for c, n in PUBLISHED_COUNTS.items() if found[c] != n)


def index_rsna(
    root: str | os.PathLike[str],
    *,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = True,
    on_error: Literal["raise", "skip"] = "raise",
) -> RsnaIndex:
    """List the images of a download with their class, and view, sex and age from the DICOM headers.

    "Normal" is normal; "Lung Opacity" and "No Lung Opacity / Not Normal" are abnormal, and are the ``findings`` of the
    record. ``patient`` is the patient ID, ``source`` is ``train``.

    Args:
        root: The folder with the CSV files, or one up to two levels above it.
        cache: Folder for the values of the headers (``rsna-headers.json``), so that each is read once; files whose size
            or modification time changed are read again. None keeps nothing.
        progress: Show a progress bar while headers are read.
        on_error: "raise", or "skip" to leave out images that are missing or whose header cannot be read.

    Raises:
        DatasetError: A file or column is missing, the CSV files or two rows contradict each other, or DICOM files are
            missing or unreadable; the message gives their number and names the first ones.
        ImportError: pydicom is not installed.
    """
    folder = find_folder(root, _CLASSES, _LAYOUT)
    classes = _read_classes(folder)
    paths = {patient: f"{_IMAGES}/{patient}.dcm" for patient in sorted(classes)}
    if on_error == "raise" and (missing := [path for path in paths.values() if not (folder / path).is_file()]):
        raise DatasetError(
            f"{len(missing)} of {len(paths)} images are missing in {folder}: {some_of(missing)}. Complete the "
            'download, or leave them out (--skip-unreadable, on_error="skip")'
        )
    headers = _read_headers(folder, list(paths.values()), None if cache is None else Path(cache), progress)
    failures = {path: answer for path, answer in headers.items() if isinstance(answer, DatasetError)}
    if failures and (on_error == "raise" or len(failures) == len(paths)):
        raise failure(list(failures.values()), len(paths), "DICOM headers")
    records = []
    for patient, path in paths.items():
        if isinstance(header := headers[path], DatasetError):
            continue
        name = classes[patient]
        view, sex, age = header
        label = int(name != "Normal")
        records.append(Record(path, label, patient, "train", view, sex, age, (name,) if label else ()))
    unreadable = tuple([Unreadable.of(folder, path, error) for path, error in failures.items()])
    return RsnaIndex(folder, tuple(sorted(records, key=lambda record: record.path)), unreadable)


def _read_classes(folder: Path) -> dict[str, str]:
    """Read the class of every patient ID, and check that both CSV files agree."""
    classes: dict[str, str] = {}
    for line, (patient, name) in read_rows(folder / _CLASSES, ("patientId", "class")):
        where = f"{folder / _CLASSES}, line {line}"
        if not patient or "/" in patient or "\\" in patient:
            raise DatasetError(f"{where}: patientId={patient!r}, expected the name of a DICOM file")
        if name not in PUBLISHED_COUNTS:
            raise DatasetError(f"{where}: class={name!r}, expected one of {', '.join(PUBLISHED_COUNTS)}")
        if classes.setdefault(patient, name) != name:
            raise DatasetError(f"{where}: {patient} is {name}, but {classes[patient]} in an earlier line")
    boxed: set[str] = set()
    for line, (patient, target) in read_rows(folder / _BOXES, ("patientId", "Target")):
        where = f"{folder / _BOXES}, line {line}"
        if patient not in classes:
            raise DatasetError(f"{where}: {patient} is not in {_CLASSES}: download both again")
        if target not in ("0", "1") or (target == "1") != (classes[patient] == "Lung Opacity"):
            raise DatasetError(f"{where}: Target={target!r}, but {patient} is {classes[patient]} in {_CLASSES}")
        boxed.add(patient)
    if lacking := sorted(classes.keys() - boxed):
        raise DatasetError(
            f"{len(lacking)} of the {len(classes)} patients in {_CLASSES} are not in {folder / _BOXES}, such as "
            f"{lacking[0]}: download both again"
        )
    return classes


def _read_headers(
    folder: Path, paths: Sequence[str], cache: Path | None, progress: bool
) -> dict[str, _Header | DatasetError]:
    """Return view, sex and age of every file, from the cache if the file has not changed, or the error."""
    stamps: dict[str, list[int]] = {}
    for path in paths:
        try:
            status = (folder / path).stat()
        except OSError:
            continue
        stamps[path] = [status.st_size, status.st_mtime_ns]
    file = None if cache is None else cache / "rsna-headers.json"
    known = _load_headers(file)
    headers: dict[str, _Header | DatasetError] = {
        path: known[path][1] for path in paths if path in known and known[path][0] == stamps.get(path)
    }
    if unread := [path for path in paths if path not in headers]:
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        headers |= dict(zip(unread, _read_all(folder, unread, progress), strict=True))
        if file is not None:
            good = {p: (stamps[p], headers[p]) for p in stamps if not isinstance(headers[p], DatasetError)}
            with atomic_path(file) as temporary:
                temporary.write_text(json.dumps(good))
    return headers


def _load_headers(file: Path | None) -> dict[str, tuple[list[int], _Header]]:
    """Return the cached headers; an unreadable cache is ignored and rebuilt."""
    if file is None:
        return {}
    try:
        return {
            path: (stamp, (view, sex, age)) for path, (stamp, (view, sex, age)) in json.loads(file.read_text()).items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _read_all(folder: Path, paths: Sequence[str], progress: bool) -> list[_Header | DatasetError]:
    try:
        import pydicom
    except ImportError as error:
        raise ImportError('reading DICOM needs pydicom: pip install "anatpaste_aug[datasets]"') from error

    def read(path: str) -> _Header:
        if fault := fault_of(folder / path):
            raise DatasetError(f"{shown(folder / path)} {fault}")
        try:
            header: Any = pydicom.dcmread(folder / path, stop_before_pixels=True, specific_tags=list(_TAGS))
            view, sex, age = (_first(header.get(name)) for name in _TAGS)
        except Exception as error:  # parsers raise more than OSError for damaged files
            raise DatasetError(f"{shown(folder / path)} cannot be read as DICOM: {error}") from error
        return view.upper() or None, sex or None, parse_age(age)

    return attempt_all(read, paths, noun="DICOM headers", progress=progress)


def _first(value: Any) -> str:
    """Return the first non-empty value of an element; an empty text if there is none.

    >>> _first(None), _first(["", "PA "])
    ('', 'PA')
    """
    values = [value] if value is None or isinstance(value, str) else list(value)
    return next((text for text in (str(each or "").strip() for each in values) if text), "")
