"""Your own images as a detection task."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from anatpaste_aug.datasets.files.parallel import on_all
from anatpaste_aug.datasets.folder.index import FolderIndex, StrPath
from anatpaste_aug.datasets.folder.layout import index_folder, index_images, is_layout
from anatpaste_aug.datasets.folder.manifest import annotated, has_labels, index_manifest
from anatpaste_aug.datasets.folder.masks import read_mask
from anatpaste_aug.datasets.folder.split import split_folder
from anatpaste_aug.datasets.reading import OnError, check_options, check_split, read_task
from anatpaste_aug.datasets.records import Record
from anatpaste_aug.datasets.splits import Split
from anatpaste_aug.datasets.subsets import DetectionTask

__all__ = ["folder_task", "index_own_images"]


def folder_task(
    root: StrPath | None = None,
    size: int = 128,
    *,
    normal: StrPath | Sequence[StrPath] | None = None,
    abnormal: StrPath | Sequence[StrPath] | None = None,
    manifest: StrPath | None = None,
    seed: int = 0,
    split: Split | None = None,
    white: int | None = None,
    cache: StrPath | None = None,
    on_error: OnError = "raise",
    name: str | None = None,
    progress: bool = True,
) -> DetectionTask:
    """Read your own images: a folder in the layout of MVTec AD, two folders or lists, or a manifest.

    Pass ``root`` for a layout (see `index_folder`), ``manifest`` for a table (see `index_manifest`), or ``normal`` with
    or without ``abnormal`` (see `index_images`). ``root`` with a manifest without labels is a layout with patients,
    views and findings from the manifest. Files can be PNG, JPEG, TIFF, DICOM or any format of `read_gray`. Images that
    are not split yet are split by patient, see `split_folder`. Abnormal images are optional.

    Args:
        root: The folder of the layout, or the one that the paths of a manifest are relative to.
        size: Side in pixels that the images are resized to.
        normal: A folder of normal images, or their files.
        abnormal: A folder of abnormal images, or their files; None for normal images only.
        manifest: A CSV file with the columns path, label, split, patient, view and finding.
        seed: Seed of the split.
        split: A saved split to repeat, see `Split.load`.
        white: White in 16-bit files that do not specify it, see `read_gray`; None infers it, see `find_white`.
        cache: Folder that keeps the decoded images, see `cached_images`; None keeps nothing.
        on_error: "raise" names all images that cannot be read, "skip" leaves them out, see `DetectionTask.unreadable`.
        name: Name of the data in results; None is the name of the folder.
        progress: Show a progress bar.

    Raises:
        DatasetError: The layout or the manifest is invalid, a patient is in two parts, a part has too few images, or
            images cannot be read.
        ValueError: The arguments do not fit together.

    Example:
        >>> task = folder_task(size=128, normal=normal_paths, abnormal=abnormal_paths)  # doctest: +SKIP
    """
    check_options(on_error, cache, white)
    index = index_own_images(root, normal=normal, abnormal=abnormal, manifest=manifest)
    split = check_split(split, "folder") or split_folder(index, seed)
    findings = sorted({finding for record in split.test for finding in record.findings})
    note = ""
    if not any(record.label for record in split.test):
        note = "Normal images only: no AUROC and no sensitivity; the specificity is of the test images."
    elif not any(record.label for record in split.val):
        note = "No abnormal validation images: weights and threshold are chosen without them."
    task = read_task(
        index.root,
        split,
        size,
        name or _name(index, manifest),
        note=note,
        findings=tuple(findings) if len(findings) > 1 else (),
        white=white,
        cache=cache,
        on_error=on_error,
        progress=progress,
    )
    return _with_truth(task, size)


def index_own_images(
    root: StrPath | None = None,
    *,
    normal: StrPath | Sequence[StrPath] | None = None,
    abnormal: StrPath | Sequence[StrPath] | None = None,
    manifest: StrPath | None = None,
) -> FolderIndex:
    """List your own images; arguments and errors are those of `folder_task`."""
    if normal is not None:
        if root is not None or manifest is not None:
            raise ValueError("normal= and abnormal= are complete: leave out root= and manifest=")
        return index_images(normal, abnormal)
    if abnormal is not None:
        raise ValueError("abnormal= needs normal=: the detector learns from normal images")
    if manifest is None:
        if root is None:
            raise ValueError("no images: give root= (a folder layout), normal= and abnormal=, or manifest=")
        return index_folder(root)
    if root is not None and is_layout(root) and not has_labels(manifest):
        return annotated(index_folder(root), manifest)
    return index_manifest(manifest, root)


def _name(index: FolderIndex, manifest: StrPath | None) -> str:
    return index.root.absolute().name or (Path(manifest).stem if manifest is not None else "images")


def _with_truth(task: DetectionTask, size: int) -> DetectionTask:
    """Add the masks of the test images, if there are any; images without one are not evaluated by pixels."""
    assert task.split is not None
    root, records = task.root, task.split.test
    if root is None or not any(record.mask for record in records):
        return task

    def read(record: Record) -> torch.Tensor:
        empty = np.zeros((size, size), np.bool_)
        return torch.from_numpy(empty if record.mask is None else read_mask(root / record.mask, size))

    masks = torch.stack(on_all(read, records, noun="masks")).unsqueeze(1)
    known = torch.tensor([bool(record.mask) or not record.label for record in records])
    return replace(task, test=replace(task.test, truth=masks, has_truth=known))
