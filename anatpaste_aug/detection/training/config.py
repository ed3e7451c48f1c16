"""The settings of a training run, and its learning rate."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal, get_args

import torch

Select = Literal["auroc", "pretext", "last"]
"""What chooses the best weights: the validation AUROC, the pretext loss of normal validation images, or nothing."""


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run; the defaults are those of Sato et al. (arXiv 2205.04282).

    Args:
        image_size: side of the square images.
        batch_size: normal images per update; their augmentations double the batch.
        updates: length of the run, and of the half-cosine schedule of the learning rate from its start to 0.
        updates_per_epoch: updates between two validations; the last update is always followed by one. Each fits the
            KDE to all normal training images.
        learning_rate, momentum, weight_decay: of SGD.
        jitter: brightness and contrast factors of the training images are uniform in [1 - jitter, 1 + jitter].
        backbone: any timm name.
        in_chans: 1, or 3 to repeat the gray channel.
        num_classes: of the pretext task: the normal images, and one for each augmentation.
        score: of the features: "kde", "knn" or "mahalanobis", see
            `SCORES`.
        bandwidth: of the KDE.
        stages: stages of the backbone whose pooled features are scored together, counted as timm does, such as (3, 4)
            for the last two of a ResNet; empty is the backbone's own output.
        average_views: average the features of an image over flipped and shifted views of it, in the scores of the
            trained detector; the validations during the training see the image alone.
        seed: of the weights, the order of the images, the jitter, and torch's global generator during the run.
        device: of the network, and of the images while they train; under torchrun `"cuda"` is each process's own GPU.
        amp: mixed precision for the network's forward pass in training: bfloat16, or float16 with scaled gradients on
            GPUs that lack it. Validation and scores stay in float32. On CPUs with matrix units for bfloat16 (AMX, in
            Intel's since Sapphire Rapids) it is faster too; those without bfloat16 are many times slower with it.
        select: what chooses the best weights. `"auroc"`, as in the paper, is the highest AUROC of the validation
            images, and needs abnormal ones. `"pretext"` is the lowest loss of the pretext task on the normal ones,
            and `"last"` are the weights at the end: neither needs labels. None is `"auroc"` where there are
            abnormal validation images, else `"last"`.
        false_positive_rate: share of the normal validation images that may be called abnormal, which gives the
            threshold. None takes the threshold of the best F1 where there are abnormal ones, else 0.05.
        sync_bn: several processes normalize their batches together, as one process does; needs CUDA.

    Raises:
        ValueError: a value is out of its range.
    """

    image_size: int = 256
    batch_size: int = 64
    updates: int = 65536
    updates_per_epoch: int = 256
    learning_rate: float = 0.03
    momentum: float = 0.9
    weight_decay: float = 3e-5
    jitter: float = 0.1
    backbone: str = "resnet18"
    in_chans: int = 1
    num_classes: int = 2
    score: str = "kde"
    bandwidth: float = 1.0
    stages: tuple[int, ...] = ()
    average_views: bool = False
    seed: int = 0
    device: str = "cpu"
    amp: bool = False
    sync_bn: bool = False
    select: Select | None = None
    false_positive_rate: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))  # a list, where read from JSON
        for name, fits, wanted in (
            ("image_size", self.image_size >= 32, "at least 32"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("updates", self.updates >= 1, "at least 1"),
            ("updates_per_epoch", self.updates_per_epoch >= 1, "at least 1"),
            ("learning_rate", 0 < self.learning_rate < math.inf, "positive"),
            ("momentum", 0 <= self.momentum < 1, "in [0, 1)"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "at least 0"),
            ("jitter", 0 <= self.jitter <= 1, "in [0, 1]"),
            ("in_chans", self.in_chans in (1, 3), "1 or 3"),
            ("num_classes", self.num_classes >= 2, "at least 2"),
            ("score", self.score in ("kde", "knn", "mahalanobis"), "kde, knn or mahalanobis"),
            ("stages", all(stage >= 0 for stage in self.stages), "numbers from 0 up"),
            ("bandwidth", 0 < self.bandwidth < math.inf, "positive"),
            ("seed", self.seed >= 0, "at least 0"),
            ("select", self.select in (None, *get_args(Select)), f"None or one of {', '.join(get_args(Select))}"),
            ("false_positive_rate", 0 < (self.false_positive_rate or 0.5) < 1, "between 0 and 1"),
        ):
            if not fits:
                raise ValueError(f"{name} must be {wanted}, got {getattr(self, name)}")
        if self.sync_bn and torch.device(self.device).type != "cuda":
            raise ValueError(f"sync_bn needs a CUDA device, got device {self.device!r}: leave it off")

    def selects_last(self, labeled: bool) -> bool:
        """Return whether the best weights are the last ones; `labeled`: there are abnormal validation images."""
        return self.select == "last" or (self.select is None and not labeled)


PRESETS: dict[str, dict[str, Any]] = {
    # The paper's setting, for a GPU: 256 epochs of 256 updates of 64 normal and 64 augmented images.
    "paper": {"image_size": 256, "batch_size": 64, "updates": 65536, "updates_per_epoch": 256, "score": "kde"},
    # One training within an hour on 2 CPU cores, by the time of its updates; how it was chosen: docs/measurements.md.
    "cpu": {"image_size": 128, "batch_size": 64, "updates": 600, "updates_per_epoch": 60, "score": "kde"},
    # The default for phantoms: a few minutes on 2 CPU cores.
    "demo": {"image_size": 64, "batch_size": 32, "updates": 240, "updates_per_epoch": 40},
    # Within a minute on 2 CPU cores: shows that everything runs, not what it can do.
    "smoke": {"image_size": 64, "batch_size": 16, "updates": 30, "updates_per_epoch": 15},
}
"""Name on command lines -> settings of `TrainConfig`."""


def half_cosine(update: int, updates: int, base: float) -> float:
    """Learning rate of an update (from 0): `base` at first, falling along half a cosine to 0 at `updates`.

    Example:
        >>> half_cosine(0, 100, 0.03), half_cosine(50, 100, 0.03), half_cosine(100, 100, 0.03)
        (0.03, 0.015, 0.0)
    """
    return 0.5 * base * (1 + math.cos(math.pi * update / updates))
