"""The paper's splits of CheXpert: training and test from train.csv by patient, validation from valid.csv."""

from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any, Literal

from anatpaste_aug.datasets.chexpert.index import DEVICES, DISEASES, image_key
from anatpaste_aug.datasets.records import DatasetError, Record
from anatpaste_aug.datasets.splits import Split, by_patient, draw

__all__ = ["split_chexpert"]

PAPER_TRAIN = 5_466  # normal training images, as the paper tells


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
        records: Of `index_chexpert`, in any order.
        seed: Which patients are drawn.
        protocol: ``"overall"`` or ``"diseases"``.
        views: ``"PA"`` as in the paper, or ``"all"`` frontal images.
        exclude_support_devices: Leave out normal images with Support Devices = 1 (tubes, lines, pacemakers).
        count: The 300 above; a sixth of it is the 50.

    Raises:
        DatasetError: Too little to split; says what there is, and which option would help.
        ValueError: Another protocol or view, or a count below 6.
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
    normal, ill = ([record for record in pool if record.label == label] for label in (0, 1))
    found = f"train {len(normal)} + {len(ill)}, valid {_said(val)} (normal + abnormal, {views})"
    if len(normal) < 4 or len(ill) < 2 or {record.label for record in val} != {0, 1}:
        raise _TooFewError(
            f"cannot split {found}: at least 4 + 2 images in train and 1 + 1 in valid are needed",
            "Complete the download: train.csv and valid.csv list too few images",
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
        raise _TooFewError(
            f"cannot split {found}: too few patients to keep training and test apart",
            "Complete the download, or add "
            + ("normal images of other patients" if test_ill else "abnormal images of patients without normal ones"),
        )
    test = sorted(test_normal + test_ill, key=image_key)
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


def _remedy(records: Sequence[Record], seed: int, count: int, options: dict[str, Any]) -> str:
    """The fewest options that split these records if they are changed; empty if none do."""
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
