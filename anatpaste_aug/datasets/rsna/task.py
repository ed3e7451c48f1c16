"""The RSNA challenge as a detection task."""

import os
from typing import Literal

from anatpaste_aug.datasets.reading import OnError, check_options, check_split, read_published_task
from anatpaste_aug.datasets.rsna.index import ABNORMAL, index_rsna
from anatpaste_aug.datasets.rsna.split import split_rsna
from anatpaste_aug.datasets.splits import Split
from anatpaste_aug.datasets.subsets import DetectionTask

__all__ = ["rsna_task"]


def rsna_task(
    root: str | os.PathLike[str],
    size: int,
    *,
    views: Literal["PA", "all"] = "PA",
    seed: int = 0,
    split: Split | None = None,
    white: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    on_error: OnError = "raise",
    name: str = "RSNA",
    progress: bool = True,
) -> DetectionTask:
    """Read the RSNA Pneumonia Detection Challenge from Kaggle's stage 2 download, by the paper's protocol.

    Args:
        root: The download, or a folder above it.
        size: Side in pixels that the images are resized to.
        views: "PA" as in the paper, or "all".
        seed: Seed of the split.
        split: A saved split to repeat, see `Split.load`; it replaces ``views`` and ``seed``. Its files are checked.
        white: White in 16-bit files that do not specify it, see `read_gray`; None infers it, see `find_white`.
        cache: Folder that keeps the decoded images (see `cached_images`) and the DICOM headers; None keeps nothing.
        on_error: "raise" names all images that cannot be read, "skip" leaves them out, see `DetectionTask.unreadable`.
        name: Name of the data in results.
        progress: Show progress bars.

    Raises:
        DatasetError: See `index_rsna`, `split_rsna` and `load_images`.
    """
    index = index_rsna(root, cache=cache, progress=progress, on_error=check_options(on_error, cache))
    return read_published_task(
        index.root,
        check_split(split, "rsna") or split_rsna(index, seed, views=views),
        size,
        name,
        difference=index.missing,
        findings=ABNORMAL,
        white=white,
        cache=cache,
        on_error=on_error,
        unreadable=index.unreadable,
        progress=progress,
    )
