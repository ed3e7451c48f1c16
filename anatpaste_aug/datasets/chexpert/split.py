"""The paper's splits of CheXpert, by patient."""

from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any, Literal

from anatpaste_aug.datasets.chexpert.index import DEVICES, DISEASES, image_key
from anatpaste_aug.datasets.records import DatasetError, Record
from anatpaste_aug.datasets.splits import Split, by_patient, draw

__all__ = ["split_chexpert"]

PAPER_TRAIN = 5_466  # normal training images according to the paper


def split_chexpert(
    records: Iterable[Record],
    seed: int = 0,
    *,
    protocol: Literal["overall", "diseases"] = "overall",
    views: Literal["PA", "all"] = "PA",
    exclude_support_devices: bool = False,
    count: int = 300,
) -> Split:
    """Split by the paper's protocols: train.csv has the training and test images, valid.csv the validation images.

    *overall*: the test set has 300 abnormal images, first 50 of each disease beginning with the rarest (an image counts
    for each of its diseases), then any, and 300 normal ones. *diseases*: it has at least 300 of each disease and 300
    normal images. The normal images of all other patients are for training.

    The order of the patients depends only on the seed and their names. If the set is too small, the counts shrink in
    proportion, so that at least half of the normal images remain for training, and ``Split.protocol`` says "reduced
    protocol".

    Args:
        records: As returned by `index_chexpert`, in any order.
        seed: Seed of the order of the patients.
        protocol: ``"overall"`` or ``"diseases"``.
        views: ``"PA"`` as in the paper, or ``"all"`` frontal images.
        exclude_support_devices: Leave out normal images with Support Devices = 1 (tubes, lines, pacemakers).
        count: Replaces 300 above; 50 is a sixth of it.

    Raises:
        DatasetError: There are too few images; the message names the option that would help.
        ValueError: ``protocol``, ``views`` or ``count`` is invalid.
    """
    if protocol not in ("overall", "diseases") or views not in ("PA", "all"):
        raise ValueError(f"protocol={protocol!r}, views={views!r}: expected overall or diseases, and PA or all")
    if count < 6:
        raise ValueError(f"count={count}: expected at least 6, for one image of each disease")
    records = list(records)
    options: dict[str, Any] = {"protocol": protocol, "views": views, "exclude_support_devices": exclude_support_devices}
    try:
        return _split(records, seed, count, **options)
    except _TooFewError as error:
        raise DatasetError(f"{error}. {_remedy(records, seed, count, options) or error.remedy}") from None


class _TooFewError(DatasetError):
    def __init__(self, message: str, remedy: str):
        super().__init__(message)
        self.remedy = remedy


def _split(
    records: Sequence[Record], seed: int, count: int, *, protocol: str, views: str, exclude_support_devices: bool
) -> Split:
    used = [
        record
        for record in sorted(records, key=image_key)
        if views in ("all", record.view)
        and not (exclude_support_devices and record.label == 0 and DEVICES in record.findings)
    ]
    val = [record for record in used if record.source == "valid"]
    validating = {record.patient for record in val}
    pool = [record for record in used if record.source == "train" and record.patient not in validating]
    normal, abnormal = ([record for record in pool if record.label == label] for label in (0, 1))
    found = f"train {len(normal)} + {len(abnormal)}, valid {_count_text(val)} (normal + abnormal, {views})"
    if len(normal) < 4 or len(abnormal) < 2 or {record.label for record in val} != {0, 1}:
        raise _TooFewError(
            f"cannot split {found}: at least 4 + 2 images in train and 1 + 1 in valid are needed",
            "Complete the download: train.csv and valid.csv list too few images",
        )

    overall = protocol == "overall"
    spare = len(normal) // 2  # at least half of the normals train
    share = min(Fraction(1), Fraction(spare, count))
    if overall:
        share = min(share, Fraction(len(abnormal), count))
    wanted = max(1, int(count * share))
    each = max(1, wanted // 6) if overall else wanted
    normals = Counter(record.patient for record in normal)
    test_abnormal = _draw_abnormal(abnormal, seed, each, wanted if overall else None, normals, spare - wanted)
    lost = sum(normals[patient] for patient in {record.patient for record in test_abnormal})
    test_normal = draw(by_patient(normal, seed), wanted, spare - lost)
    if not test_abnormal or not test_normal:
        raise _TooFewError(
            f"cannot split {found}: too few patients to keep training and test apart",
            "Complete the download, or add "
            + (
                "normal images of other patients"
                if test_abnormal
                else "abnormal images of patients without normal ones"
            ),
        )
    test = sorted(test_normal + test_abnormal, key=image_key)
    testing = {record.patient for record in test}
    train = [record for record in normal if record.patient not in testing]

    positives = {disease: sum(disease in record.findings for record in test_abnormal) for disease in DISEASES}
    short = len(test_normal) < count or (len(test_abnormal) < count if overall else min(positives.values()) < count)
    kind = "reduced" if short else "own" if count != 300 or views != "PA" or exclude_support_devices else "paper"
    asked = f" ({count} normal + {count} {'abnormal' if overall else 'of each disease'} asked for)" if short else ""
    devices = ", normals without support devices" if exclude_support_devices else ""
    diseases = ", ".join(f"{disease} {n}" for disease, n in positives.items())
    text = (
        f"{kind} protocol{asked}, by patient, {views} views{devices}; normal + abnormal: training {len(train)} + 0 of "
        f"train.csv (the paper: {PAPER_TRAIN} + 0), test {_count_text(test)} of other patients of train.csv "
        f"({diseases}), validation {_count_text(val)} of valid.csv"
    )
    return Split("chexpert", text, int(seed), tuple(train), tuple(val), tuple(test))


def _remedy(records: Sequence[Record], seed: int, count: int, options: dict[str, Any]) -> str:
    """Return the fewest changes of options that make the split possible; empty if none do."""
    changes = [
        ("views", "all", 'use --views all (views="all")'),
        ("exclude_support_devices", False, "leave out --exclude-support-devices (exclude_support_devices=False)"),
        ("protocol", "overall", 'leave out --per-disease (protocol="overall")'),
    ]
    possible = [change for change in changes if options[change[0]] != change[1]]
    for number in range(1, len(possible) + 1):
        for chosen in combinations(possible, number):
            try:
                _split(records, seed, count, **options | {name: value for name, value, _ in chosen})
            except _TooFewError:
                continue
            text = " and ".join(text for _, _, text in chosen)
            return text[0].upper() + text[1:]
    return ""


def _draw_abnormal(
    abnormal: Sequence[Record], seed: int, each: int, total: int | None, normals: Counter[str], budget: int
) -> list[Record]:
    """Draw ``each`` images of every disease, the rarest first, then any up to ``total`` (None: no more).

    ``budget`` limits the number of normal images of the drawn patients, since these are lost for training.
    """
    order = [record for images in by_patient(abnormal, seed) for record in images]
    counts = Counter(finding for record in abnormal for finding in record.findings)
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


def _count_text(records: Sequence[Record]) -> str:
    labels = [record.label for record in records]
    return f"{labels.count(0)} + {labels.count(1)}"
