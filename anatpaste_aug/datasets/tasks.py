"""The datasets as a detector sees them, straight from the raw downloads."""

import os
from typing import Literal

from anatpaste_aug.datasets.chexpert import DISEASES, ChexpertIndex, index_chexpert
from anatpaste_aug.datasets.chexpert_split import split_chexpert
from anatpaste_aug.datasets.phantom import FINDINGS, phantom_batch
from anatpaste_aug.datasets.reading import OnError, check_options, check_split, read_task
from anatpaste_aug.datasets.rsna import ABNORMAL, RsnaIndex, index_rsna, split_rsna
from anatpaste_aug.datasets.splits import Split
from anatpaste_aug.datasets.subsets import DetectionTask, Subset
from anatpaste_aug.datasets.zhanglab import ZhanglabIndex, index_zhanglab
from anatpaste_aug.datasets.zhanglab_split import split_zhanglab

__all__ = ["chexpert_task", "phantom_task", "rsna_task", "zhanglab_task"]

_Path = str | os.PathLike[str]


def phantom_task(size: int, *, train: int = 400, val: int = 100, test: int = 200, seed: int = 0) -> DetectionTask:
    """Synthetic radiographs, half of the validation and test images abnormal.

    Args:
        size: Side of the images in pixels.
        train: Number of normal images to train on.
        val: Number of validation images.
        test: Number of test images.
        seed: Of the subjects; no subject is in two sets.

    Example:
        >>> phantom_task(32, train=4, val=2, test=2).counts()["training, normal"]
        4
    """
    parts = []
    for part, (name, count, abnormal) in enumerate((("train", train, 0.0), ("val", val, 0.5), ("test", test, 0.5))):
        batch = phantom_batch(count, size=size, abnormal=abnormal, seed=3 * seed + part)
        names = tuple(
            f"{name}-{i:04d}" + (f"-{finding}" if finding else "") for i, finding in enumerate(batch.findings)
        )
        findings = tuple((finding,) if finding else () for finding in batch.findings)
        parts.append(Subset(batch.images, batch.labels, names, findings, (None,) * count))
    return DetectionTask(
        name="phantoms (synthetic)",
        protocol=f"{train} normal phantoms train, {val} validate and {test} test, half of these abnormal; seed {seed}",
        note="Synthetic phantom radiographs: these figures show that the pipeline works, nothing about real images.",
        train=parts[0],
        val=parts[1],
        test=parts[2],
        findings=FINDINGS,
    )


def zhanglab_task(
    root: _Path,
    size: int,
    *,
    seed: int = 0,
    split: Split | None = None,
    white: int | None = None,
    cache: _Path | None = None,
    on_error: OnError = "raise",
    name: str = "Zhanglab",
    progress: bool = True,
) -> DetectionTask:
    """The Zhanglab paediatric radiographs by the paper's protocol, read from the raw download.

    Args:
        root: The download, or a folder above it.
        size: Side in pixels to which the images are resized.
        seed: Of the split.
        split: A split to repeat, as `Split.load` reads it, instead of one that the seed gives; its files are checked.
        white: Of 16-bit files that don't tell it, see `read_gray`. None takes that of the split, or decides on the
            training images, see `find_white`; the split of the task keeps it.
        cache: Folder that keeps the decoded images, see `cached_images`. None keeps nothing.
        on_error: What to do about images that are missing or cannot be read: "raise" names them all at once, "skip"
            leaves them out of the sets they were drawn for and lists them in `DetectionTask.unreadable`, the note and
            the split.
        name: How results name the data.
        progress: Show a progress bar.

    Raises:
        DatasetError: See `index_zhanglab`, `split_zhanglab` and `load_images`; nothing is returned half read.
    """
    index = index_zhanglab(root)
    split = check_split(split, "zhanglab") or split_zhanglab(index, seed)
    return _task(index, split, size, name, ("bacteria", "virus"), white, cache, on_error, progress)


def chexpert_task(
    root: _Path,
    size: int,
    *,
    protocol: Literal["overall", "diseases"] = "overall",
    views: Literal["PA", "all"] = "PA",
    exclude_support_devices: bool = False,
    seed: int = 0,
    split: Split | None = None,
    white: int | None = None,
    cache: _Path | None = None,
    on_error: OnError = "raise",
    name: str = "CheXpert",
    progress: bool = True,
) -> DetectionTask:
    """CheXpert by the paper's protocols, read from the raw download: `CheXpert-v1.0-small`, or the full size.

    Args:
        root: The download, or a folder above it.
        size: Side in pixels to which the images are resized.
        protocol: "overall" for the paper's AUROC on five diseases together, "diseases" for that on each.
        views: "PA" as in the paper, or "all" frontal images.
        exclude_support_devices: Leave out normal images with tubes, lines or pacemakers.
        seed: Of the split.
        split: A split to repeat; `protocol`, `views`, `exclude_support_devices` and `seed` are then its own.
        white: Of 16-bit files that don't tell it, see `read_gray`. None takes that of the split, or decides on the
            training images, see `find_white`; the split of the task keeps it.
        cache: Folder that keeps the decoded images. None keeps nothing.
        on_error: What to do about images that are missing or cannot be read: "raise" names them all at once, "skip"
            leaves them out of the sets they were drawn for and lists them in `DetectionTask.unreadable`, the note and
            the split.
        name: How results name the data.
        progress: Show progress bars.

    Raises:
        DatasetError: See `index_chexpert`, `split_chexpert` and `load_images`; nothing is returned half read.
    """
    index = index_chexpert(root)
    if given := check_split(split, "chexpert"):
        split = index.find_again(given)
    else:
        split = split_chexpert(
            index, seed, protocol=protocol, views=views, exclude_support_devices=exclude_support_devices
        )
    return _task(index, split, size, name, DISEASES, white, cache, on_error, progress)


def rsna_task(
    root: _Path,
    size: int,
    *,
    views: Literal["PA", "all"] = "PA",
    seed: int = 0,
    split: Split | None = None,
    white: int | None = None,
    cache: _Path | None = None,
    on_error: OnError = "raise",
    name: str = "RSNA",
    progress: bool = True,
) -> DetectionTask:
    """The RSNA Pneumonia Detection Challenge by the paper's protocol, read from Kaggle's stage 2 download.

    Args:
        root: The download, or a folder above it.
        size: Side in pixels to which the images are resized.
        views: "PA" as in the paper, or "all".
        seed: Of the split.
        split: A split to repeat; `views` and `seed` are then its own.
        white: Of 16-bit files that don't tell it, see `read_gray`. None takes that of the split, or decides on the
            training images, see `find_white`; the split of the task keeps it.
        cache: Folder that keeps the decoded images and what the DICOM headers say. None keeps nothing.
        on_error: What to do about images that are missing or cannot be read: "raise" names them all at once, "skip"
            leaves them out of the sets they were drawn for and lists them in `DetectionTask.unreadable`, the note and
            the split.
        name: How results name the data.
        progress: Show progress bars.

    Raises:
        DatasetError: See `index_rsna`, `split_rsna` and `load_images`; nothing is returned half read.
    """
    index = index_rsna(root, cache=cache, progress=progress, on_error=check_options(on_error, cache))
    split = check_split(split, "rsna") or split_rsna(index, seed, views=views)
    return _task(index, split, size, name, ABNORMAL, white, cache, on_error, progress)


def _task(
    index: ZhanglabIndex | ChexpertIndex | RsnaIndex,
    split: Split,
    size: int,
    name: str,
    findings: tuple[str, ...],
    white: int | None,
    cache: _Path | None,
    on_error: OnError,
    progress: bool,
) -> DetectionTask:
    kind, note = "", ""
    if index.missing and not (isinstance(index, ZhanglabIndex) and index.has_official_test):
        kind = " (development split)"
        note = (
            f"Not the complete published set ({index.missing}): development figures, not to be compared with published "
            "ones."
        )
    else:
        if index.missing:
            note = f"The official test set, but training differs from the published set: {index.missing}."
        if not split.protocol.startswith("paper protocol"):
            kind = " (own protocol)"
            note = f"{note} Not the paper's protocol: figures are not to be compared with published ones.".lstrip()
    if split.protocol.startswith("reduced protocol"):
        note = f"Reduced protocol: fewer images than the paper's. {note}"
    return read_task(
        index.root,
        split,
        size,
        name + kind,
        note=note,
        findings=findings,
        white=white,
        cache=cache,
        on_error=on_error,
        unreadable=index.unreadable if isinstance(index, RsnaIndex) else (),
        progress=progress,
    )
