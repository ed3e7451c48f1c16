"""The Zhang Lab radiographs as a detection task."""

import os

from anatpaste_aug.datasets.reading import OnError, check_split, read_published_task
from anatpaste_aug.datasets.splits import Split
from anatpaste_aug.datasets.subsets import DetectionTask
from anatpaste_aug.datasets.zhanglab.index import index_zhanglab
from anatpaste_aug.datasets.zhanglab.split import split_zhanglab

__all__ = ["zhanglab_task"]


def zhanglab_task(
    root: str | os.PathLike[str],
    size: int,
    *,
    seed: int = 0,
    split: Split | None = None,
    white: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    on_error: OnError = "raise",
    name: str = "Zhanglab",
    progress: bool = True,
) -> DetectionTask:
    """Read the Zhanglab pediatric radiographs from the raw download, by the paper's protocol.

    Args:
        root: The download, or a folder above it.
        size: Side in pixels that the images are resized to.
        seed: Seed of the split.
        split: A saved split to repeat, see `Split.load`. Its files are checked.
        white: White in 16-bit files that do not specify it, see `read_gray`; None infers it, see `find_white`.
        cache: Folder that keeps the decoded images, see `cached_images`; None keeps nothing.
        on_error: "raise" names all images that cannot be read, "skip" leaves them out, see `DetectionTask.unreadable`.
        name: Name of the data in results.
        progress: Show progress bars.

    Raises:
        DatasetError: See `index_zhanglab`, `split_zhanglab` and `load_images`.
    """
    index = index_zhanglab(root)
    return read_published_task(
        index.root,
        check_split(split, "zhanglab") or split_zhanglab(index, seed),
        size,
        name,
        difference=index.missing,
        has_official_test=index.has_official_test,
        findings=("bacteria", "virus"),
        white=white,
        cache=cache,
        on_error=on_error,
        progress=progress,
    )
