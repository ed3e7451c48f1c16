"""A detection task: normal training images, and labeled images for validation and test."""

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
        images: N×1×S×S uint8.
        labels: N int64, 0 is normal and 1 abnormal.
        names: N names; for files, their paths relative to the dataset's root.
        findings: N tuples of findings, see `Record`.
        views: N views such as "PA"; None if unknown.
        regions: N×1×S×S boolean masks of the organ to paste into, if the task has its own, see `with_regions`.
        truth: N×1×S×S boolean masks of the findings, if there are such files; those of normal images are empty.
        has_truth: N boolean: whether the image is normal, or has a mask in ``truth``.
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
    """The images that a detector is trained and evaluated on.

    Attributes:
        name: Name of the data in results.
        protocol: How the images were split, in words.
        note: What a reader of any result must know: synthetic, development or stand-in data. May be empty.
        train: Normal images.
        val: Labeled images to choose weights and thresholds by; may all be normal.
        test: Labeled images for the final evaluation; may all be normal.
        findings: The findings that a report evaluates separately.
        split: The split of the files, with their hashes; `Split.save` writes it. None for phantoms.
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
        """Count the images per set and class, for the report."""
        return {
            f"{part}, {kind}": int((subset.labels == label).sum())
            for part, subset in (("training", self.train), ("validation", self.val), ("test", self.test))
            for label, kind in ((0, "normal"), (1, "abnormal"))
            if part != "training" or label == 0
        }

    def groups(self) -> dict[str, Tensor]:
        """Return parts of the test set to evaluate separately: each finding with all normal images, and each view.

        Returns:
            Name of the finding or view -> boolean mask over the test images. A part may be small, or lack a class.

        Example:
            >>> from anatpaste_aug.datasets import phantom_task
            >>> task = phantom_task(32, train=1, val=2, test=8)
            >>> {name: int(mask.sum()) for name, mask in task.groups().items()}
            {'opacity': 5, 'effusion': 5, 'nodules': 5, 'cardiomegaly': 5}
        """
        normal = self.test.labels == 0
        groups = {
            finding: normal | torch.tensor([finding in findings for findings in self.test.findings])
            for finding in self.findings
        }
        views = sorted({view for view in self.test.views if view})
        if len(views) > 1:
            groups |= {view: torch.tensor([view == other for other in self.test.views]) for view in views}
        return groups
