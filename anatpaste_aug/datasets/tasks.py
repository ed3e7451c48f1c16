"""A dataset as the detector sees it: normal images to train on, labelled ones to validate and to test on."""

import os
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from anatpaste_aug.datasets.cache import cached_images
from anatpaste_aug.datasets.chexpert import DISEASES, ChexpertIndex, index_chexpert, split_chexpert
from anatpaste_aug.datasets.images import load_images
from anatpaste_aug.datasets.phantom import FINDINGS, phantom_batch
from anatpaste_aug.datasets.records import DatasetError
from anatpaste_aug.datasets.rsna import ABNORMAL, RsnaIndex, index_rsna, split_rsna
from anatpaste_aug.datasets.splits import Split
from anatpaste_aug.datasets.zhanglab import ZhanglabIndex, index_zhanglab, split_zhanglab

__all__ = ["DetectionTask", "Subset", "chexpert_task", "phantom_task", "rsna_task", "zhanglab_task"]

_Path = str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class Subset:
    """Images with their labels.

    Attributes:
        images: uint8 N×1×S×S.
        labels: int64 N, 0 normal and 1 abnormal.
        names: N names, the paths below the dataset's root where there are files.
        findings: N tuples of findings, see `Record`.
        views: N views such as "PA", or None where it is not told.
    """

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]
    findings: tuple[tuple[str, ...], ...]
    views: tuple[str | None, ...]

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
        findings: The findings that a report tells apart.
        split: The split behind the three, with the hashes of its files; `Split.save` writes it. None for phantoms,
            which their seed reproduces.
    """

    name: str
    protocol: str
    note: str
    train: Subset
    val: Subset
    test: Subset
    findings: tuple[str, ...] = ()
    split: Split | None = None

    def counts(self) -> dict[str, int]:
        """Images per set and class, for the report."""
        return {
            f"{part}, {kind}": int((subset.labels == label).sum())
            for part, subset in (("training", self.train), ("validation", self.val), ("test", self.test))
            for label, kind in ((0, "normal"), (1, "abnormal"))
            if part != "training" or label == 0
        }

    def groups(self) -> dict[str, Tensor]:
        """Parts of the test set to be judged on their own: each finding with all normals, and each view if several.

        Returns:
            Name of the finding or view -> boolean mask over the test images. A part may be small, or without one
            class: count before anything is worked out from it.

        Example:
            >>> task = phantom_task(32, train=1, val=2, test=8)
            >>> {name: int(mask.sum()) for name, mask in task.groups().items()}
            {'opacity': 5, 'effusion': 5, 'nodules': 5, 'cardiomegaly': 5}
        """
        normal = self.test.labels == 0
        groups = {
            finding: normal | torch.tensor([finding in found for found in self.test.findings])
            for finding in self.findings
        }
        views = sorted({view for view in self.test.views if view})
        if len(views) > 1:
            groups |= {view: torch.tensor([view == other for other in self.test.views]) for view in views}
        return groups


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
    cache: _Path | None = None,
    name: str = "Zhanglab",
    progress: bool = True,
) -> DetectionTask:
    """The Zhanglab paediatric radiographs by the paper's protocol, read from the raw download.

    Args:
        root: The download, or a folder above it.
        size: Side in pixels to which the images are resized.
        seed: Of the split.
        split: A split to repeat, as `Split.load` reads it, instead of one that the seed gives; its files are checked.
        cache: Folder that keeps the decoded images, see `cached_images`. None keeps nothing.
        name: How results name the data.
        progress: Show a progress bar.

    Raises:
        DatasetError: See `index_zhanglab`, `split_zhanglab` and `load_images`; nothing is returned half read.
    """
    index = index_zhanglab(root)
    split = _same(split, "zhanglab") or split_zhanglab(index, seed)
    return _task(index, split, size, name, ("bacteria", "virus"), cache, progress)


def chexpert_task(
    root: _Path,
    size: int,
    *,
    protocol: Literal["overall", "diseases"] = "overall",
    views: Literal["PA", "all"] = "PA",
    exclude_support_devices: bool = False,
    seed: int = 0,
    split: Split | None = None,
    cache: _Path | None = None,
    name: str = "CheXpert",
    progress: bool = True,
) -> DetectionTask:
    """CheXpert by the paper's protocols, read from the raw download, `CheXpert-v1.0` or `CheXpert-v1.0-small`.

    Args:
        root: The download, or a folder above it.
        size: Side in pixels to which the images are resized.
        protocol: "overall" for the paper's AUROC on five diseases together, "diseases" for that on each.
        views: "PA" as in the paper, or "all" frontal images.
        exclude_support_devices: Leave out normal images with tubes, lines or pacemakers.
        seed: Of the split.
        split: A split to repeat; `protocol`, `views`, `exclude_support_devices` and `seed` are then its own.
        cache: Folder that keeps the decoded images. None keeps nothing.
        name: How results name the data.
        progress: Show progress bars.

    Raises:
        DatasetError: See `index_chexpert`, `split_chexpert` and `load_images`; nothing is returned half read.
    """
    index = index_chexpert(root)
    split = _same(split, "chexpert") or split_chexpert(
        index, seed, protocol=protocol, views=views, exclude_support_devices=exclude_support_devices
    )
    return _task(index, split, size, name, DISEASES, cache, progress)


def rsna_task(
    root: _Path,
    size: int,
    *,
    views: Literal["PA", "all"] = "PA",
    seed: int = 0,
    split: Split | None = None,
    cache: _Path | None = None,
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
        cache: Folder that keeps the decoded images and what the DICOM headers say. None keeps nothing.
        name: How results name the data.
        progress: Show progress bars.

    Raises:
        DatasetError: See `index_rsna`, `split_rsna` and `load_images`; nothing is returned half read.
    """
    index = index_rsna(root, cache=cache, progress=progress)
    split = _same(split, "rsna") or split_rsna(index, seed, views=views)
    return _task(index, split, size, name, ABNORMAL, cache, progress)


def _same(split: Split | None, dataset: str) -> Split | None:
    if split is not None and split.dataset != dataset:
        raise DatasetError(
            f"the split is one of {split.dataset}, not of {dataset}: give the split file of this dataset"
        )
    return split


def _task(
    index: ZhanglabIndex | ChexpertIndex | RsnaIndex,
    split: Split,
    size: int,
    name: str,
    findings: tuple[str, ...],
    cache: _Path | None,
    progress: bool,
) -> DetectionTask:
    root = index.root
    split = split.hashed(root, progress=progress)
    if cache is None:
        images = load_images(root, split.records(), size, progress=progress)
    else:
        images = cached_images(cache, split.dataset, root, split.records(), size, progress=progress)
    kind, note = "", ""
    if index.missing:
        kind = " (development split)"
        note = (
            f"Not the complete published set ({index.missing}): development figures, not to be compared with published "
            "ones."
        )
    elif not split.protocol.startswith("paper protocol"):
        kind = " (own protocol)"
        note = "Not the paper's protocol: figures are not to be compared with published ones."
    subsets, start = [], 0
    for records in (split.train, split.val, split.test):
        stop = start + len(records)
        subsets.append(
            Subset(
                images[start:stop],
                torch.tensor([record.label for record in records]),
                tuple(record.path for record in records),
                tuple(record.findings for record in records),
                tuple(record.view for record in records),
            )
        )
        start = stop
    train, val, test = subsets
    return DetectionTask(name + kind, split.protocol, note, train, val, test, findings, split)
