"""List the image files in a folder, in batches, with a progress bar."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from anatpaste_aug.datasets.dicom import is_dicom
from anatpaste_aug.datasets.filenames import is_image_name, is_leftover, is_leftover_folder
from anatpaste_aug.datasets.records import DatasetError

__all__ = ["batches", "list_images", "progress_bar"]


def list_images(folder: str | os.PathLike[str]) -> tuple[list[str], list[str]]:
    """List the images and the other files in a folder and its subfolders, by sorted names relative to the folder.

    DICOM is also recognized by content. Hidden files, ``Thumbs.db``, ``NAME:Zone.Identifier`` and the like are in
    neither list, nor are files in folders such as ``__MACOSX`` and ``.ipynb_checkpoints``.

    Raises:
        DatasetError: The folder does not exist.
    """
    if not Path(folder).is_dir():
        raise DatasetError(f"{folder} is not a folder; give the one that holds the images")
    images: list[str] = []
    others: list[str] = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_leftover_folder(name))
        for path in (Path(place, name) for name in files if not is_leftover(name)):
            known = images if is_image_name(path.name) or is_dicom(path) else others
            known.append(path.relative_to(folder).as_posix())
    return sorted(images), sorted(others)


def batches(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Split names into batches of ``size``; the last one may be shorter."""
    return (names[start : start + size] for start in range(0, len(names), size))


@contextmanager
def progress_bar(total: int, wanted: bool) -> Iterator[Callable[[int], object]]:
    """Yield a function that advances a progress bar on standard error by a number of images."""
    if not wanted:
        yield lambda count: None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc="checking", unit="image") as bar:
        yield bar.update
