"""Tensors and plain types in a file that is whole or not there, and that runs no code when it is read."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from anatpaste_aug.files import atomic_path


def write_content(path: str | os.PathLike[str], kind: str, content: Mapping[str, Any]) -> None:
    """Writes a dict of tensors and plain types; a crash leaves the old file or the new one, never half of one.

    Args:
        path: the file.
        kind: name and version of the format, which `read_content` asks for.
        content: numbers, strings, tensors, lists and dicts of them.

    Raises:
        OSError: it could not be written, for want of space perhaps; the old file is as it was.
    """
    # Serialised in memory first: torch's own writer hides why a disk refuses, and can end the process over it.
    buffer = io.BytesIO()
    torch.save({"format": kind, **content}, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read_content(path: str | os.PathLike[str], kind: str, remedy: str) -> dict[str, Any]:
    """Reads what `write_content` wrote, all of it or nothing; no code in the file is run.

    Args:
        path: the file.
        kind: the format it must have.
        remedy: what to do about a damaged file, for the error message.

    Raises:
        OSError: the file is missing or cannot be read.
        ValueError: it is damaged, or something else than a file of this format.
    """
    name = os.fspath(path)
    try:
        # torch.load does not compare checksums, and would read damaged weights as if nothing were wrong.
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            # torch writes its records unpacked and side by side, but would read any zip archive: a bomb, too.
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


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Removes the temporary files of processes that were killed while they wrote ``path``."""
    target = Path(path)
    for leftover in target.parent.iterdir():
        if leftover.name.startswith(f".{target.name}.") and leftover.suffix == ".tmp":
            leftover.unlink(missing_ok=True)
