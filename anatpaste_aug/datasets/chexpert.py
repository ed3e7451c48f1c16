"""CheXpert (Irvin et al. 2019), straight from the download: ``CheXpert-v1.0`` or ``CheXpert-v1.0-small``.

As published: 223,414 rows in ``train.csv`` and 234 in ``valid.csv``, each with 14 labels that are 1 (present),
0 (absent), −1 (uncertain) or blank (not mentioned). Paper: Sato et al. (arXiv 2205.04282) train on the normal images
of the PA view and test on five diseases.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from anatpaste_aug.datasets.records import DatasetError, Record
from anatpaste_aug.datasets.splits import Split, by_patient, draw
from anatpaste_aug.datasets.tables import find_folder, parse_age, read_rows

__all__ = ["DISEASES", "ChexpertIndex", "index_chexpert", "split_chexpert"]

DISEASES = ("Pleural Effusion", "Cardiomegaly", "Consolidation", "Edema", "Atelectasis")
"""The findings that make an image abnormal: CheXpert's five competition tasks."""

PUBLISHED_ROWS = {"train": 223_414, "valid": 234}
PAPER_TRAIN = 5_466  # normal training images, as the paper tells

_DEVICES = "Support Devices"
_LABELS = (
    *("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema"),
    *("Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture"),
    _DEVICES,
)
_ABOUT = ("Path", "Frontal/Lateral", "AP/PA", "Sex", "Age")
_VALUES = {"": 0, "0": 0, "0.0": 0, "-0.0": 0, "1": 1, "1.0": 1, "-1": -1, "-1.0": -1}
_PATH = re.compile(r"(?:.*/)?((train|valid)/(patient\d+)/[^/]+/[^/]+)")
_LAYOUT = "train.csv, valid.csv, train/ and valid/, as CheXpert-v1.0 and CheXpert-v1.0-small unpack"


@dataclass(frozen=True)
class ChexpertIndex:
    """The frontal images of one download that are normal or abnormal, of every view.

    ``root`` is the folder that holds ``train.csv``; ``records`` are relative to it and sorted by path. ``rows`` counts
    all images that both files list, and ``contradictory`` those with No Finding and a disease, which are neither.
    Iterating, or ``len``, is over the records.
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
        """How the set differs from the published one, in words; empty for the complete one."""
        rows = PUBLISHED_ROWS.items()
        return ", ".join(f"{self.rows[s]:,} of {n:,} images in {s}.csv" for s, n in rows if self.rows[s] != n)


def index_chexpert(root: str | os.PathLike[str]) -> ChexpertIndex:
    """List a download's frontal images that are normal or abnormal, without opening one.

    Normal is No Finding = 1. Abnormal is any of `DISEASES` = 1; −1 alone makes an image neither, as do other findings,
    and such an image is left out. ``findings`` are all labels that are 1, ``source`` is ``train`` or ``valid``,
    ``patient`` is the folder's name. A row that is repeated counts once.

    Args:
        root: the folder that holds ``train.csv``, or one up to two levels above it.

    Raises:
        DatasetError: a file or a column is missing, a value is none of the four, a path tells no patient, or two rows
            about one image differ; the message names the file and the line.
    """
    folder = find_folder(root, "train.csv", _LAYOUT)
    records: list[Record] = []
    rows: dict[str, int] = {}
    known: dict[tuple[str, ...], tuple[int | None, tuple[str, ...]]] = {}  # few combinations of labels occur
    seen: dict[str, int] = {}
    contradictory = 0
    for source in PUBLISHED_ROWS:
        table = folder / f"{source}.csv"
        rows[source] = 0
        for line, values in read_rows(table, (*_ABOUT, *_LABELS)):
            path, side, view, sex, age = values[: len(_ABOUT)]
            match = _PATH.fullmatch(path)
            if match is None or match[2] != source:
                raise DatasetError(f"{table}, line {line}: Path={path!r}, expected {source}/patient00001/study1/...")
            path = match[1]
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
                records.append(Record(path, label, match[3], source, *about, findings))
    return ChexpertIndex(folder, tuple(sorted(records, key=lambda record: record.path)), rows, contradictory)


def split_chexpert(
    records: Iterable[Record],
    seed: int = 0,
    *,
    protocol: Literal["overall", "diseases"] = "overall",
    views: Literal["PA", "all"] = "PA",
    exclude_support_devices: bool = False,
    count: int = 300,
) -> Split:
    """The paper's protocols: train and test come from train.csv by patient, ``valid.csv`` validates.

    *overall*: 300 abnormal images test, first 50 of each disease beginning with the rarest (an image counts for each
    disease it has), then any; and 300 normal ones. *diseases*: at least 300 of each disease, as an image has several,
    and 300 normal ones. The normal images of all other patients train.

    Patients are taken in an order that depends on the seed and their names only. A set too small shrinks the counts in
    proportion, so that at least half of the normals train; ``Split.protocol`` then says "reduced protocol".

    Args:
        records: of :func:`~anatpaste_aug.datasets.index_chexpert`, in any order.
        seed: which patients are drawn.
        protocol: ``"overall"`` or ``"diseases"``.
        views: ``"PA"`` as in the paper, or ``"all"`` frontal images.
        exclude_support_devices: leave out normal images with Support Devices = 1 (tubes, lines, pacemakers).
        count: the 300 above; a sixth of it is the 50.

    Raises:
        DatasetError: too little to split, says what there is.
        ValueError: another protocol or view, or a count below 6.
    """
    if protocol not in ("overall", "diseases") or views not in ("PA", "all"):
        raise ValueError(f"protocol={protocol!r}, views={views!r}: expected overall or diseases, and PA or all")
    if count < 6:
        raise ValueError(f"count={count}: expected at least 6, for one image of each disease")
    used = [
        record
        for record in sorted(records, key=lambda record: record.path)
        if views in ("all", record.view)
        and not (exclude_support_devices and record.label == 0 and _DEVICES in record.findings)
    ]
    val = [record for record in used if record.source == "valid"]
    validating = {record.patient for record in val}
    pool = [record for record in used if record.source == "train" and record.patient not in validating]
    normal, ill = ([record for record in pool if record.label == label] for label in (0, 1))
    found = f"train {len(normal)} + {len(ill)}, valid {_said(val)} (normal + abnormal, {views})"
    if len(normal) < 4 or len(ill) < 2 or {record.label for record in val} != {0, 1}:
        raise DatasetError(
            f"cannot split {found}: at least 4 + 2 images in train and 1 + 1 in valid are needed. Complete the download"
        )

    overall = protocol == "overall"
    spare = len(normal) // 2  # at least half of the normals train
    share = min(Fraction(1), Fraction(spare, count), Fraction(len(ill), count) if overall else Fraction(1))
    wanted = max(1, int(count * share))
    each = max(1, wanted // 6) if overall else wanted
    normals = Counter(record.patient for record in normal)
    test_ill = _draw_ill(ill, seed, each, wanted if overall else None, normals, spare - wanted)
    lost = sum(normals[patient] for patient in {record.patient for record in test_ill})
    test_normal = draw(by_patient(normal, seed), wanted, spare - lost)
    if not test_ill or not test_normal:
        raise DatasetError(f"{found} come from too few patients to keep training and test apart. Complete the download")
    test = sorted(test_normal + test_ill, key=lambda record: record.path)
    testing = {record.patient for record in test}
    train = [record for record in normal if record.patient not in testing]

    positives = {disease: sum(disease in record.findings for record in test_ill) for disease in DISEASES}
    short = len(test_normal) < count or (len(test_ill) < count if overall else min(positives.values()) < count)
    kind = "reduced" if short else "own" if count != 300 or views != "PA" or exclude_support_devices else "paper"
    asked = f" ({count} normal + {count} {'abnormal' if overall else 'of each disease'} asked for)" if short else ""
    devices = ", normals without support devices" if exclude_support_devices else ""
    diseases = ", ".join(f"{disease} {n}" for disease, n in positives.items())
    text = (
        f"{kind} protocol{asked}, by patient, {views} views{devices}; normal + abnormal: training {len(train)} + 0 of "
        f"train.csv (the paper: {PAPER_TRAIN} + 0), test {_said(test)} of other patients of train.csv ({diseases}), "
        f"validation {_said(val)} of valid.csv"
    )
    return Split("chexpert", text, int(seed), tuple(train), tuple(val), tuple(test))


def _classify(labels: Sequence[str], where: str) -> tuple[int | None, tuple[str, ...]]:
    """Label (None: neither) and the findings that are present."""
    values = [_VALUES.get(text) for text in labels]
    if None in values:
        raise DatasetError(f"{where}: label {labels[values.index(None)]!r}, expected 1, 0, -1 or blank")
    findings = tuple([name for name, value in zip(_LABELS, values, strict=True) if value == 1])
    ill = not set(DISEASES).isdisjoint(findings)
    if "No Finding" in findings:
        return (None, findings) if ill else (0, findings[1:])
    return (1 if ill else None), findings


def _draw_ill(
    ill: Sequence[Record], seed: int, each: int, total: int | None, normals: Counter[str], budget: int
) -> list[Record]:
    """``each`` images of every disease, the rarest first, then any up to ``total`` (None: no more).

    ``budget`` limits how many normal images the patients drawn may have, since those are lost to training.
    """
    order = [record for images in by_patient(ill, seed) for record in images]
    counts = Counter(finding for record in ill for finding in record.findings)
    drawn: dict[str, Record] = {}
    patients: set[str] = set()
    have: Counter[str] = Counter()
    rarest_first = sorted(DISEASES, key=lambda name: (counts[name], name))
    for disease in [*rarest_first, None] if total is not None else rarest_first:
        for record in order:
            if (total is not None and len(drawn) >= total) or (disease and have[disease] >= each):
                break
            if record.path in drawn or (disease and disease not in record.findings):
                continue
            cost = 0 if record.patient in patients else normals[record.patient]
            if cost > budget:
                continue
            budget -= cost
            patients.add(record.patient)
            drawn[record.path] = record
            have.update(record.findings)
    return list(drawn.values())


def _said(records: Sequence[Record]) -> str:
    labels = [record.label for record in records]
    return f"{labels.count(0)} + {labels.count(1)}"
