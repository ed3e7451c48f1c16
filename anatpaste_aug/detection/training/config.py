"""The settings of the training loop, which every detector extends by its own, and the shape of learning rates."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, get_args

Select = Literal["auroc", "pretext", "last"]
"""What chooses the best weights: the validation AUROC, the pretext loss of normal validation images, or nothing."""


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Settings of a training run that are the same for every detector.

    Each detector has a subclass with settings of its own and with defaults for these; see `PretextConfig`,
    `GanomalyConfig`, `FAnoGanConfig` and `SquidConfig`.

    Args:
        image_size: Side of the square images in pixels, at least 32.
        batch_size: Normal images per update.
        updates: Number of updates of the run.
        updates_per_epoch: Updates between two validations; one also follows the last update.
        learning_rate: Learning rate of the first update.
        seed: Seed of the weights, of the order of the images, and of torch's global generator during the run.
        device: Device of the networks, and of the images during the training. Under torchrun, `"cuda"` is the GPU of
            the process.
        select: How the best weights are chosen. `"auroc"`, as in the paper, takes those with the highest AUROC on the
            validation images, some of which must be abnormal. `"pretext"` takes those with the lowest loss of the
            pretext task on the normal validation images, and `"last"` those at the end: neither needs labels. None is
            `"auroc"` if there are abnormal validation images, else `"last"`.
        false_positive_rate: Fraction of the normal validation images that may be called abnormal, which gives the
            threshold. None takes the threshold with the best F1 if there are abnormal ones, else 0.05.

    Attributes:
        kind: Name of the detector that these settings are for, as files store it.
        presets: Name on the command line -> settings of this kind.
        distributed: Whether several processes can share a training.

    Raises:
        ValueError: A value is out of its range.
    """

    kind: ClassVar[str] = ""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    distributed: ClassVar[bool] = False

    image_size: int
    batch_size: int
    updates: int
    updates_per_epoch: int
    learning_rate: float
    seed: int = 0
    device: str = "cpu"
    select: Select | None = None
    false_positive_rate: float | None = None

    def __post_init__(self) -> None:
        for name, fits, wanted in self._limits():
            if not fits:
                raise ValueError(f"{name} must be {wanted}, got {getattr(self, name)}")

    def _limits(self) -> Iterator[tuple[str, bool, str]]:
        """Yield the name of each setting, whether its value is in range, and the range in words."""
        yield "image_size", self.image_size >= 32, "at least 32"
        yield "batch_size", self.batch_size >= 1, "at least 1"
        yield "updates", self.updates >= 1, "at least 1"
        yield "updates_per_epoch", self.updates_per_epoch >= 1, "at least 1"
        yield "learning_rate", 0 < self.learning_rate < math.inf, "positive"
        yield "seed", self.seed >= 0, "at least 0"
        yield "select", self.select in (None, *get_args(Select)), f"None or one of {', '.join(get_args(Select))}"
        yield "false_positive_rate", 0 < (self.false_positive_rate or 0.5) < 1, "between 0 and 1"

    def selects_last(self, labeled: bool) -> bool:
        """Return whether the best weights are the last ones; `labeled` says whether a validation image is abnormal."""
        return self.select == "last" or (self.select is None and not labeled)


def half_cosine(update: int, updates: int, base: float, lowest: float = 0.0) -> float:
    """Return the learning rate of an update: `base` at update 0, then half a cosine down to `lowest` at `updates`.

    Example:
        >>> half_cosine(0, 100, 0.03), half_cosine(50, 100, 0.03), half_cosine(100, 100, 0.03)
        (0.03, 0.015, 0.0)
    """
    return lowest + 0.5 * (base - lowest) * (1 + math.cos(math.pi * update / updates))
