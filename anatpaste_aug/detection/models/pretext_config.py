"""The settings of the paper's detector, and its presets."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch

from anatpaste_aug.detection.training.config import TrainConfig

PRESETS: dict[str, dict[str, Any]] = {
    # The paper's setting, for a GPU: 256 epochs of 256 updates of 64 normal and 64 augmented images.
    "paper": {"image_size": 256, "batch_size": 64, "updates": 65536, "updates_per_epoch": 256, "score": "kde"},
    # One training within an hour on 2 CPU cores, by the time of its updates; how it was chosen: docs/measurements.md.
    "cpu": {"image_size": 128, "batch_size": 64, "updates": 600, "updates_per_epoch": 60, "score": "knn"},
    # About ten minutes on a CPU core, with a network of half the depth; chosen on validation images, see there.
    "fast": {
        **{"image_size": 64, "batch_size": 32, "updates": 600, "updates_per_epoch": 60},
        **{"backbone": "resnet10t", "score": "knn"},
    },
    # The default for phantoms: two minutes on 2 CPU cores, with a network of half the depth.
    "demo": {
        **{"image_size": 64, "batch_size": 32, "updates": 300, "updates_per_epoch": 60},
        **{"backbone": "resnet10t", "score": "knn"},
    },
    # Within a minute on 2 CPU cores: shows that everything runs, not what it can do.
    "smoke": {"image_size": 64, "batch_size": 16, "updates": 30, "updates_per_epoch": 15},
}
"""Name on the command line (`--preset`) -> settings of `PretextConfig`.

The image size of a preset is that of all methods in a study.
"""


@dataclasses.dataclass(frozen=True)
class PretextConfig(TrainConfig):
    """Settings of `PretextDetector`; the defaults are those of Sato et al. (arXiv 2205.04282).

    Args:
        image_size, updates_per_epoch, device, select, false_positive_rate: See `TrainConfig`. Each validation fits the
            score to all normal training images.
        batch_size: Normal images per update; their augmentations double the batch.
        updates: Number of updates of the run, during which the learning rate falls to 0 along half a cosine.
        seed: See `TrainConfig`; also the seed of the jitter.
        learning_rate: Learning rate of SGD at the first update.
        momentum: Momentum of SGD.
        weight_decay: Weight decay of SGD.
        jitter: Brightness and contrast factors of the training images are uniform in [1 - jitter, 1 + jitter].
        backbone: Name of a timm model.
        in_chans: 1, or 3 to repeat the gray channel.
        num_classes: Number of classes of the pretext task: one for normal images, and one for each augmentation.
        score: Score of the features: "kde", "knn" or "mahalanobis", see `SCORES`.
        bandwidth: Bandwidth of the KDE.
        reference: Normal images whose features the score compares with: "train", those of the training, or "val",
            those of the validation, for test images that come from the validation images' source but not from that of
            the training images. See `validation_scores`.
        stages: Stages of the backbone whose pooled features are scored together, counted as timm does, such as (3, 4)
            for the last two of a ResNet; empty is the backbone's own output.
        average_views: Average the features of an image over flipped and shifted views of it when the trained detector
            scores; the validations during training use the image alone.
        amp: Mixed precision for the network's forward pass in training: bfloat16, or float16 with scaled gradients on
            GPUs that lack it. Validation and scores stay in float32. It is also faster on CPUs with AMX (Intel
            Xeon since Sapphire Rapids), and many times slower on CPUs without bfloat16.
        sync_bn: Several processes normalize their batches together, as one process does; needs CUDA.

    Raises:
        ValueError: A value is out of its range.

    Example:
        >>> PretextConfig(**PRESETS["demo"]).updates
        300
    """

    kind: ClassVar[str] = "pretext"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS
    distributed: ClassVar[bool] = True

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
    reference: str = "train"
    stages: tuple[int, ...] = ()
    average_views: bool = False
    amp: bool = False
    sync_bn: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))  # a list, where read from JSON
        super().__post_init__()
        if self.sync_bn and torch.device(self.device).type != "cuda":
            raise ValueError(f"sync_bn needs a CUDA device, got device {self.device!r}: leave it off")

    def _limits(self) -> Iterator[tuple[str, bool, str]]:
        yield from super()._limits()
        yield "momentum", 0 <= self.momentum < 1, "in [0, 1)"
        yield "weight_decay", 0 <= self.weight_decay < math.inf, "at least 0"
        yield "jitter", 0 <= self.jitter <= 1, "in [0, 1]"
        yield "in_chans", self.in_chans in (1, 3), "1 or 3"
        yield "num_classes", self.num_classes >= 2, "at least 2"
        yield "score", self.score in ("kde", "knn", "mahalanobis"), "kde, knn or mahalanobis"
        yield "reference", self.reference in ("train", "val"), "train or val"
        yield "stages", all(stage >= 0 for stage in self.stages), "numbers from 0 up"
        yield "bandwidth", 0 < self.bandwidth < math.inf, "positive"
