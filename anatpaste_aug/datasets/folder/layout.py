"""Index the folder layout of MVTec AD, or two folders or lists of normal and abnormal images."""

import os
from collections.abc import Sequence
from pathlib import Path

from anatpaste_aug.datasets.files.filenames import is_image_name, is_leftover_folder
from anatpaste_aug.datasets.files.listing import list_images
from anatpaste_aug.datasets.files.parallel import some_of
from anatpaste_aug.datasets.folder.index import LAYOUT, FolderIndex, StrPath
from anatpaste_aug.datasets.folder.masks import find_mask
from anatpaste_aug.datasets.records import DatasetError, Record
from anatpaste_aug.files import shown

__all__ = ["index_folder", "index_images", "is_layout"]

_GOOD = "good"
_EXPECTED_NAMES = {
    **{name: name for name in ("train", "val", "test", "ground_truth")},
    **{"training": "train", "valid": "val", "validation": "val", "testing": "test", "groundtruth": "ground_truth"},
}


def is_layout(root: StrPath) -> bool:
    """Return whether a folder has the layout of MVTec AD."""
    return Path(root, "train", _GOOD).is_dir()


def index_folder(root: StrPath) -> FolderIndex:
    """List the images of a folder in the layout of MVTec AD (Bergmann et al. 2019), without opening them.

    ``train/good`` has the normal training images; ``val`` and ``test`` have ``good`` and a folder for each finding, and
    are optional. A mask ``ground_truth/FINDING/NAME.png`` or ``NAME_mask.png`` belongs to the image
    ``test/FINDING/NAME``. Other folders are not read. Each image counts as one patient, unless a manifest says
    otherwise, see `annotated`.

    Args:
        root: The folder that contains ``train``.

    Raises:
        DatasetError: The layout is different; the message shows the expected one.
    """
    root = Path(root)
    if not root.is_dir():
        raise DatasetError(f"{shown(root)} is not a folder: give one with {LAYOUT}")
    if not is_layout(root):
        raise DatasetError(f"{shown(root)} has no train/good{_describe(root)}: expected {LAYOUT}")
    _check_names(root)
    records: list[Record] = []
    for part in ("train", "val", "test"):
        if not (root / part).is_dir():
            continue
        classes = _folders(root / part)
        files = sorted(path for path in (root / part).iterdir() if path.is_file())
        if loose := [path.name for path in files if is_image_name(path.name)]:
            raise DatasetError(
                f"{shown(root / part)} has {len(loose)} image(s) outside of a class, such as {shown(loose[0])}: move "
                f"them to {part}/good{'' if part == 'train' else f' or {part}/FINDING'}; expected {LAYOUT}"
            )
        if part == "train" and (others := [name for name in classes if name != _GOOD]):
            raise DatasetError(
                f"{shown(root / part)} has {some_of(list(map(shown, others)))} beside good, but only normal images "
                f"train: move the others to test; expected {LAYOUT}"
            )
        for name in classes:
            records += _records(root, part, name)
    if not any(record.source == "train" for record in records):
        raise DatasetError(f"{shown(root / 'train' / _GOOD)} contains no images: expected {LAYOUT}")
    return FolderIndex(root, tuple(records))


def index_images(
    normal: StrPath | Sequence[StrPath], abnormal: StrPath | Sequence[StrPath] | None = None
) -> FolderIndex:
    """List normal and abnormal images: two folders, or two lists of files.

    A subfolder of the folder of abnormal images names a finding. Each image counts as one patient.

    Args:
        normal: A folder, including its subfolders, or files.
        abnormal: A folder or files; None for normal images only.

    Raises:
        DatasetError: A folder or file is missing, a folder has no images, or an image is in both.
    """
    given = {0: _files("normal", normal), 1: [] if abnormal is None else _files("abnormal", abnormal)}
    if both := sorted(set(given[0]) & set(given[1])):
        raise DatasetError(
            f"{len(both)} image(s) are normal and abnormal at once, such as {shown(both[0])}: give two "
            "folders of which neither lies in the other (--normal DIR --abnormal DIR)"
        )
    try:
        root = Path(os.path.commonpath([path.parent for paths in given.values() for path in paths]))
    except ValueError as error:  # two drives of Windows
        raise DatasetError(f"the images lie on several drives ({error}): copy them to one") from error
    base = None if abnormal is None or not isinstance(abnormal, str | os.PathLike) else Path(os.path.abspath(abnormal))
    records = []
    for label, paths in given.items():
        for path in paths:
            name = path.relative_to(root).as_posix()
            below = path.relative_to(base).parts[:-1] if label and base is not None else ()
            records.append(Record(name, label, name, "all", findings=below[:1]))
    return FolderIndex(root, tuple(records))


def _files(which: str, given: StrPath | Sequence[StrPath]) -> list[Path]:
    """Return the images of a folder or list as absolute paths, without repetitions."""
    remedy = "give two folders of images, --normal DIR --abnormal DIR, or --normal DIR alone"
    if isinstance(given, str | os.PathLike):
        folder = Path(os.path.abspath(given))
        if not folder.is_dir():
            raise DatasetError(f"the folder of {which} images, {shown(given)}, does not exist: {remedy}")
        paths = [folder / name for name in list_images(folder)[0]]
        if not paths:
            raise DatasetError(f"the folder of {which} images, {shown(given)}, contains no images: {remedy}")
        return paths
    paths = list(dict.fromkeys(Path(os.path.abspath(path)) for path in given))
    if missing := [path for path in paths if not path.exists()]:
        raise DatasetError(
            f"{len(missing)} of {len(paths)} {which} images are missing: {shown(missing[0])} does not exist"
        )
    if not paths:
        raise DatasetError(f"the list of {which} images is empty: give at least one file, or leave it out")
    return paths


def _records(root: Path, part: str, name: str) -> list[Record]:
    """Return the records of one class of one part, including subfolders."""
    folder = root / part / name
    label = int(name != _GOOD)
    records = []
    for image in list_images(folder)[0]:
        path = f"{part}/{name}/{image}"
        mask = find_mask(root / "ground_truth" / name, image) if label and part == "test" else None
        where = None if mask is None else mask.relative_to(root).as_posix()
        records.append(Record(path, label, path, part, findings=(name,) if label else (), mask=where))
    return records


def _folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not is_leftover_folder(path.name))


def _check_names(root: Path) -> None:
    """Check for folders that would be ignored although they seem to belong to the layout."""
    for name in _folders(root):
        if (expected := _EXPECTED_NAMES.get(name.lower(), name)) != name:
            raise DatasetError(f"{shown(root)} has {shown(name)}: rename it to {expected}; expected {LAYOUT}")
    truth, test = (_folders(root / name) if (root / name).is_dir() else [] for name in ("ground_truth", "test"))
    if strange := [name for name in truth if name not in test]:
        raise DatasetError(
            f"{shown(root / 'ground_truth')} has masks of {some_of(list(map(shown, strange)))}, which test does not "
            f"have: give the folders one name; expected {LAYOUT}"
        )


def _describe(root: Path) -> str:
    """Describe what a folder with another layout contains."""
    if below := [name for name in _folders(root) if is_layout(root / name)]:
        return f", but {some_of(list(map(shown, below)))} below it: give {'that' if len(below) == 1 else 'one of them'}"
    names = _folders(root / "train") if (root / "train").is_dir() else []
    if names:
        return f" (train contains {some_of(list(map(shown, names)))})"
    names = _folders(root)
    return f" (it contains {some_of(list(map(shown, names))) or 'no folders'})"
