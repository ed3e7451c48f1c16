"""Find CheXpert's patient folders: in train/ and valid/, or in the folders of the four archives of the full size."""

import os
import re
from collections import defaultdict
from pathlib import Path

from anatpaste_aug.datasets.files.filenames import is_leftover_folder
from anatpaste_aug.datasets.files.tables import is_folder

__all__ = ["PatientFolders", "find_patients"]

PatientFolders = dict[tuple[str, str], list[str]]
"""(train or valid, patient) -> the folders that contain the patient's folder, relative to the root."""

_PATIENT = re.compile("patient[0-9]+")
_BATCH = re.compile(r"CheXpert.* batch [0-9]", re.IGNORECASE)  # "CheXpert-v1.0 batch 2 (train 1)"
_DEPTH = 3  # EXTRACTED/CheXpert-v1.0 batch 2 (train 1)/CheXpert-v1.0 batch 2 (train 1)
_MOST_FOLDERS = 2000  # limits the search if the wrong folder is given


def find_patients(lists: Path, root: Path) -> tuple[Path, PatientFolders]:
    """Find all patient folders of a download in one pass, without opening them.

    Args:
        lists: The folder with ``train.csv``. If it belongs to one of the archives, the others are beside it.
        root: The folder that the user gave; searched if no training patient is near the lists.

    Returns:
        The folder that contains everything, and the patient folders relative to it.
    """
    near = lists
    while _BATCH.match(near.absolute().name):
        near = near.absolute().parent
    first = near, _search(near)
    for place, found in (first, *([] if root == near else [(root, _search(root))])):
        if any(source == "train" for source, _ in found):
            return place, found
    return first


def _search(root: Path) -> PatientFolders:
    found: PatientFolders = defaultdict(list)
    level, seen = [""], 0
    for _ in range(_DEPTH + 1):
        below: list[str] = []
        for folder in level:
            source = folder.rpartition("/")[2]
            source = source if source in ("valid", "test") else "train"
            for name in _list_folders(root / folder):
                if _PATIENT.fullmatch(name):
                    found[source, name].append(folder)
                elif not is_leftover_folder(name) and seen < _MOST_FOLDERS:
                    seen += 1
                    below.append(f"{folder}/{name}" if folder else name)
        level = sorted(below)
    return found


def _list_folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if is_folder(entry)]
    except OSError:  # a folder without read permission
        return []
