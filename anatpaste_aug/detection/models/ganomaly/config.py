"""The settings of GANomaly, and its presets."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from anatpaste_aug.detection.models.reconstruction.config import ReconstructionConfig

_PRESETS = {
    # 15 epochs of the 45,000 images of nine CIFAR-10 classes, one of the authors' experiments.
    "paper": {"updates": 10545, "updates_per_epoch": 703},
    "cpu": {"reduction": 2, "updates": 600, "updates_per_epoch": 50},
    # About as much work as that of `PretextConfig`: see docs/detectors.md.
    "fast": {"batch_size": 32, "updates": 240, "updates_per_epoch": 40},
    "demo": {"reduction": 2, "batch_size": 16, "updates": 300, "updates_per_epoch": 50},
    "smoke": {"reduction": 2, "batch_size": 16, "updates": 10, "updates_per_epoch": 5},
}


@dataclasses.dataclass(frozen=True)
class GanomalyConfig(ReconstructionConfig):
    """Settings of `GanomalyDetector`; the defaults are those of the authors' code.

    Args:
        image_size: Side of the square images, a power of two from 32 up: the networks halve it down to 4 pixels.
        batch_size, updates, updates_per_epoch, seed, device, select, false_positive_rate: See `TrainConfig`.
        reduction: See `ReconstructionConfig`.
        learning_rate: Learning rate of Adam, constant, for generator and discriminator.
        width: Channels of the first convolution; each further one has twice as many.
        latent: Length of the code of an image.
        feature_weight: Weight of the squared difference of the discriminator's features in the generator's loss.
        image_weight: Weight of the absolute difference of image and reconstruction.
        code_weight: Weight of the squared difference of the two codes.

    Raises:
        ValueError: A value is out of its range.
    """

    kind: ClassVar[str] = "ganomaly"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = _PRESETS

    image_size: int = 256
    batch_size: int = 64
    updates: int = 10545
    updates_per_epoch: int = 703
    learning_rate: float = 2e-4
    width: int = 64
    latent: int = 100
    feature_weight: float = 1.0
    image_weight: float = 50.0
    code_weight: float = 1.0

    def _limits(self) -> Iterator[tuple[str, bool, str]]:
        yield from super()._limits()
        yield "width", self.width >= 1, "at least 1"
        yield "latent", self.latent >= 1, "at least 1"
        for name in ("feature_weight", "image_weight", "code_weight"):
            yield name, 0 <= getattr(self, name) < float("inf"), "at least 0"
