"""The settings of f-AnoGAN, and its presets."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from anatpaste_aug.detection.models.reconstruction.config import ReconstructionConfig

_PRESETS: dict[str, dict[str, Any]] = {
    # Seven epochs of the authors' 270,410 images at five batches of 64 per update, then their 50,000 updates.
    "paper": {"gan_updates": 5915, "updates": 55915, "updates_per_epoch": 500},
    # Narrow: at full width, an update of the generator takes a minute on a CPU. So few updates of the encoder need a
    # higher learning rate.
    "cpu": {
        "reduction": 2,
        "batch_size": 16,
        "width": 16,
        "gan_updates": 250,
        "updates": 1250,
        "updates_per_epoch": 100,
        "encoder_learning_rate": 5e-4,
    },
    # About as much work as that of `PretextConfig`: see docs/detectors.md.
    "fast": {
        "batch_size": 16,
        "width": 8,
        "gan_updates": 150,
        "updates": 750,
        "updates_per_epoch": 100,
        "encoder_learning_rate": 5e-4,
    },
    "demo": {
        "reduction": 2,
        "batch_size": 16,
        "width": 8,
        "gan_updates": 100,
        "updates": 600,
        "updates_per_epoch": 50,
        "encoder_learning_rate": 5e-4,
    },
    "smoke": {"reduction": 2, "batch_size": 8, "width": 8, "gan_updates": 5, "updates": 10, "updates_per_epoch": 5},
}


@dataclasses.dataclass(frozen=True)
class FAnoGanConfig(ReconstructionConfig):
    """Settings of `FAnoGanDetector`; the defaults are those of the authors' code.

    Args:
        image_size: Side of the square images, a power of two from 32 up. Where the networks see more than 64 pixels a
            side, the published size, they have more blocks.
        batch_size, updates_per_epoch, seed, device, select, false_positive_rate: See `TrainConfig`.
        reduction: See `ReconstructionConfig`.
        updates: Number of updates of the run: `gan_updates` of the generator, then those of the encoder. Validations
            begin with the encoder.
        learning_rate: Learning rate of Adam, constant, for generator and critic.
        gan_updates: Number of updates of the generator.
        critic_steps: Updates of the critic before each update of the generator, each with a batch of its own.
        penalty: Weight of the gradient penalty in the critic's loss.
        encoder_learning_rate: Learning rate of RMSProp, constant, for the encoder.
        feature_weight: Weight of the squared difference of the critic's features, in the encoder's loss and the score.
        width: Channels of the largest feature maps; the smallest have eight times as many.
        latent: Number of normal random numbers that an image is generated from.

    Raises:
        ValueError: A value is out of its range.
    """

    kind: ClassVar[str] = "f-anogan"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = _PRESETS

    image_size: int = 256
    batch_size: int = 64
    updates: int = 55915
    updates_per_epoch: int = 500
    learning_rate: float = 1e-4
    gan_updates: int = 5915
    critic_steps: int = 5
    penalty: float = 10.0
    encoder_learning_rate: float = 5e-5
    feature_weight: float = 1.0
    width: int = 64
    latent: int = 128

    def _limits(self) -> Iterator[tuple[str, bool, str]]:
        yield from super()._limits()
        yield "gan_updates", 1 <= self.gan_updates < self.updates, f"from 1 to below updates, {self.updates}"
        yield "critic_steps", self.critic_steps >= 1, "at least 1"
        yield "penalty", 0 <= self.penalty < math.inf, "at least 0"
        yield "encoder_learning_rate", 0 < self.encoder_learning_rate < math.inf, "positive"
        yield "feature_weight", 0 <= self.feature_weight < math.inf, "at least 0"
        yield "width", self.width >= 1, "at least 1"
        yield "latent", self.latent >= 1, "at least 1"
