"""Index Zhang Lab's pediatric chest radiographs (Kermany, Zhang, Goldbaum) from any of the usual downloads.

Source: Mendeley Data rscbjbr9sj, version 2 (also on Kaggle, which moved 8 + 8 training images to ``val``) and version
3, which renamed the files. CC BY 4.0. The published set has 1349 normal + 3883 pneumonia images for training (``val``
included) and 234 + 390 for the test.
"""

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from anatpaste_aug.datasets.files.filenames import is_image_name, is_leftover, is_leftover_folder
from anatpaste_aug.datasets.files.parallel import some_of
from anatpaste_aug.datasets.files.tables import is_folder
from anatpaste_aug.datasets.files.twins import File, find_twins, is_same
from anatpaste_aug.datasets.records import DatasetError, Record
from anatpaste_aug.datasets.zhanglab.names import read_name

__all__ = ["PUBLISHED_COUNTS", "ZhanglabIndex", "count_zhanglab", "describe_difference", "index_zhanglab"]

PUBLISHED_COUNTS = {"train": (1349, 3883), "test": (234, 390)}
"""(normal, pneumonia) images of the published set; Kaggle's ``val`` is included in train."""

_SOURCES = ("train", "val", "test")
_CLASSES = ("NORMAL", "PNEUMONIA")
_LAYOUT = "{train,test}/{NORMAL,PNEUMONIA}, as the downloads from Kaggle and Mendeley Data unpack (folder chest_xray)"
_DEPTH = 4  # ZhangLabData/CellData/chest_xray, and one folder around it
_MOST_FOLDERS = 2000  # limits the search if the wrong folder is given


@dataclass(frozen=True)
class ZhanglabIndex:
    """The images of a download; an iterable of records.

    Attributes:
        root: The folder that contains ``train`` and ``test``.
        records: Sorted by path, relative to ``root``.
    """

    root: Path
    records: tuple[Record, ...]

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def is_complete(self) -> bool:
        """Whether training and test set have as many images as the published ones."""
        return not self.missing

    @property
    def missing(self) -> str:
        """How the set differs from the published one, in words; empty for the complete set."""
        return describe_difference(count_zhanglab(self.records))

    @property
    def has_official_test(self) -> bool:
        """Whether the test set has as many images as the published one, whatever the training set has."""
        return count_zhanglab(self.records)["test"] == PUBLISHED_COUNTS["test"]


def index_zhanglab(root: str | os.PathLike[str]) -> ZhanglabIndex:
    """List the images of a download, without decoding them.

    The layout is Kaggle's ``chest_xray/{train,val,test}``, that of Mendeley version 2, ``chest_xray/{train,test}``, or
    that of version 3, ``CellData/chest_xray/{train,test}``. ``__MACOSX``, hidden files, and the second copy that Kaggle
    nests in the first are skipped. So are other files that do not have the name of an image, with a warning if they are
    unknown.

    The ``source`` of a record is its folder (``train``, ``val`` or ``test``), and ``findings`` is bacteria or virus.
    The ``patient`` is from the file name, with the source in front: person numbers begin again in the test folder, so
    ``train/person1000`` and ``test/person1000`` are two people. Kaggle cut ``val`` out of train, so its patients are
    ``train/...``, too. A copy (``NAME (1)``, ``NAME_1``, another suffix) belongs to the patient of the original. A name
    without a patient counts as a patient; a warning names such files.

    The content of files with the same name or the same size is compared. An image that is in train and val under one
    name is listed once. One that is in train and test under different names gives a warning.

    Args:
        root: The folder with ``train`` and ``test``, or one up to four levels above it.

    Raises:
        DatasetError: The folder does not exist, is empty or has another layout, a class folder is missing or empty,
            several downloads are side by side, a file name is of the other class, or an image is in train and test
            under one name.
    """
    tree = _find_tree(Path(root))
    sources = [source for source in _SOURCES if source != "val" or (tree / "val").is_dir()]
    folders = [(source, name) for source in sources for name in _CLASSES]
    if missing := [f"{source}/{name}" for source, name in folders if not (tree / source / name).is_dir()]:
        raise DatasetError(f"{tree} lacks {', '.join(missing)}: unpack the download again; expected {_LAYOUT}")

    files: dict[tuple[str, str], dict[str, int]] = {}
    skipped: list[str] = []
    for folder in folders:
        files[folder], others = _list_files(tree.joinpath(*folder))
        skipped += ["/".join((*folder, name)) for name in others]
    # val is empty if a user moved its images to train.
    val_is_empty = not any(files.get(("val", name)) for name in _CLASSES)
    if empty := ["/".join(key) for key in folders if not files[key] and not (key[0] == "val" and val_is_empty)]:
        raise DatasetError(f"no images in {', '.join(empty)} of {tree}: unpack the download again")

    records: list[Record] = []
    sizes: dict[str, int] = {}
    misplaced: list[str] = []
    nameless: list[str] = []
    for (source, name), found in files.items():
        for file, size in found.items():
            path = f"{source}/{name}/{file}"
            if source == "val" and file in files["train", name] and is_same(tree / "train" / name / file, tree / path):
                continue
            parsed = read_name(Path(file).stem)
            if parsed.label not in (None, _CLASSES.index(name)):
                misplaced.append(path)
            if parsed.patient is None:
                nameless.append(path)
            records.append(_record(path, source, name, parsed.patient, parsed.kind))
            sizes[path] = size
    if misplaced:
        raise DatasetError(
            f"{len(misplaced)} file(s) in {tree} have a name of the other class: {some_of(misplaced)}. Move them to "
            "the folder of their class, or rename them"
        )
    _check_duplicates(tree, records, sizes)
    if nameless:
        warnings.warn(
            f"{len(nameless)} file(s) in {tree} have no patient in their names, and count as one patient each: "
            f"{some_of(nameless)}",
            stacklevel=2,
        )
    if skipped:
        warnings.warn(
            f"{len(skipped)} file(s) in {tree} do not have the name of an image, and are skipped: {some_of(skipped)}",
            stacklevel=2,
        )
    return ZhanglabIndex(tree, tuple(sorted(records, key=lambda record: record.path)))


def count_zhanglab(records: Iterable[Record]) -> dict[str, tuple[int, int]]:
    """Count the normal and abnormal images of train (with val) and of test."""
    count = Counter((record.source == "test", record.label) for record in records)
    return {"train": (count[False, 0], count[False, 1]), "test": (count[True, 0], count[True, 1])}


def describe_difference(sizes: dict[str, tuple[int, int]]) -> str:
    """Return how these counts differ from the published ones, in words; empty if they do not.

    >>> describe_difference({"train": (1341, 3875), "test": (234, 390)})
    'train 1341 + 3875 images instead of 1349 + 3883'
    """
    return ", ".join(
        f"{name} {found[0]} + {found[1]} images instead of {normal} + {ill}"
        for name, (normal, ill) in PUBLISHED_COUNTS.items()
        if (found := sizes[name]) != (normal, ill)
    )


def _check_duplicates(tree: Path, records: Iterable[Record], sizes: dict[str, int]) -> None:
    """Check that no image is in both train and test, which would invalidate the results."""
    sides: tuple[list[File], list[File]] = ([], [])
    for record in records:
        sides[record.source == "test"].append(File(record.path, sizes[record.path]))
    twins = find_twins(tree, *sides)
    same = [f"{first}, {second}" for first, second in twins if first.split("/")[-1] == second.split("/")[-1]]
    if same:
        raise DatasetError(
            f"{len(same)} image(s) in {tree} are in both train and test, under one name: {some_of(same)}. Delete one "
            "of the two, or unpack the download again"
        )
    if twins:
        pairs = [f"{first} = {second}" for first, second in twins]
        warnings.warn(
            f"{len(twins)} image(s) in {tree} are in both train and test, under different names: {some_of(pairs)}. "
            "Results on them are too optimistic",
            stacklevel=3,
        )


def _record(path: str, source: str, name: str, patient: str | None, kind: str | None) -> Record:
    # Files that differ only in the suffix are one image.
    own = Path(path).with_suffix("").as_posix()
    return Record(
        path=path,
        label=_CLASSES.index(name),
        patient=own if patient is None else f"{'test' if source == 'test' else 'train'}/{patient}",
        source=source,
        findings=(kind,) if kind and name == "PNEUMONIA" else (),
    )


def _find_tree(root: Path) -> Path:
    """Return the folder that contains train and test: ``root`` or the only one below it."""
    if not root.exists():
        raise DatasetError(f"{root} does not exist: give the folder that the download was unpacked to")
    if not root.is_dir():
        raise DatasetError(f"{root} is a file: unpack it, then give the folder that it was unpacked to")
    if not any(root.iterdir()):
        raise DatasetError(f"{root} is empty: unpack the download there; expected {_LAYOUT}")
    if any((root / name).is_dir() for name in _CLASSES):
        raise DatasetError(f"{root} is one split of the download: give the folder that contains train and test")

    found: list[Path] = []
    partial: list[Path] = []  # with train or test, but no class folder: for a better error message
    level, seen = [root], 0
    for _ in range(_DEPTH + 1):
        below: list[Path] = []
        for folder in level:
            if any((folder / source / name).is_dir() for source in _SOURCES for name in _CLASSES):
                found.append(folder)  # do not search deeper: Kaggle nests a second copy in it
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
    except OSError:  # a folder without read permission
        return []
    return [folder / name for name in sorted(names) if name not in _SOURCES and not is_leftover_folder(name)]


def _list_files(folder: Path) -> tuple[dict[str, int], list[str]]:
    """Return the images with their sizes in bytes, and files that are neither images nor known leftovers."""
    images: dict[str, int] = {}
    others: list[str] = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if is_folder(entry) or is_leftover(entry.name):
                continue
            if not is_image_name(entry.name):
                others.append(entry.name)
                continue
            try:
                images[entry.name] = entry.stat().st_size
            except OSError:  # a broken link, which is reported when it is read
                images[entry.name] = 0
    return images, others
