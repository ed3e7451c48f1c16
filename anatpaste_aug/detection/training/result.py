"""Where a training run stands, and what it comes to."""

from __future__ import annotations

import dataclasses
from typing import Literal

import torch
from torch import Tensor

from anatpaste_aug.detection.models.pretext_net import PretextNet
from anatpaste_aug.detection.training.config import TrainConfig

State = dict[str, Tensor]


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a run stands; handed to the callback every few updates, and kept in the history at each validation.

    ``loss`` is the mean since the last validation, ``learning_rate`` that of the last update, ``val_auroc`` the most
    recent one (None before the first) and ``best_auroc`` the highest so far. ``seconds`` have passed, those before an
    interruption included, and about ``eta`` seconds are left. ``validated`` is true where this update was followed by a
    validation.
    """

    update: int
    updates: int
    loss: float
    learning_rate: float
    val_auroc: float | None
    best_auroc: float | None
    seconds: float
    eta: float
    validated: bool


@dataclasses.dataclass(eq=False)
class TrainResult:
    """Outcome of a run: CPU copies of the weights with the best validation AUROC (the earliest such), and of the last.

    Choosing the best weights uses the labelled anomalies of the validation set; the last weights do not depend on them.
    """

    config: TrainConfig
    best_state: State
    last_state: State
    best_update: int
    best_auroc: float
    history: list[Progress]

    def model(self, weights: Literal["best", "last"] = "best", device: str | None = None) -> PretextNet:
        """The network with these weights, in evaluation mode, on ``device`` (else on the config's)."""
        if weights not in ("best", "last"):
            raise ValueError(f"weights must be 'best' or 'last', got {weights!r}")
        net = build_net(self.config)
        net.load_state_dict(self.best_state if weights == "best" else self.last_state)
        return net.to(device or self.config.device).eval()


def build_net(config: TrainConfig) -> PretextNet:
    """The untrained network of a run on the CPU, in the memory layout of the run's device."""
    net = PretextNet(config.backbone, config.in_chans, num_classes=config.num_classes, image_size=config.image_size)
    layout = torch.channels_last if torch.device(config.device).type == "cpu" else torch.contiguous_format
    return net.to(memory_format=layout)
