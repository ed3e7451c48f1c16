"""The settings that all detectors share that reconstruct an image."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from anatpaste_aug.detection.training.config import TrainConfig


@dataclasses.dataclass(frozen=True)
class ReconstructionConfig(TrainConfig):
    """Settings of a detector that reconstructs an image; see its subclasses.

    Args:
        reduction: The networks see images that are smaller by this factor, each pixel the mean of a square. Networks
            that were published for small images are then usable, and fast, on larger ones.

    Raises:
        ValueError: A value is out of its range.
    """

    reduction: int = 1

    @property
    def network_size(self) -> int:
        """Side of the images that the networks see."""
        return self.image_size // self.reduction

    def _limits(self) -> Iterator[tuple[str, bool, str]]:
        yield from super()._limits()
        # The networks halve their input down to 4×4 pixels.
        size = self.image_size
        yield "image_size", size & (size - 1) == 0, "a power of two from 32 up"
        divides = self.reduction >= 1 and size % self.reduction == 0 and size // self.reduction >= 32
        yield "reduction", divides, f"a power of two that leaves at least 32 of {size} pixels"
