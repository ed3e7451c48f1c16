"""The progress of a training run, and its result: best and last weights, in memory and in a file."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, Generic, Literal, TypeVar

from torch import Tensor, nn

from anatpaste_aug.detection.training.checkpoints import read_content, write_content
from anatpaste_aug.detection.training.config import TrainConfig

State = dict[str, Tensor]
"""The `state_dict` of a network."""

Config = TypeVar("Config", bound=TrainConfig)
"""The settings of one kind of detector."""

Weights = Literal["best", "last"]
"""Which weights of a run: those that the validation images chose, or those at its end."""

_FORMAT = "anatpaste_aug.detection.checkpoint/1"
_FIRST_KIND = "pretext"  # of files that do not name it: there was no other


@dataclasses.dataclass(frozen=True)
class Progress:
    """The progress of a run; passed to the callback every few updates, and kept in the history at each validation.

    Attributes:
        update: Number of updates done.
        updates: Number of updates of the run.
        loss: Mean loss since the last validation.
        learning_rate: Learning rate of the last update.
        val_auroc: The most recent validation AUROC; None before the first validation, or without abnormal images.
        best_auroc: Validation AUROC of the best weights so far; None likewise.
        seconds: Elapsed time, including that before an interruption.
        eta: Estimated seconds left.
        validated: Whether a validation followed this update.
        val_loss: The most recent loss of the pretext task on the normal validation images; None if the best weights
            are chosen by the AUROC.
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
    val_loss: float | None = None


@dataclasses.dataclass(eq=False)
class TrainResult(Generic[Config]):
    """Result of a run: CPU copies of the best weights (the earliest such), see `TrainConfig.select`, and of the last.

    Choosing the best weights by AUROC uses the labeled anomalies of the validation set; the last weights do not depend
    on them. `best_auroc` is the validation AUROC of the best weights, None without abnormal validation images.
    """

    config: Config
    best_state: State
    last_state: State
    best_update: int
    best_auroc: float | None
    history: list[Progress]

    def state(self, weights: Weights = "best") -> State:
        """Return the `state_dict` of these weights.

        Raises:
            ValueError: `weights` is neither `"best"` nor `"last"`.
        """
        if weights not in ("best", "last"):
            raise ValueError(f"weights must be 'best' or 'last', got {weights!r}")
        return self.best_state if weights == "best" else self.last_state


def save_result(path: str | os.PathLike[str], result: TrainResult, extra: Mapping[str, Any] | None = None) -> None:
    """Write a result as tensors and plain types only; a crash leaves the old file or the new one, never half of one.

    Args:
        path: The file.
        result: Result of a training run.
        extra: Further values to keep, such as thresholds: numbers, strings, tensors, lists and dicts of them.

    Raises:
        OSError: The file could not be written; the old one is unchanged.
    """
    content = {
        "kind": result.config.kind,
        "config": dataclasses.asdict(result.config),
        "best_state": result.best_state,
        "last_state": result.last_state,
        "best_update": result.best_update,
        "best_auroc": result.best_auroc,
        "history": [dataclasses.asdict(progress) for progress in result.history],
        "extra": dict(extra or {}),
    }
    write_content(path, _FORMAT, content)


def load_result(
    path: str | os.PathLike[str], *config_types: type[TrainConfig]
) -> tuple[TrainResult[Any], dict[str, Any]]:
    """Read what `save_result` wrote: the result and the extra values; no code in the file is run.

    Args:
        path: The file.
        config_types: The settings of the detectors that may be in it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, no training result, or of another detector.
    """
    content = read_content(path, _FORMAT, "train again or restore a copy")
    kind = content.get("kind", _FIRST_KIND)
    types = {each.kind: each for each in config_types}
    if kind not in types:
        raise ValueError(f"{os.fspath(path)} holds a detector of the kind {kind!r}, expected {' or '.join(types)}")
    try:
        result = TrainResult(
            config=types[kind](**content["config"]),
            best_state=content["best_state"],
            last_state=content["last_state"],
            best_update=content["best_update"],
            best_auroc=content["best_auroc"],
            history=[Progress(**progress) for progress in content["history"]],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{os.fspath(path)} lacks or adds a part of a checkpoint: {error}") from error
    return result, content["extra"]


def load_weights(net: nn.Module, state: State) -> None:
    """Load weights into a network.

    Raises:
        KeyError: The weights are those of another network.
    """
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        raise KeyError("the weights are those of another network") from error
