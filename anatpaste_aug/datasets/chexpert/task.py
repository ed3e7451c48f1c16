"""CheXpert as a detection task."""

import os
from typing import Literal

from anatpaste_aug.datasets.chexpert.index import DISEASES, index_chexpert
from anatpaste_aug.datasets.chexpert.split import split_chexpert
from anatpaste_aug.datasets.reading import OnError, check_split, read_published_task
from anatpaste_aug.datasets.splits import Split
from anatpaste_aug.datasets.subsets import DetectionTask

__all__ = ["chexpert_task"]


def chexpert_task(
    root: str | os.PathLike[str],
    size: int,
    *,
    protocol: Literal["overall", "diseases"] = "overall",
    views: Literal["PA", "all"] = "PA",
    exclude_support_devices: bool = False,
    seed: int = 0,
    split: Split | None = None,
    white: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    on_error: OnError = "raise",
    name: str = "CheXpert",
    progress: bool = True,
) -> DetectionTask:
    """Read CheXpert from the raw download (`CheXpert-v1.0-small` or the full size), by the paper's protocols.

    Args:
        root: The download, or a folder above it.
        size: Side in pixels that the images are resized to.
        protocol: "overall" for the paper's AUROC on five diseases together, "diseases" for the AUROC on each.
        views: "PA" as in the paper, or "all" frontal images.
        exclude_support_devices: Leave out normal images with tubes, lines or pacemakers.
        seed: Seed of the split.
        split: A saved split to repeat, see `Split.load`; it replaces ``protocol``, ``views``,
            ``exclude_support_devices`` and ``seed``. Its files are checked.
        white: White in 16-bit files that do not specify it, see `read_gray`; None infers it, see `find_white`.
        cache: Folder that keeps the decoded images, see `cached_images`; None keeps nothing.
        on_error: "raise" names all images that cannot be read, "skip" leaves them out, see `DetectionTask.unreadable`.
        name: Name of the data in results.
        progress: Show progress bars.

    Raises:
        DatasetError: See `index_chexpert`, `split_chexpert` and `load_images`.
    """
    index = index_chexpert(root)
    if given := check_split(split, "chexpert"):
        split = index.find_again(given)
    else:
        split = split_chexpert(
            index, seed, protocol=protocol, views=views, exclude_support_devices=exclude_support_devices
        )
    return read_published_task(
        index.root,
        split,
        size,
        name,
        difference=index.missing,
        findings=DISEASES,
        white=white,
        cache=cache,
        on_error=on_error,
        progress=progress,
    )
