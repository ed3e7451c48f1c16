"""From a split to a task: the images of its files, with what the task has to say about them."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from anatpaste_aug.datasets.cache import cached_images
from anatpaste_aug.datasets.images import load_images
from anatpaste_aug.datasets.records import DatasetError, Unreadable
from anatpaste_aug.datasets.sixteen_bits import check_white
from anatpaste_aug.datasets.splits import Split
from anatpaste_aug.datasets.subsets import DetectionTask, Subset
from anatpaste_aug.datasets.white import find_white
from anatpaste_aug.files import check_writable

__all__ = ["OnError", "check_options", "check_split", "read_task"]

OnError = Literal["raise", "skip"]
"""What to do about images that cannot be read: stop before anything is trained, or leave them out and report them."""


def check_options(on_error: OnError, cache: str | os.PathLike[str] | None, white: int | None = None) -> OnError:
    """Check the options of a task before anything is read.

    Raises:
        ValueError: ``on_error`` or ``white`` is none of the allowed values.
        OSError: nothing can be written to ``cache``.
    """
    check_white(white)
    if cache is not None:
        check_writable(cache)
    if on_error not in ("raise", "skip"):
        raise ValueError(f'on_error={on_error!r}: expected "raise" or "skip"')
    return on_error


def check_split(split: Split | None, dataset: str) -> Split | None:
    """Return a given split if it is one of this dataset.

    Raises:
        DatasetError: it is of another one.
    """
    if split is not None and split.dataset != dataset:
        raise DatasetError(
            f"the split is one of {split.dataset}, not of {dataset}: give the split file of this dataset"
        )
    return split


def read_task(
    root: Path,
    split: Split,
    size: int,
    name: str,
    *,
    note: str = "",
    findings: tuple[str, ...] = (),
    white: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    on_error: OnError = "raise",
    unreadable: Sequence[Unreadable] = (),
    progress: bool = True,
) -> DetectionTask:
    """Read the images of a split.

    Args:
        root: Folder that the split's paths are relative to.
        split: Which images train, validate and test.
        size: Side in pixels to which the images are resized.
        name: How results name the data.
        note: What a reader of any figure must know; images that were left out, and white, are added to it.
        findings: The findings that a report tells apart.
        white: Of 16-bit files that don't tell it. None takes that of the split, or decides on the training images.
        cache: Folder that keeps the decoded images. None keeps nothing.
        on_error: "skip" leaves out images that cannot be read.
        unreadable: Images that the caller could not read already; they are left out with the others.
        progress: Show progress bars.

    Raises:
        DatasetError: Images are missing or cannot be read, or are not the ones that the split was made with.
    """
    skip: list[Unreadable] | None = None
    if check_options(on_error, cache, white) == "skip":
        skip = [*unreadable]
    else:
        split = split.hashed(root, progress=progress)
    if white is None and split.white is None:
        found = find_white([root / record.path for record in split.train], progress=progress)
        white = None if found is None else found.value
    split = replace(split, white=white or split.white)
    records = split.records()
    if cache is None:
        images = load_images(root, records, size, white=split.white, progress=progress, unreadable=skip)
    else:
        listed = hashlib.sha256(os.fsencode("\n".join(record.path for record in records))).hexdigest()
        name_in_cache = f"{split.dataset}-{listed[:8]}"  # one file for each split, so that protocols can alternate
        images = cached_images(
            cache, name_in_cache, root, records, size, white=split.white, progress=progress, unreadable=skip
        )
    if skip is not None:
        split = split.without(skip).hashed(root, progress=progress)
    if split.unreadable:
        note = f"{note} {len(split.unreadable)} image(s) could not be read and are left out.".lstrip()
    if split.white is not None:
        note = f"{note} White of 16-bit files that don't tell it: {split.white}.".lstrip()
    subsets, start = [], 0
    for part in (split.train, split.val, split.test):
        stop = start + len(part)
        subsets.append(
            Subset(
                images[start:stop],
                torch.tensor([record.label for record in part], dtype=torch.int64),
                tuple(record.path for record in part),
                tuple(record.findings for record in part),
                tuple(record.view for record in part),
            )
        )
        start = stop
    train, val, test = subsets
    return DetectionTask(name, split.protocol, note, train, val, test, findings, split, root)
