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
        image_size: Side of the square images, a power of two from 32 up. The published size is 128; the networks have
            one block less or more for each halving or doubling.
        batch_size: Images per step of the discriminator, of which an update has two.
        updates: Number of steps of the generator.
        updates_per_epoch, seed, device, select, false_positive_rate: See `TrainConfig`.
        reduction: See `ReconstructionConfig`.
        learning_rate: Learning rate of Adam. For the generator it falls to a third along a cosine; for the
            discriminator it is constant.
        weight_decay: Weight decay of the generator.
        jitter: Images are shifted by up to this fraction of their side, and scaled by a factor within 1 ± jitter.
        width: Channels of the first feature maps; a multiple of 2.
        slots: Number of codes in each memory.
        kept: Number of these codes that replace a code of an image.
        memory_share: Fraction of the places where training uses the output of a memory instead of the feature itself.
        image_weight: Weight of the squared difference of image and reconstruction in the generator's loss.
        teacher_weight: Weight of the same for the decoder without memories.
        distillation_weight: Weight of the squared differences between the two decoders' features.
        adversarial_weight: Weight of the discriminator's cross entropy in both losses.

    Raises:
        ValueError: A value is out of its range.
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
