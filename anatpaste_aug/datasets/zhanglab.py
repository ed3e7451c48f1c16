"""Zhang Lab's paediatric chest radiographs (Kermany, Zhang, Goldbaum), straight from any of the usual downloads.

Source: Mendeley Data rscbjbr9sj, version 2 (also on Kaggle, which moved 8 + 8 training images into ``val``) and
version 3, which renamed the files. CC BY 4.0. As published: 1349 normal + 3883 pneumonia for training (``val``
included) and 234 + 390 for the test.
"""

import filecmp
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from anatpaste_aug.datasets.records import DatasetError, Record
from anatpaste_aug.datasets.splits import Split, by_patient, draw
from anatpaste_aug.datasets.tables import is_folder

__all__ = ["PUBLISHED_COUNTS", "ZhanglabIndex", "count_zhanglab", "index_zhanglab", "split_zhanglab"]

PUBLISHED_COUNTS = {"train": (1349, 3883), "test": (234, 390)}
"""(normal, pneumonia) images of the published set, with Kaggle's ``val`` counted to train."""

_SOURCES = ("train", "val", "test")
_CLASSES = ("NORMAL", "PNEUMONIA")
_LAYOUT = "{train,test}/{NORMAL,PNEUMONIA}, as the downloads from Kaggle and Mendeley Data unpack (folder chest_xray)"
_JUNK = {"thumbs.db", "desktop.ini"}  # and whatever starts with a dot: .DS_Store, macOS's ._ twins
_DEPTH = 4  # ZhangLabData/CellData/chest_xray, and one folder around it
_MOST_FOLDERS = 2000  # a home directory given by mistake is answered, not crawled

# Version 3 numbers its patients across classes, so there the number alone is the patient. IM-0115 and
# NORMAL2-IM-0115 are different series, hence two patients.
_SUFFIX = r"\.(?i:jpe?g|png)"
_NAMES = {
    "NORMAL": re.compile(rf"(?:(?P<series>(?:NORMAL2-)?IM-\d+)-\d+(?:-\d+)?|NORMAL-(?P<number>\d+)-\d+){_SUFFIX}"),
    "PNEUMONIA": re.compile(
        rf"(?:(?P<series>person\d+)_(?P<kind>bacteria|virus)_\d+|"
        rf"(?P<kind3>BACTERIA|VIRUS)-(?P<number>\d+)-\d+){_SUFFIX}"
    ),
}


@dataclass(frozen=True)
class ZhanglabIndex:
    """The images of one download: ``root`` is the folder that holds ``train`` and ``test``, ``records`` are sorted
    by path and relative to it. Iterating, or ``len``, is over the records."""

    root: Path
    records: tuple[Record, ...]

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def is_complete(self) -> bool:
        """Whether every set has as many images as the published one."""
        return not self.missing

    @property
    def missing(self) -> str:
        """How the set differs from the published one, in words; empty for the complete one."""
        sizes = count_zhanglab(self.records)
        return "" if sizes == PUBLISHED_COUNTS else f"{_said(sizes)} instead of {_said(PUBLISHED_COUNTS)} images"


def index_zhanglab(root: str | os.PathLike[str]) -> ZhanglabIndex:
    """List a download's images, without opening one.

    Takes Kaggle's ``chest_xray/{train,val,test}``, Mendeley version 2's ``chest_xray/{train,test}`` and version 3's
    ``CellData/chest_xray/{train,test}``; ``root`` may be that folder or one up to four levels above. ``__MACOSX``,
    hidden files and the second copy that Kaggle nests inside the first are passed over.

    A record's ``source`` is the folder (``train``, ``val``, ``test``), ``findings`` is bacteria or virus. Its
    ``patient`` comes from the file name, with the side in front: person numbers start afresh in the test folder, so
    ``train/person1000`` and ``test/person1000`` are two people. ``val`` was cut out of train by Kaggle and is named
    ``train/...`` here. An image that lies in both train and val, byte for byte, is listed once.

    Raises:
        DatasetError: no such folder, nothing in it, no such layout, a class folder missing or empty, several
            downloads side by side, or file names that don't tell the patient (or belong to the other class).
    """
    tree = _find_tree(Path(root))
    sources = [source for source in _SOURCES if source != "val" or (tree / "val").is_dir()]
    folders = [(source, name) for source in sources for name in _CLASSES]
    if missing := [f"{source}/{name}" for source, name in folders if not (tree / source / name).is_dir()]:
        raise DatasetError(f"{tree} lacks {', '.join(missing)}: unpack the download again; expected {_LAYOUT}")

    files = {folder: _files(tree.joinpath(*folder)) for folder in folders}
    # An emptied val is what remains where somebody moved its images into train by hand.
    val_is_empty = not any(files.get(("val", name)) for name in _CLASSES)
    if empty := ["/".join(key) for key in folders if not files[key] and not (key[0] == "val" and val_is_empty)]:
        raise DatasetError(f"no images in {', '.join(empty)} of {tree}: unpack the download again")

    records: list[Record] = []
    strange: list[str] = []
    for (source, name), names in files.items():
        twins = set(files["train", name]) if source == "val" else set()
        for file in names:
            path = f"{source}/{name}/{file}"
            if (match := _NAMES[name].fullmatch(file)) is None:
                strange.append(path)
            elif file not in twins or not _equal(tree / "train" / name / file, tree / path):
                records.append(_record(path, source, name, match.groupdict()))
    if strange:
        shown = ", ".join(strange[:5]) + (", ..." if len(strange) > 5 else "")
        raise DatasetError(
            f"{len(strange)} file(s) in {tree} have a name that doesn't tell the patient, or that of the other class: "
            f"{shown}. Splitting by patient needs names like IM-0115-0001.jpeg, NORMAL2-IM-0427-0001.jpeg or "
            "NORMAL-28501-0001.jpeg in NORMAL, person1000_bacteria_2931.jpeg or VIRUS-3637528-0002.jpeg in PNEUMONIA: "
            "restore them, or move these files elsewhere"
        )
    return ZhanglabIndex(tree, tuple(sorted(records, key=lambda record: record.path)))


def split_zhanglab(records: Iterable[Record], seed: int = 0, val_normal: int = 100, val_abnormal: int = 100) -> Split:
    """The paper's protocol: 100 + 100 images of train (val/ included) validate, the other normals train, the given
    test folder tests; pneumonia images that are left over are not used.

    Validation is drawn by patient, in an order that depends on the seed and the patient's name only: neither the
    order of ``records`` nor the file system nor a library's version changes it. Whole patients are taken as long as
    they fit. Should that miss the count (patients with many images), one more patient gives the images that lack,
    and its others are left out of both sides. Pneumonia comes from patients without normal images in training, and
    first from those whose number does not occur in the test folder, in case a re-cut download did not keep it apart.

    A set too small shrinks both counts in proportion, so that at least half of the normals train; ``protocol`` then
    says "reduced protocol". It also tells when the set is not the complete published one.

    Args:
        records: of :func:`~anatpaste_aug.datasets.index_zhanglab`, in any order.
        seed: which patients are drawn.
        val_normal: normal images for validation, at least 1.
        val_abnormal: pneumonia images for validation, at least 1.

    Raises:
        ValueError: a count below 1.
        DatasetError: fewer than 4 normal or 2 pneumonia images in train, a class missing in test, a source other than
            train, val and test, or too few patients to keep training and validation apart.

    Source: Sato et al., "Anatomy-aware Self-supervised Learning for Anomaly Detection in Chest Radiographs".

    >>> def person(i, label, source="train"):
    ...     return Record(f"{source}/{i}_{label}.png", label, f"{source}/{i}_{label}", source)
    >>> everyone = [person(i, label, source) for i in range(20) for label in (0, 1) for source in ("train", "test")]
    >>> split = split_zhanglab(everyone)
    >>> [tuple(part.values()) for part in split.counts().values()]
    [(10, 0), (10, 10), (20, 20)]
    >>> split.protocol.startswith("reduced protocol")
    True
    """
    for name, asked in (("val_normal", val_normal), ("val_abnormal", val_abnormal)):
        if asked < 1:
            raise ValueError(f"{name}={asked}: validation needs at least 1 image of each class")
    records = sorted(records, key=lambda record: record.path)
    if unknown := {record.source for record in records} - {"train", "val", "test"}:
        raise DatasetError(f"source {', '.join(sorted(unknown))} of some records: expected train, val or test")
    test = [record for record in records if record.source == "test"]
    normal, abnormal = ([r for r in records if r.source != "test" and r.label == label] for label in (0, 1))
    sizes = count_zhanglab(records)
    if len(normal) < 4 or len(abnormal) < 2 or not all(sizes["test"]):
        raise DatasetError(
            f"cannot split {_said(sizes)}: at least 4 normal + 2 pneumonia images in train and 1 + 1 in test are "
            "needed. Complete the download"
        )

    spare = len(normal) // 2  # at least half of the normals train
    part = min(Fraction(1), Fraction(spare, val_normal), Fraction(len(abnormal), val_abnormal))
    val = draw(by_patient(normal, seed), max(1, int(val_normal * part)), spare)
    drawn = {record.patient for record in val}
    train = [record for record in normal if record.patient not in drawn]
    training = {record.patient for record in train}
    tested = {_number(record) for record in test}
    ill = [images for images in by_patient(abnormal, seed) if images[0].patient not in training]
    ill.sort(key=lambda images: _number(images[0]) in tested)
    val_ill = draw(ill, max(1, int(val_abnormal * part)), len(abnormal))
    if not val or not val_ill:
        raise DatasetError(
            f"{_said(sizes)} come from too few patients ({len(by_patient(normal, seed))} with normal and "
            f"{len(by_patient(abnormal, seed))} with pneumonia images) to keep training and validation apart. "
            "Complete the download"
        )

    protocol = f"{len(val)} normal + {len(val_ill)} pneumonia images of train validate, by patient"
    if len(val) < val_normal or len(val_ill) < val_abnormal:
        protocol = f"reduced protocol ({val_normal} + {val_abnormal} asked for): {protocol}"
    else:
        protocol = f"{'paper' if val_normal == val_abnormal == 100 else 'own'} protocol: {protocol}"
    if sizes != PUBLISHED_COUNTS:
        protocol += f"; not the complete published set: {_said(sizes)} instead of {_said(PUBLISHED_COUNTS)}"
    val = sorted(val + val_ill, key=lambda record: record.path)
    return Split("zhanglab", protocol, int(seed), tuple(train), tuple(val), tuple(test))


def count_zhanglab(records: Iterable[Record]) -> dict[str, tuple[int, int]]:
    """Normal and abnormal images of the training side (val/ included) and of test."""
    count = Counter((record.source == "test", record.label) for record in records)
    return {"train": (count[False, 0], count[False, 1]), "test": (count[True, 0], count[True, 1])}


def _said(sizes: dict[str, tuple[int, int]]) -> str:
    return ", ".join(f"{name} {normal} + {abnormal}" for name, (normal, abnormal) in sizes.items())


def _number(record: Record) -> str:
    """The patient without the side in front: person1000 of train/person1000."""
    return record.patient.rpartition("/")[2]


def _record(path: str, source: str, name: str, parts: dict[str, str | None]) -> Record:
    kind = parts.get("kind") or parts.get("kind3")
    return Record(
        path=path,
        label=_CLASSES.index(name),
        patient=f"{'test' if source == 'test' else 'train'}/{parts['series'] or parts['number']}",
        source=source,
        findings=(kind.lower(),) if kind else (),
    )


def _find_tree(root: Path) -> Path:
    """The folder that holds train and test: ``root`` or the only one below it."""
    if not root.exists():
        raise DatasetError(f"{root} does not exist: give the folder that the download was unpacked to")
    if not root.is_dir():
        raise DatasetError(f"{root} is a file: unpack it, then give the folder that it was unpacked to")
    if not any(root.iterdir()):
        raise DatasetError(f"{root} is empty: unpack the download there; expected {_LAYOUT}")
    if any((root / name).is_dir() for name in _CLASSES):
        raise DatasetError(f"{root} is one split of the download: give the folder that holds train and test")

    found: list[Path] = []
    partial: list[Path] = []  # has train or test, but no class folder: the better message if nothing else is there
    level, seen = [root], 0
    for _ in range(_DEPTH + 1):
        below: list[Path] = []
        for folder in level:
            if any((folder / source / name).is_dir() for source in _SOURCES for name in _CLASSES):
                found.append(folder)  # and not deeper: what is nested in it is Kaggle's second copy
                continue
            if folder in (root, root / "chest_xray") and any((folder / name).is_dir() for name in ("train", "test")):
                partial.append(folder)
            seen += 1
            if seen <= _MOST_FOLDERS:
                below += _folders(folder)
        level = below
    if len(found) > 1:
        raise DatasetError(f"several downloads below {root}: {', '.join(map(str, found))}. Give one of them")
    if not found and not partial:
        raise DatasetError(f"no Zhang Lab download in {root}: expected {_LAYOUT}")
    return (found or partial)[0]


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if is_folder(entry)]
    except OSError:  # a folder beside the download that is none of ours to read
        return []
    return [folder / name for name in sorted(names) if name[0] != "." and name not in (*_SOURCES, "__MACOSX")]


def _equal(first: Path, second: Path) -> bool:
    try:
        return filecmp.cmp(first, second, shallow=False)
    except OSError:  # one cannot be read, which loading will say
        return False


def _files(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not is_folder(entry)]  # a dead link is named by whoever reads it
    return sorted(name for name in names if name[0] != "." and name.lower() not in _JUNK)
