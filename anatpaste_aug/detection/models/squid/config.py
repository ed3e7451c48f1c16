"""The settings of SQUID, and its presets."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from anatpaste_aug.detection.models.reconstruction.config import ReconstructionConfig

_PRESETS: dict[str, dict[str, Any]] = {
    # 200 epochs of about 1,250 images, 32 an update, at the published size.
    "paper": {"reduction": 2, "updates": 7800, "updates_per_epoch": 39},
    "cpu": {"reduction": 2, "updates": 400, "updates_per_epoch": 40},
    # About as much work as that of `PretextConfig`: see docs/detectors.md.
    "fast": {"width": 16, "updates": 300, "updates_per_epoch": 50},
    "demo": {"batch_size": 8, "width": 8, "slots": 50, "updates": 200, "updates_per_epoch": 40},
    "smoke": {"batch_size": 8, "width": 4, "slots": 20, "updates": 10, "updates_per_epoch": 5},
}


@dataclasses.dataclass(frozen=True)
class SquidConfig(ReconstructionConfig):
    """Settings of `SquidDetector`; the defaults are those of the authors' code for Zhanglab.

    Args:
        image_size: side of the square images, a power of two from 32 up. The published size is 128; the networks have
            one block less or more for each halving or doubling.
        batch_size: images per step of the discriminator; an update has two of these.
        updates: steps of the generator.
        updates_per_epoch, seed, device, select, false_positive_rate: see `TrainConfig`.
        reduction: see `ReconstructionConfig`.
        learning_rate: of Adam. That of the generator falls along a cosine, to a third in the end; that of the
            discriminator is constant.
        weight_decay: of the generator.
        jitter: images are shifted by up to this share of their side and scaled by up to this factor more or less.
        width: channels of the first feature maps; a multiple of 2.
        slots: codes that each memory holds.
        kept: of these, how many an image's code is replaced by at most.
        memory_share: share of the places where the training uses what a memory gives, instead of the feature itself.
        image_weight: of the squared difference of image and reconstruction, in the generator's loss.
        teacher_weight: of the same for the decoder without memories.
        distillation_weight: of the squared differences between the two decoders' features.
        adversarial_weight: of the discriminator's cross entropy, in both losses.

    Raises:
        ValueError: a value is out of its range.
    """

    kind: ClassVar[str] = "squid"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = _PRESETS

    image_size: int = 128
    batch_size: int = 16
    updates: int = 7800
    updates_per_epoch: int = 39
    learning_rate: float = 1e-4
    weight_decay: float = 1e-5
    jitter: float = 0.05
    width: int = 32
    slots: int = 200
    kept: int = 4
    memory_share: float = 0.95
    image_weight: float = 10.0
    teacher_weight: float = 0.01
    distillation_weight: float = 0.001
    adversarial_weight: float = 0.005

    def _limits(self) -> Iterator[tuple[str, bool, str]]:
        yield from super()._limits()
        yield "weight_decay", 0 <= self.weight_decay < math.inf, "at least 0"
        yield "jitter", 0 <= self.jitter < 1, "from 0 to below 1"
        yield "width", self.width >= 2 and self.width % 2 == 0, "a multiple of 2"
        yield "kept", self.kept >= 1, "at least 1"
        yield "slots", self.slots > self.kept, f"more than kept, {self.kept}"
        yield "memory_share", 0 <= self.memory_share <= 1, "in [0, 1]"
        for name in ("image_weight", "teacher_weight", "distillation_weight", "adversarial_weight"):
            yield name, 0 <= getattr(self, name) < math.inf, "at least 0"
