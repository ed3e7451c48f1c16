"""List the image files in a folder and its subfolders."""

import os
from pathlib import Path

from anatpaste_aug.datasets.files.dicom import is_dicom
from anatpaste_aug.datasets.files.filenames import is_image_name, is_leftover, is_leftover_folder
from anatpaste_aug.datasets.records import DatasetError

__all__ = ["list_images"]


def list_images(folder: str | os.PathLike[str]) -> tuple[list[str], list[str]]:
    """List the images and the other files in a folder and its subfolders, sorted by name relative to the folder.

    DICOM files are also recognized by their content. Hidden files, ``Thumbs.db``, ``NAME:Zone.Identifier`` and the like
    are in neither list, nor are files in folders such as ``__MACOSX`` and ``.ipynb_checkpoints``.

    Raises:
        DatasetError: The folder does not exist.
    """
    if not Path(folder).is_dir():
        raise DatasetError(f"{folder} is not a folder; give the one that contains the images")
    images: list[str] = []
    others: list[str] = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_leftover_folder(name))
        for path in (Path(place, name) for name in files if not is_leftover(name)):
            kind = images if is_image_name(path.name) or is_dicom(path) else others
            kind.append(path.relative_to(folder).as_posix())
    return sorted(images), sorted(others)
