"""Read the images of a split into a detection task."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from anatpaste_aug.datasets.files.cache import cached_images
from anatpaste_aug.datasets.files.images import load_images
from anatpaste_aug.datasets.files.sixteen_bits import check_white
from anatpaste_aug.datasets.files.white import find_white
from anatpaste_aug.datasets.records import DatasetError, Unreadable
from anatpaste_aug.datasets.splits import Split
from anatpaste_aug.datasets.subsets import DetectionTask, Subset
from anatpaste_aug.files import check_writable

__all__ = ["OnError", "check_options", "check_split", "read_published_task", "read_task"]

OnError = Literal["raise", "skip"]
"""What to do about images that cannot be read: raise an error before anything is trained, or leave them out."""


def check_options(on_error: OnError, cache: str | os.PathLike[str] | None, white: int | None = None) -> OnError:
    """Check the options of a task before anything is read.

    Raises:
        ValueError: ``on_error`` or ``white`` is invalid.
        OSError: ``cache`` is not writable.
    """
    check_white(white)
    if cache is not None:
        check_writable(cache)
    if on_error not in ("raise", "skip"):
        raise ValueError(f'on_error={on_error!r}: expected "raise" or "skip"')
    return on_error


def check_split(split: Split | None, dataset: str) -> Split | None:
    """Return a given split after checking that it is one of this dataset.

    Raises:
        DatasetError: The split is one of another dataset.
    """
    if split is not None and split.dataset != dataset:
        raise DatasetError(
            f"the split is one of {split.dataset}, not of {dataset}: pass the split file of this dataset"
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
        split: The training, validation and test images.
        size: Side in pixels that the images are resized to.
        name: Name of the data in results.
        note: What a reader of any result must know. A note about images that were left out, and about white, is added.
        findings: The findings that a report evaluates separately.
        white: The value of white in 16-bit files that do not specify it. None takes that of the split, or infers it
            from the training images.
        cache: Folder that keeps the decoded images; None keeps nothing.
        on_error: "skip" leaves out images that cannot be read.
        unreadable: Images that the caller could not read; they are left out, too.
        progress: Show progress bars.

    Raises:
        DatasetError: Images are missing, unreadable, or not those that the split was made with.
    """
    skip: list[Unreadable] | None = None
    if check_options(on_error, cache, white) == "skip":
        skip = [*unreadable]
    else:
        split = split.hashed(root, progress=progress)
    if white is None and split.white is None:
        inferred = find_white([root / record.path for record in split.train], progress=progress)
        white = None if inferred is None else inferred.value
    split = replace(split, white=white or split.white)
    records = split.records()
    if cache is None:
        images = load_images(root, records, size, white=split.white, progress=progress, unreadable=skip)
    else:
        paths = hashlib.sha256(os.fsencode("\n".join(record.path for record in records))).hexdigest()
        name_in_cache = f"{split.dataset}-{paths[:8]}"  # one file for each split, so that protocols can alternate
        images = cached_images(
            cache, name_in_cache, root, records, size, white=split.white, progress=progress, unreadable=skip
        )
    if skip is not None:
        split = split.without(skip).hashed(root, progress=progress)
    if split.unreadable:
        note = f"{note} {len(split.unreadable)} image(s) could not be read and are left out.".lstrip()
    if split.white is not None:
        note = f"{note} White in 16-bit files that do not specify it: {split.white}.".lstrip()
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


def read_published_task(
    root: Path,
    split: Split,
    size: int,
    name: str,
    *,
    difference: str,
    has_official_test: bool = False,
    findings: tuple[str, ...],
    white: int | None,
    cache: str | os.PathLike[str] | None,
    on_error: OnError,
    unreadable: Sequence[Unreadable] = (),
    progress: bool,
) -> DetectionTask:
    """Read the images of a published dataset; name and note say how it differs from that of the paper.

    Args:
        root: See `read_task`, as for the arguments that are not listed here.
        split: The training, validation and test images.
        size: Side in pixels.
        name: Name of the complete dataset in results.
        difference: How the download differs from the published set, in words; empty for the complete one.
        has_official_test: Whether the test set is that of the publication all the same.
        findings: The findings that a report evaluates separately.
        white: The value of white.
        cache: Folder for the decoded images.
        on_error: "raise" or "skip".
        unreadable: Images that the caller could not read.
        progress: Show progress bars.
    """
    kind, note = "", ""
    if difference and not has_official_test:
        kind = " (development split)"
        note = (
            f"Not the complete published set ({difference}): development results, not comparable with published ones."
        )
    else:
        if difference:
            note = f"The official test set, but the training set differs from the published one: {difference}."
        if not split.protocol.startswith("paper protocol"):
            kind = " (own protocol)"
            note = f"{note} Not the paper's protocol: these results are not comparable with published ones.".lstrip()
    if split.protocol.startswith("reduced protocol"):
        note = f"Reduced protocol: fewer images than in the paper. {note}"
    return read_task(
        root,
        split,
        size,
        name + kind,
        note=note,
        findings=findings,
        white=white,
        cache=cache,
        on_error=on_error,
        unreadable=unreadable,
        progress=progress,
    )
