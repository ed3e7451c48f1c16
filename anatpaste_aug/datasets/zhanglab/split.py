"""The paper's split of the Zhang Lab radiographs: the given test folder tests, validation is drawn by patient."""

from collections.abc import Iterable
from fractions import Fraction

from anatpaste_aug.datasets.records import DatasetError, Record
from anatpaste_aug.datasets.splits import Split, by_patient, draw
from anatpaste_aug.datasets.zhanglab.index import PUBLISHED_COUNTS, count_zhanglab, tell_difference

__all__ = ["split_zhanglab"]

_COMPLETE = "Complete the download, or fetch it all to a new folder (--root NEW --download, download_zhanglab)"


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
        records: Of `index_zhanglab`, in any order.
        seed: Which patients are drawn.
        val_normal: Normal images for validation, at least 1.
        val_abnormal: Pneumonia images for validation, at least 1.

    Raises:
        ValueError: A count below 1.
        DatasetError: Fewer than 4 normal or 2 pneumonia images in train, a class missing in test, a source other than
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
            f"needed. {_COMPLETE}"
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
        lacking = "pneumonia images of patients without normal ones" if val else "normal images of other patients"
        raise DatasetError(
            f"cannot split {_said(sizes)} from {len(by_patient(normal, seed))} patients with normal and "
            f"{len(by_patient(abnormal, seed))} with pneumonia images in train: too few to keep training and "
            f"validation apart. {_COMPLETE}, or add {lacking}"
        )

    protocol = f"{len(val)} normal + {len(val_ill)} pneumonia images of train validate, by patient"
    if len(val) < val_normal or len(val_ill) < val_abnormal:
        protocol = f"reduced protocol ({val_normal} + {val_abnormal} asked for): {protocol}"
    else:
        protocol = f"{'paper' if val_normal == val_abnormal == 100 else 'own'} protocol: {protocol}"
    if difference := tell_difference(sizes):
        official = sizes["test"] == PUBLISHED_COUNTS["test"]
        protocol += f"; {'official test, but ' if official else 'not the complete published set: '}{difference}"
    val = sorted(val + val_ill, key=lambda record: record.path)
    return Split("zhanglab", protocol, int(seed), tuple(train), tuple(val), tuple(test))


def _said(sizes: dict[str, tuple[int, int]]) -> str:
    return ", ".join(f"{name} {normal} + {abnormal}" for name, (normal, abnormal) in sizes.items())


def _number(record: Record) -> str:
    """The patient without the side in front: person1000 of train/person1000."""
    return record.patient.rpartition("/")[2]
