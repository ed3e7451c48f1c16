"""The organ that patches are pasted into, where it is not the lungs that the augmentation finds by itself."""

import os
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from anatpaste_aug.datasets.folder.masks import masks_by_stem
from anatpaste_aug.datasets.records import DatasetError
from anatpaste_aug.datasets.subsets import DetectionTask, Subset
from anatpaste_aug.segmentation import LungFieldSegmenter, Segmenter

__all__ = ["SEGMENTERS", "with_regions"]

SEGMENTERS = ("lungs", "lung-field", "none")
_BATCH = 64


def with_regions(task: DetectionTask, segmenter: str | os.PathLike[str] | Segmenter) -> DetectionTask:
    """A task whose images have the masks of an organ of one's own.

    Args:
        task: The images.
        segmenter: "lungs" leaves them to the augmentation (Algorithm 1 of the paper), "lung-field" finds the whole
            lung fields, "none" takes the whole image. A folder holds a mask file for each training image, found by
            name, see `masks_by_stem`; validation images without a file have an empty mask. Or any segmenter.

    Raises:
        DatasetError: No such folder, or masks are missing or cannot be read.

    Example:
        >>> from anatpaste_aug.datasets import phantom_task
        >>> with_regions(phantom_task(32, train=2, val=2, test=2), "none").train.regions.float().mean().item()
        1.0
    """
    if segmenter == "lungs":
        return task
    if not isinstance(segmenter, str | os.PathLike):
        return _segmented(task, segmenter, "masks of a segmenter of one's own")
    if segmenter == "lung-field":
        return _segmented(task, LungFieldSegmenter(), "the lung fields")
    if segmenter == "none":
        return _segmented(task, _everything, "the whole image")
    if not Path(segmenter).is_dir():
        raise DatasetError(f"{segmenter} is not a folder of masks: give one, or {', '.join(SEGMENTERS)}")
    size = task.train.images.shape[-1]
    train = masks_by_stem(segmenter, task.train.names, size)
    val = masks_by_stem(segmenter, task.val.names, size, required=False)
    return _with(task, train, val, f"masks in {Path(segmenter).name}")


def _segmented(task: DetectionTask, segmenter: Segmenter, where: str) -> DetectionTask:
    def masks(subset: Subset) -> Tensor:
        return torch.cat([segmenter(batch) for batch in subset.images.split(_BATCH)])

    return _with(task, masks(task.train), masks(task.val), where)


def _everything(images: Tensor) -> Tensor:
    return torch.ones_like(images[:, :1], dtype=torch.bool)


def _with(task: DetectionTask, train: Tensor, val: Tensor, where: str) -> DetectionTask:
    return replace(
        task,
        protocol=f"{task.protocol}; pasted into {where}",
        train=replace(task.train, regions=train),
        val=replace(task.val, regions=val),
    )
