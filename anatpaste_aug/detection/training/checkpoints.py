"""Checkpoint files: tensors and plain types only, written whole or not at all, and read without running code."""

from __future__ import annotations

import dataclasses
import io
import os
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anatpaste_aug.detection.training.fingerprint import differences
from anatpaste_aug.files import atomic_path

_RUN_FORMAT = "anatpaste_aug.detection.run/1"


def write_content(path: str | os.PathLike[str], kind: str, content: Mapping[str, Any]) -> None:
    """Write a dict of tensors and plain types; a crash leaves the old file or the new one, never half of one.

    Args:
        path: The file.
        kind: Name and version of the format, which `read_content` compares.
        content: Numbers, strings, tensors, lists and dicts of them.

    Raises:
        OSError: The file could not be written, for example because the disk is full; the old file is unchanged.
    """
    # Serialized in memory first: torch's own writer hides why a disk refuses, and can end the process over it.
    buffer = io.BytesIO()
    torch.save({"format": kind, **content}, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read_content(path: str | os.PathLike[str], kind: str, remedy: str) -> dict[str, Any]:
    """Read what `write_content` wrote, all of it or nothing; no code in the file is run.

    Args:
        path: The file.
        kind: The format that it must have.
        remedy: What to do about a damaged file, for the error message.

    Raises:
        OSError: The file is missing or cannot be read.
        ValueError: The file is damaged, or not of this format.
    """
    name = os.fspath(path)
    try:
        # torch.load does not compare checksums, and would return damaged weights without an error.
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            # torch stores its records uncompressed and side by side, but would read any zip archive, bombs included.
            if any(m.compress_type for m in members) or sum(m.file_size for m in members) > os.path.getsize(path):
                raise zipfile.BadZipFile("packed")
            damaged = archive.testzip()
        content = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise ValueError(f"{name} is not a readable checkpoint (damaged, or another kind of file): {remedy}") from error
    if damaged:
        raise ValueError(f"{name} is damaged, {damaged} fails its checksum: {remedy}")
    if not isinstance(content, dict) or content.get("format") != kind:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{name} is not a checkpoint of this version: expected {kind!r}, found {found!r}")
    return content


@dataclasses.dataclass(frozen=True)
class RunCheckpoint:
    """The checkpoint of a run in progress, which only this run can resume from.

    Args:
        path: The file.
        fingerprint: Fingerprint of the run, see `fingerprint`.
        environment: Versions and hardware, from the same module.
    """

    path: Path
    fingerprint: dict[str, Any]
    environment: dict[str, str]

    def read(self, *, resume: bool) -> dict[str, Any] | None:
        """Return the state to resume from; None at the start of a run.

        Raises:
            FileExistsError: There is a checkpoint, but `resume` is false.
            OSError: The folder is missing, or the file cannot be read.
            ValueError: The file is damaged, or of another run; the message lists what differs.
        """
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"the folder of checkpoint {self.path} is missing: create it first")
        if resume:
            _remove_leftovers(self.path)
        if not self.path.exists():
            return None
        if not resume:
            raise FileExistsError(f"{self.path} holds an interrupted run: continue it (resume), or name another file")
        content = read_content(self.path, _RUN_FORMAT, "restore a copy, or delete it to start the run again")
        if missing := {"fingerprint", "environment", "state"} - content.keys():
            raise ValueError(f"{self.path} lacks parts of a run: {', '.join(sorted(missing))}")
        if differing := differences(content["fingerprint"], self.fingerprint):
            raise ValueError(
                f"{self.path} is of another run ({differing}): resume with its settings and data, "
                "or start a new run in another folder"
            )
        if differing := differences(content["environment"], self.environment):
            warnings.warn(
                f"{self.path} was written elsewhere ({differing}): the run resumes, but its result may differ from "
                "that of an uninterrupted run in the last bits",
                stacklevel=3,
            )
        state: dict[str, Any] = content["state"]
        return state

    def write(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint; if that fails, an OSError says why and the old one is unchanged."""
        content = {"fingerprint": self.fingerprint, "environment": self.environment, "state": state}
        write_content(self.path, _RUN_FORMAT, content)


def random_state(device: torch.device, generator: torch.Generator) -> dict[str, Tensor]:
    """Return the states of all random generators of a run: torch's global ones and the run's own."""
    # The key "draws" is part of the file format.
    state = {"cpu": torch.get_rng_state(), "draws": generator.get_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def restore_random_state(state: dict[str, Tensor], device: torch.device, generator: torch.Generator) -> None:
    """Restore what `random_state` returned."""
    torch.set_rng_state(state["cpu"])
    generator.set_state(state["draws"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)


def _remove_leftovers(target: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote the checkpoint."""
    for leftover in target.parent.iterdir():
        if leftover.name.startswith(f".{target.name}.") and leftover.suffix == ".tmp":
            leftover.unlink(missing_ok=True)
