"""The paper's split of the Zhang Lab radiographs: the given test set, and validation images by patient."""

from collections.abc import Iterable
from fractions import Fraction

from anatpaste_aug.datasets.records import DatasetError, Record
from anatpaste_aug.datasets.splits import Split, by_patient, draw
from anatpaste_aug.datasets.zhanglab.index import PUBLISHED_COUNTS, count_zhanglab, describe_difference

__all__ = ["split_zhanglab"]

_COMPLETE = "Complete the download, or fetch it all to a new folder (--root NEW --download, download_zhanglab)"


def split_zhanglab(records: Iterable[Record], seed: int = 0, val_normal: int = 100, val_abnormal: int = 100) -> Split:
    """Split by the paper's protocol: 100 + 100 images of train (with val/) validate, the other normal images train.

    The test set is the given folder; the remaining pneumonia images are not used. Validation images are drawn by
    patient, in an order that depends only on the seed and the names of the patients. Whole patients are drawn while
    they fit. If that misses the count (patients with many images), one more patient supplies the missing images, and
    the rest of its images is not used. Pneumonia images are from patients without normal training images, first from
    those whose number does not occur in the test folder, in case a modified download did not keep them apart.

    If the set is too small, both counts shrink in proportion, so that at least half of the normal images remain for
    training, and ``protocol`` says "reduced protocol". It also says how the set differs from the published one.

    Args:
        records: As returned by `index_zhanglab`, in any order.
        seed: Seed of the order of the patients.
        val_normal: Number of normal validation images, at least 1.
        val_abnormal: Number of pneumonia validation images, at least 1.

    Raises:
        ValueError: A count is below 1.
        DatasetError: There are fewer than 4 normal or 2 pneumonia images in train, a class is missing in test, a source
            is not train, val or test, or there are too few patients to keep training and validation apart.

    Source: Sato et al., "Anatomy-aware Self-supervised Learning for Anomaly Detection in Chest Radiographs".

    Example:
        >>> def person(i, label, source="train"):
        ...     return Record(f"{source}/{i}_{label}.png", label, f"{source}/{i}_{label}", source)
        >>> sources = ("train", "test")
        >>> everyone = [person(i, label, source) for i in range(20) for label in (0, 1) for source in sources]
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
            f"cannot split {_count_text(sizes)}: at least 4 normal + 2 pneumonia images in train and 1 + 1 in test are "
            f"needed. {_COMPLETE}"
        )

    spare = len(normal) // 2  # at least half of the normals train
    part = min(Fraction(1), Fraction(spare, val_normal), Fraction(len(abnormal), val_abnormal))
    val = draw(by_patient(normal, seed), max(1, int(val_normal * part)), spare)
    drawn = {record.patient for record in val}
    train = [record for record in normal if record.patient not in drawn]
    training = {record.patient for record in train}
    tested = {_number(record) for record in test}
    candidates = [images for images in by_patient(abnormal, seed) if images[0].patient not in training]
    candidates.sort(key=lambda images: _number(images[0]) in tested)
    val_pneumonia = draw(candidates, max(1, int(val_abnormal * part)), len(abnormal))
    if not val or not val_pneumonia:
        lacking = "pneumonia images of patients without normal ones" if val else "normal images of other patients"
        raise DatasetError(
            f"cannot split {_count_text(sizes)} from {len(by_patient(normal, seed))} patients with normal and "
            f"{len(by_patient(abnormal, seed))} with pneumonia images in train: too few to keep training and "
            f"validation apart. {_COMPLETE}, or add {lacking}"
        )

    protocol = f"{len(val)} normal + {len(val_pneumonia)} pneumonia images of train validate, by patient"
    if len(val) < val_normal or len(val_pneumonia) < val_abnormal:
        protocol = f"reduced protocol ({val_normal} + {val_abnormal} asked for): {protocol}"
    else:
        protocol = f"{'paper' if val_normal == val_abnormal == 100 else 'own'} protocol: {protocol}"
    if difference := describe_difference(sizes):
        official = sizes["test"] == PUBLISHED_COUNTS["test"]
        protocol += f"; {'official test, but ' if official else 'not the complete published set: '}{difference}"
    val = sorted(val + val_pneumonia, key=lambda record: record.path)
    return Split("zhanglab", protocol, int(seed), tuple(train), tuple(val), tuple(test))


def _count_text(sizes: dict[str, tuple[int, int]]) -> str:
    return ", ".join(f"{name} {normal} + {abnormal}" for name, (normal, abnormal) in sizes.items())


def _number(record: Record) -> str:
    """Return the patient without the source: person1000 of train/person1000."""
    return record.patient.rpartition("/")[2]
