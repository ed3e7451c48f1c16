"""The region that patches are pasted into, if it is not the lungs that the augmentation segments itself."""

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
    """Return a task with a mask of the region to paste into for each training and validation image.

    Args:
        task: The images.
        segmenter: "lungs" lets the augmentation segment them (Algorithm 1 of the paper), "lung-field" segments the
            whole lung fields, "none" is the whole image. A folder contains a mask file for each training image, found
            by its name, see `masks_by_stem`; validation images without a file get an empty mask. Or any segmenter.

    Raises:
        DatasetError: The folder does not exist, or masks are missing or cannot be read.

    Example:
        >>> from anatpaste_aug.datasets import phantom_task
        >>> with_regions(phantom_task(32, train=2, val=2, test=2), "none").train.regions.float().mean().item()
        1.0
    """
    if segmenter == "lungs":
        return task
    if not isinstance(segmenter, str | os.PathLike):
        return _segmented(task, segmenter, "the masks of a custom segmenter")
    if segmenter == "lung-field":
        return _segmented(task, LungFieldSegmenter(), "the lung fields")
    if segmenter == "none":
        return _segmented(task, _whole_image, "the whole image")
    if not Path(segmenter).is_dir():
        raise DatasetError(f"{segmenter} is not a folder of masks: give one, or {', '.join(SEGMENTERS)}")
    size = task.train.images.shape[-1]
    train = masks_by_stem(segmenter, task.train.names, size)
    val = masks_by_stem(segmenter, task.val.names, size, required=False)
    return _with_masks(task, train, val, f"masks in {Path(segmenter).name}")


def _segmented(task: DetectionTask, segmenter: Segmenter, where: str) -> DetectionTask:
    def masks(subset: Subset) -> Tensor:
        return torch.cat([segmenter(batch) for batch in subset.images.split(_BATCH)])

    return _with_masks(task, masks(task.train), masks(task.val), where)


def _whole_image(images: Tensor) -> Tensor:
    return torch.ones_like(images[:, :1], dtype=torch.bool)


def _with_masks(task: DetectionTask, train: Tensor, val: Tensor, where: str) -> DetectionTask:
    return replace(
        task,
        protocol=f"{task.protocol}; pasted into {where}",
        train=replace(task.train, regions=train),
        val=replace(task.val, regions=val),
    )
