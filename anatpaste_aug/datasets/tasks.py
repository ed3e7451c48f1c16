"""A dataset as the detector sees it: normal images to train on, labelled ones to validate and to test on."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from anatpaste_aug.datasets.images import load_images
from anatpaste_aug.datasets.phantom import phantom_batch
from anatpaste_aug.datasets.records import Record
from anatpaste_aug.datasets.splits import Split
from anatpaste_aug.datasets.zhanglab import index_zhanglab, split_zhanglab

__all__ = ["DetectionTask", "Subset", "phantom_task", "zhanglab_task"]


@dataclass(frozen=True, eq=False)
class Subset:
    """Images with their labels.

    Attributes:
        images: uint8 N×1×S×S.
        labels: int64 N, 0 normal and 1 abnormal.
        names: N names, the paths below the dataset's root where there are files.
    """

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, eq=False)
class DetectionTask:
    """What a detector is trained and judged on.

    Attributes:
        name: How results name the data.
        protocol: How the images were divided, in words.
        note: What a reader of any figure must know: synthetic, development or stand-in data. Empty for none.
        train: Normal images.
        val: Labelled images, for choosing weights and thresholds.
        test: Labelled images, looked at once, for the report.
        split: The split behind the three; None for phantoms, which their seed reproduces.
    """

    name: str
    protocol: str
    note: str
    train: Subset
    val: Subset
    test: Subset
    split: Split | None = None

    def counts(self) -> dict[str, int]:
        """Images per set and class, for the report."""
        return {
            f"{part}, {kind}": int((subset.labels == label).sum())
            for part, subset in (("training", self.train), ("validation", self.val), ("test", self.test))
            for label, kind in ((0, "normal"), (1, "abnormal"))
            if part != "training" or label == 0
        }


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
        parts.append(Subset(batch.images, batch.labels, names))
    return DetectionTask(
        name="phantoms (synthetic)",
        protocol=f"{train} normal phantoms train, {val} validate and {test} test, half of these abnormal; seed {seed}",
        note="Synthetic phantom radiographs: these figures show that the pipeline works, nothing about real images.",
        train=parts[0],
        val=parts[1],
        test=parts[2],
    )


def zhanglab_task(root: str | os.PathLike[str], size: int, *, seed: int = 0, progress: bool = True) -> DetectionTask:
    """The Zhanglab paediatric radiographs by the paper's protocol, read from the raw download.

    Args:
        root: The download, or a folder above it.
        size: Side in pixels to which the images are resized.
        seed: Of the split.
        progress: Show a progress bar.

    Raises:
        DatasetError: See `index_zhanglab`, `split_zhanglab` and `load_images`; nothing is returned half read.
    """
    index = index_zhanglab(root)
    split = split_zhanglab(index, seed)
    note = "Not the complete published set: development figures, not to be compared with published ones."

    def subset(records: Sequence[Record]) -> Subset:
        images = load_images(index.root, records, size, progress=progress)
        labels = torch.tensor([record.label for record in records])
        return Subset(images, labels, tuple(record.path for record in records))

    return DetectionTask(
        name="Zhanglab" if index.is_complete else "Zhanglab (development split)",
        protocol=split.protocol,
        note="" if index.is_complete else note,
        train=subset(split.train),
        val=subset(split.val),
        test=subset(split.test),
        split=split,
    )
