"""The image files in a folder and below."""

import os
from pathlib import Path

from anatpaste_aug.datasets.files.dicom import is_dicom
from anatpaste_aug.datasets.files.filenames import is_image_name, is_leftover, is_leftover_folder
from anatpaste_aug.datasets.records import DatasetError

__all__ = ["list_images"]


def list_images(folder: str | os.PathLike[str]) -> tuple[list[str], list[str]]:
    """List the images and the other files in a folder and below, by sorted names relative to the folder.

    DICOM is known by its content, too. Hidden files, ``Thumbs.db``, ``NAME:Zone.Identifier`` and the like are in
    neither list, nor is what lies in folders such as ``__MACOSX`` and ``.ipynb_checkpoints``.

    Raises:
        DatasetError: No such folder.
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
