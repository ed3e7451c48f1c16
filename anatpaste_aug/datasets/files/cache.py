"""Decoded images in a memory-mapped file, so that later runs need neither decode them nor hold them in memory."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from anatpaste_aug.datasets.files.images import load_images, read_gray
from anatpaste_aug.datasets.records import DatasetError, Record, Unreadable
from anatpaste_aug.files import atomic_path, take_space

__all__ = ["cached_images"]

_DECODER = 3  # counts up when `read_gray` gives other pixels: what was cached before is then decoded again
_TAIL = 8 + 32  # bytes: length of the list of unreadable images, SHA-256


def cached_images(
    cache: str | os.PathLike[str],
    name: str,
    root: str | os.PathLike[str],
    records: Iterable[Record],
    size: int,
    *,
    white: int | None = None,
    progress: bool = True,
    unreadable: list[Unreadable] | None = None,
) -> torch.Tensor:
    """As `load_images`, but decodes only what has changed since the last time: all or
    nothing.

    There is one file per name and size, ``NAME-SIZE.npy``. It ends with a digest of the records' paths, sizes and
    times of modification, and of ``white``; if that is not the one expected, the file is made again. It replaces the
    old one only when it is whole. A killed run may leave a hidden ``.tmp`` file, which is never read and may be
    deleted. Before the digest stands what could not be read; that is tried again each time.

    Args:
        cache: Folder for the file; made where it is missing.
        name: Of the dataset, as a part of a file name.
        root: The folder that the records' paths are relative to.
        records: What to read.
        size: Side of the square that each image is resized to.
        white: As `load_images` takes it.
        progress: Show a progress bar while images are decoded.
        unreadable: As `load_images` takes it.

    Returns:
        N×1×size×size uint8 tensor, mapped from the file: read as it is used, and shared between processes. Writing to
        it changes this tensor alone, never the file.

    Raises:
        As `load_images`.
        OSError: The file cannot be written, which is found before the first image is decoded.
    """
    root, records = Path(root), list(records)
    if not records or size < 1:
        return load_images(root, records, size, white=white, progress=progress)
    file = Path(cache) / f"{name}-{size}.npy"
    digest = _digest(root, records, size, white)
    if (images := _known(file, root, len(records), size, digest, unreadable)) is not None:
        return images
    file.parent.mkdir(parents=True, exist_ok=True)
    left_out: list[Unreadable] | None = None if unreadable is None else []
    with atomic_path(file) as temporary, temporary.open("w+b") as opened:
        offset = _write_header(opened, len(records), size)
        # A full disk is an error here; in a map, it would be the end of the process.
        take_space(opened, offset + len(records) * size**2)
        pixels = np.memmap(opened, np.uint8, "r+", offset, (len(records), 1, size, size))
        count = len(load_images(root, records, size, out=pixels, unreadable=left_out, white=white, progress=progress))
        pixels.flush()
        del pixels  # unmapped, which Windows wants before the file is cut or renamed
        opened.seek(0)
        _write_header(opened, count, size)
        opened.truncate(offset + count * size**2)
        opened.seek(0, os.SEEK_END)
        notes = json.dumps([[bad.path, bad.reason] for bad in left_out or ()]).encode()
        opened.write(notes + len(notes).to_bytes(8, "big") + digest)
    if (images := _known(file, root, len(records), size, digest, unreadable)) is not None:
        return images
    # Another process may just have put images of its own there.
    return load_images(root, records, size, white=white, progress=progress, unreadable=unreadable)


def _write_header(file: BinaryIO, count: int, size: int) -> int:
    """The header of a NumPy file, which has the same length whatever the count is; where the pixels begin."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, 1, size, size)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


def _digest(root: Path, records: list[Record], size: int, white: int | None) -> bytes:
    """Of everything that decides about the pixels, but for their content."""
    entries: list[object] = [_DECODER, size, white]
    for record in records:
        try:
            status = (root / record.path).stat()
        except OSError:  # loading will say so
            entries.append(record.path)
        else:
            entries.append((record.path, status.st_size, status.st_mtime_ns))
    return hashlib.sha256(json.dumps(entries).encode()).digest()


def _known(
    file: Path, root: Path, count: int, size: int, digest: bytes, unreadable: list[Unreadable] | None
) -> torch.Tensor | None:
    """The images in the file, and what could not be read; None if it does not answer the question."""
    if (found := _open(file, count, size, digest)) is None:
        return None
    images, left_out = found
    if left_out and (unreadable is None or any(_is_mended(root, bad, size) for bad in left_out)):
        return None
    if unreadable is not None:
        unreadable += left_out
    return images


def _is_mended(root: Path, bad: Unreadable, size: int) -> bool:
    """Whether it can be read now: with a decoder installed or other permissions, the file itself stays as it is."""
    try:
        read_gray(root / bad.path, size)
    except DatasetError:
        return False
    return True


def _open(file: Path, count: int, size: int, digest: bytes) -> tuple[torch.Tensor, list[Unreadable]] | None:
    """The images in the file and the others, or None if it is missing, damaged or of other images."""
    try:
        with file.open("rb") as opened:  # one open file for all looks: it cannot be replaced in between
            end = os.fstat(opened.fileno()).st_size - _TAIL
            opened.seek(end)
            tail = opened.read()
            if tail[8:] != digest:
                return None
            length = int.from_bytes(tail[:8], "big")
            opened.seek(end - length)
            notes: list[Any] = json.loads(opened.read(length))
            left_out = [Unreadable(path, reason) for path, reason in notes]
            shape = (count - len(left_out), 1, size, size)
            opened.seek(0)
            if np.lib.format.read_magic(opened) != (1, 0):
                return None
            found, fortran, dtype = np.lib.format.read_array_header_1_0(opened)
            if found != shape or fortran or dtype != np.uint8:
                return None
            offset = opened.tell()
            if end - length != offset + int(np.prod(shape)):
                return None
            return torch.from_numpy(np.memmap(opened, np.uint8, "c", offset, shape)), left_out
    except (OSError, ValueError, TypeError):
        return None
