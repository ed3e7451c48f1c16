"""The file that an interrupted training run goes on from."""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anatpaste_aug.detection.training.config import TrainConfig
from anatpaste_aug.detection.training.storage import read_content, remove_leftovers, write_content

_FORMAT = "anatpaste_aug.detection.run/1"


def fingerprint(config: TrainConfig, processes: int, **data: Tensor | None) -> dict[str, Any]:
    """What decides about the outcome of a run, but for the augmentation: settings, processes, and the data's digests.

    Example:
        >>> found = fingerprint(TrainConfig(seed=5), 1, train_images=torch.zeros(2, dtype=torch.uint8), lung_masks=None)
        >>> found["seed"], len(found["train_images"]), found["lung_masks"]
        (5, 12, None)
    """
    return {**dataclasses.asdict(config), "processes": processes, **{name: _digest(x) for name, x in data.items()}}


def differences(there: dict[str, Any], here: dict[str, Any]) -> str:
    """The entries that differ, in words; empty if none does."""
    names = [name for name in {**here, **there} if there.get(name) != here.get(name)]
    return "; ".join(f"{name} is {there.get(name)} there and {here.get(name)} here" for name in names)


@dataclasses.dataclass(frozen=True)
class RunFile:
    """A checkpoint of a run in progress, for this run alone.

    Args:
        path: the file.
        fingerprint: of the run, from :func:`fingerprint`.
        environment: versions and hardware, from :func:`environment`.
    """

    path: Path
    fingerprint: dict[str, Any]
    environment: dict[str, str]

    def read(self, *, resume: bool) -> dict[str, Any] | None:
        """The state to go on from; None at the start of a run.

        Raises:
            FileExistsError: there is a checkpoint, but ``resume`` is false.
            OSError: the folder is missing, or the file cannot be read.
            ValueError: the file is damaged, or of another run; the message says what differs.
        """
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"the folder of checkpoint {self.path} is missing: create it first")
        if resume:
            remove_leftovers(self.path)
        if not self.path.exists():
            return None
        if not resume:
            raise FileExistsError(f"{self.path} holds an interrupted run: go on with it (resume), or name another file")
        content = read_content(self.path, _FORMAT, "restore a copy, or delete it to start the run again")
        if missing := {"fingerprint", "environment", "state"} - content.keys():
            raise ValueError(f"{self.path} lacks parts of a run: {', '.join(sorted(missing))}")
        if differing := differences(content["fingerprint"], self.fingerprint):
            raise ValueError(
                f"{self.path} is of another run ({differing}): resume with its settings and data, "
                "or start a run of its own in another folder"
            )
        if differing := differences(content["environment"], self.environment):
            warnings.warn(
                f"{self.path} was written elsewhere ({differing}): the run goes on, but may not end bit for bit as it "
                "would have there",
                stacklevel=3,
            )
        state: dict[str, Any] = content["state"]
        return state

    def write(self, state: dict[str, Any]) -> None:
        """Replaces the checkpoint; if that fails, an OSError says why and the old one stays."""
        content = {"fingerprint": self.fingerprint, "environment": self.environment, "state": state}
        write_content(self.path, _FORMAT, content)


def random_state(device: torch.device, draws: torch.Generator) -> dict[str, Tensor]:
    """Everything that the random numbers of a run come from: torch's global generators and the run's own."""
    state = {"cpu": torch.get_rng_state(), "draws": draws.get_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def restore_random_state(state: dict[str, Tensor], device: torch.device, draws: torch.Generator) -> None:
    """Puts back what :func:`random_state` found."""
    torch.set_rng_state(state["cpu"])
    draws.set_state(state["draws"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)


def _digest(data: Tensor | None) -> str | None:
    if data is None:
        return None
    content = data.detach().cpu().contiguous()
    found = hashlib.sha256(f"{content.dtype} {tuple(content.shape)}".encode())
    found.update(content.flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()[:12]
