"""The image files in a folder, in portions, with a progress bar."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from anatpaste_aug.datasets.dicom import is_dicom
from anatpaste_aug.datasets.records import DatasetError

__all__ = ["SUFFIXES", "batches", "list_images", "progress_bar"]

SUFFIXES = (".bmp", ".dcm", ".dicom", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".tif", ".tiff", ".webp")
"""What a file is called that is expected to be an image; DICOM is known by its content, too."""


def list_images(folder: str | os.PathLike[str]) -> tuple[list[str], list[str]]:
    """Sorted names, relative to the folder, of the images and of the other files in it and below; hidden files and
    ``__MACOSX`` are passed over.

    Raises:
        DatasetError: No such folder.
    """
    if not Path(folder).is_dir():
        raise DatasetError(f"{folder} is not a folder; give the one that holds the images")
    images: list[str] = []
    others: list[str] = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != "." and name != "__MACOSX")
        for path in (Path(place, name) for name in files if name[0] != "."):
            (images if path.suffix.lower() in SUFFIXES or is_dicom(path) else others).append(
                path.relative_to(folder).as_posix()
            )
    return sorted(images), sorted(others)


def batches(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Portions of ``size`` names, the last one perhaps shorter."""
    return (names[start : start + size] for start in range(0, len(names), size))


@contextmanager
def progress_bar(total: int, wanted: bool) -> Iterator[Callable[[int], object]]:
    """A function that says how many more images are done, on standard error.

    Raises:
        ImportError: Without tqdm, where the bar is wanted.
    """
    if not wanted:
        yield lambda count: None
        return
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise ImportError('the progress bar needs tqdm: pip install "anatpaste_aug[datasets]"') from error
    with tqdm(total=total, desc="checking", unit="image") as bar:
        yield bar.update
