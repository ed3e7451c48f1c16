"""A training result in a file: tensors and plain types only, so that loading runs no code."""

from __future__ import annotations

import dataclasses
import os
import zipfile
from collections.abc import Mapping
from typing import Any

import torch

from anatpaste_aug.detection.training import Progress, TrainConfig, TrainResult
from anatpaste_aug.files import atomic_path

_FORMAT = "anatpaste_aug.detection.checkpoint/1"


def save_checkpoint(path: str | os.PathLike[str], result: TrainResult, extra: Mapping[str, Any] | None = None) -> None:
    """Writes a result as tensors and plain types only; a crash leaves the old file or the new one, never half of one.

    Args:
        path: the file.
        result: what :func:`train` returned.
        extra: more to keep, such as thresholds: numbers, strings, tensors, lists and dicts of them.
    """
    content = {
        "format": _FORMAT,
        "config": dataclasses.asdict(result.config),
        "best_state": result.best_state,
        "last_state": result.last_state,
        "best_update": result.best_update,
        "best_auroc": result.best_auroc,
        "history": [dataclasses.asdict(progress) for progress in result.history],
        "extra": dict(extra or {}),
    }
    with atomic_path(path) as temporary:
        torch.save(content, temporary)


def load_checkpoint(path: str | os.PathLike[str]) -> tuple[TrainResult, dict[str, Any]]:
    """Reads what :func:`save_checkpoint` wrote: the result and the extra values; no code in the file is run.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or something else than such a checkpoint.
    """
    try:
        # torch.load does not compare checksums, and would read damaged weights as if nothing were wrong.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        content = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise ValueError(
            f"{os.fspath(path)} is not a readable checkpoint (damaged, or another kind of file)"
        ) from error
    if damaged:
        raise ValueError(f"{os.fspath(path)} is damaged: {damaged} fails its checksum; train again or restore a copy")
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise ValueError(
            f"{os.fspath(path)} is not a checkpoint of this version: expected {_FORMAT!r}, found {found!r}"
        )
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
