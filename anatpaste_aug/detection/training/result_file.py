"""A training result in a file: tensors and plain types only, so that loading runs no code."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from anatpaste_aug.detection.training.config import TrainConfig
from anatpaste_aug.detection.training.result import Progress, TrainResult
from anatpaste_aug.detection.training.storage import read_content, write_content

_FORMAT = "anatpaste_aug.detection.checkpoint/1"


def save_checkpoint(path: str | os.PathLike[str], result: TrainResult, extra: Mapping[str, Any] | None = None) -> None:
    """Writes a result as tensors and plain types only; a crash leaves the old file or the new one, never half of one.

    Args:
        path: the file.
        result: what :func:`train` returned.
        extra: more to keep, such as thresholds: numbers, strings, tensors, lists and dicts of them.

    Raises:
        OSError: it could not be written; the old file is as it was.
    """
    content = {
        "config": dataclasses.asdict(result.config),
        "best_state": result.best_state,
        "last_state": result.last_state,
        "best_update": result.best_update,
        "best_auroc": result.best_auroc,
        "history": [dataclasses.asdict(progress) for progress in result.history],
        "extra": dict(extra or {}),
    }
    write_content(path, _FORMAT, content)


def load_checkpoint(path: str | os.PathLike[str]) -> tuple[TrainResult, dict[str, Any]]:
    """Reads what :func:`save_checkpoint` wrote: the result and the extra values; no code in the file is run.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or something else than such a checkpoint.
    """
    content = read_content(path, _FORMAT, "train again or restore a copy")
    try:
        result = TrainResult(
            config=TrainConfig(**content["config"]),
            best_state=content["best_state"],
            last_state=content["last_state"],
            best_update=content["best_update"],
            best_auroc=content["best_auroc"],
            history=[Progress(**progress) for progress in content["history"]],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{os.fspath(path)} lacks or adds a part of a checkpoint: {error}") from error
    return result, content["extra"]
