"""What a detector is trained and judged on: normal images to train on, labelled ones to validate and to test on."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from anatpaste_aug.datasets.records import Unreadable
from anatpaste_aug.datasets.splits import Split

__all__ = ["DetectionTask", "Subset"]


@dataclass(frozen=True, eq=False)
class Subset:
    """Images with their labels.

    Attributes:
        images: Uint8 N×1×S×S.
        labels: Int64 N, 0 normal and 1 abnormal.
        names: N names, the paths below the dataset's root where there are files.
        findings: N tuples of findings, see `Record`.
        views: N views such as "PA", or None where it is not told.
        regions: Boolean N×1×S×S masks of the organ to paste into, where the task has its own, see `with_regions`.
        truth: Boolean N×1×S×S masks of the findings, where there are such files; those of normal images are empty.
        has_truth: Boolean N: whether the image is normal, or has a mask in ``truth``.
    """

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]
    findings: tuple[tuple[str, ...], ...]
    views: tuple[str | None, ...]
    regions: Tensor | None = None
    truth: Tensor | None = None
    has_truth: Tensor | None = None

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
        val: Labelled images, for choosing weights and thresholds; perhaps normal ones alone.
        test: Labelled images, looked at once, for the report; perhaps normal ones alone.
        findings: The findings that a report tells apart.
        split: The split behind the three, with the hashes of its files; `Split.save` writes it. None for phantoms,
            which their seed reproduces.
        root: Folder that the names are relative to; None for phantoms.
    """

    name: str
    protocol: str
    note: str
    train: Subset
    val: Subset
    test: Subset
    findings: tuple[str, ...] = ()
    split: Split | None = None
    root: Path | None = None

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """The images that were left out because they cannot be read."""
        return () if self.split is None else self.split.unreadable

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
            >>> from anatpaste_aug.datasets import phantom_task
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
