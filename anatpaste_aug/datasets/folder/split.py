"""Split your own images into training, validation and test by patient."""

from collections import Counter
from collections.abc import Sequence

from anatpaste_aug.datasets.files.parallel import some_of
from anatpaste_aug.datasets.folder.index import FolderIndex
from anatpaste_aug.datasets.records import DatasetError, Record
from anatpaste_aug.datasets.splits import Split, by_patient

__all__ = ["split_folder"]

_FRACTION = 0.2  # of the normal images that validate, and of those that test, if the images are not split

Part = list[Record]


def split_folder(index: FolderIndex, seed: int = 0) -> Split:
    """Split your own images into training, validation and test.

    A given split is kept. If only validation or only test images are given, half of their patients of each class
    become the other part. If nothing is split, a fifth of the normal images validate and a fifth test, in whole
    patients, and so do half of the abnormal patients each. A patient with both kinds of images counts as abnormal, and
    their normal images validate or test. The result depends only on the images and the seed.

    Args:
        index: The images.
        seed: Seed of the split; not used if all three parts are given.

    Raises:
        DatasetError: There are no normal training images, a patient is in two parts, or a part has too few images.
    """
    parts: dict[str, Part] = {"train": [], "val": [], "test": [], "all": []}
    for record in index:
        parts[record.source].append(record)
    _check_patients(index)
    given = [name for name in ("train", "val", "test") if parts[name]]
    drawn: tuple[str, ...] = ("val", "test")
    if parts["all"] or given == ["train"]:
        drawn = ("train", "val", "test")
        parts |= _split_all(parts["all"] or parts["train"], seed)
        protocol = f"images split by patient at random, seed {seed}"
    elif not parts["val"] and parts["test"]:
        parts["val"], parts["test"] = _halves(parts["test"], seed)
        protocol = f"half of the given test images validate, split by patient at random, seed {seed}"
    elif not parts["test"] and parts["val"]:
        parts["val"], parts["test"] = _halves(parts["val"], seed)
        protocol = f"half of the given validation images test, split by patient at random, seed {seed}"
    else:
        drawn = ()
        protocol = "images split by their owner"
    _check_counts(parts, drawn)
    if all(record.patient == record.path for record in index):
        protocol += "; patients unknown, each image counts as one"
    train, val, test = (tuple(parts[name]) for name in ("train", "val", "test"))
    return Split("folder", protocol, seed, train, val, test)


def _split_all(records: Sequence[Record], seed: int) -> dict[str, Part]:
    ill = {record.patient for record in records if record.label}
    normal = by_patient([record for record in records if record.patient not in ill], seed)
    val, test = _halves([record for record in records if record.patient in ill], seed)
    count = round(_FRACTION * sum(map(len, normal)))
    wanted = {"test": max(2, count), "val": max(1, count)}
    parts: dict[str, Part] = {"train": [], "val": val, "test": test}
    taken = Counter({"val": 0, "test": 0})
    for images in normal:
        home = next((part for part in ("test", "val") if taken[part] < wanted[part]), "train")
        parts[home] += images
        taken[home] += len(images)
    return parts


def _halves(records: Sequence[Record], seed: int) -> tuple[Part, Part]:
    """Split patients into validation and test, alternating within each class."""
    ill = {record.patient for record in records if record.label}
    val: Part = []
    test: Part = []
    for kind in (True, False):
        ordered = by_patient([record for record in records if (record.patient in ill) is kind], seed)
        sizes = {"val": 0, "test": 0}
        for images in ordered:
            home = "test" if sizes["test"] <= sizes["val"] else "val"
            sizes[home] += len(images)
            (test if home == "test" else val).extend(images)
    return val, test


def _check_patients(index: FolderIndex) -> None:
    homes: dict[str, set[str]] = {}
    for record in index:
        homes.setdefault(record.patient, set()).add(record.source)
    if divided := sorted(patient for patient, sources in homes.items() if len(sources) > 1):
        first = " and ".join(name for name in ("train", "val", "test") if name in homes[divided[0]])
        raise DatasetError(
            f"{len(divided)} patient(s) are in several parts: {some_of(divided)} (the first in {first}); {index.remedy}"
        )


def _check_counts(parts: dict[str, Part], drawn: Sequence[str]) -> None:
    """Check the number of images: normal ones in every part; abnormal ones in val and test, if in any.

    Args:
        parts: The images of train, val and test.
        drawn: Which of these were drawn at random from the same images; the others were given.
    """
    ill = {record.patient for part in parts.values() for record in part if record.label}
    for label, least in ((0, {"train": 1, "val": 1, "test": 2}), (1, {"test": 2})):
        kind, remedy = ("abnormal", "add more, or leave out all abnormal images") if label else ("normal", "add more")
        found = {name: [record for record in parts[name] if record.label == label] for name in ("train", "val", "test")}
        if label and not any(found.values()):
            return
        name = next((name for name, count in least.items() if len(found[name]) < count), None)
        if name is None:
            continue
        if name not in drawn:
            raise DatasetError(
                f"{name} has {len(found[name])} {kind} image(s), but needs at least {least[name]}: {remedy}"
            )
        source = next(record.source for part in drawn for record in parts[part])
        where = "" if source == "all" else f" in {source}"
        images, who = [record for part in drawn for record in found[part]], "patient(s)"
        needed = "1 to validate and 2 to test"
        if "train" in drawn and not label:
            needed = "1 to train, 1 to validate and 2 to test"
            if ill:  # whose normal images do not train
                images, who = [each for each in images if each.patient not in ill], "patient(s) without abnormal ones"
        patients = len({record.patient for record in images})
        raise DatasetError(
            f"{len(images)} {kind} image(s) of {patients} {who}{where} are too few to split by patient, at least "
            f"{needed} are needed: {remedy}"
        )
