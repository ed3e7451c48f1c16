"""Decoded images in a memory-mapped file, so that later runs need neither decode them nor hold them in memory."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from anatpaste_aug.datasets.images import load_images
from anatpaste_aug.datasets.records import Record
from anatpaste_aug.files import atomic_path

__all__ = ["cached_images"]

_DECODER = 2  # counts up when `read_gray` gives other pixels: what was cached before is then decoded again
_DIGEST = 32  # bytes of SHA-256


def cached_images(
    cache: str | os.PathLike[str],
    name: str,
    root: str | os.PathLike[str],
    records: Iterable[Record],
    size: int,
    *,
    progress: bool = True,
) -> torch.Tensor:
    """As :func:`~anatpaste_aug.datasets.load_images`, but decodes only what has changed since the last time: all or
    nothing.

    There is one file per name and size, ``NAME-SIZE.npy``. It ends with a digest of the records' paths, sizes and
    times of modification; if that is not the one expected, the file is made again. It replaces the old one only when it
    is whole. A killed run may leave a hidden ``.tmp`` file, which is never read and may be deleted.

    Args:
        cache: folder for the file; made where it is missing.
        name: of the dataset, as a part of a file name.
        root: the folder that the records' paths are relative to.
        records: what to read.
        size: side of the square that each image is resized to.
        progress: show a progress bar while images are decoded.

    Returns:
        N×1×size×size uint8 tensor, mapped from the file: read as it is used, and shared between processes. Writing to
        it changes this tensor alone, never the file.

    Raises:
        As :func:`~anatpaste_aug.datasets.load_images`.
    """
    root, records = Path(root), list(records)
    if not records or size < 1:
        return load_images(root, records, size, progress=progress)
    file = Path(cache) / f"{name}-{size}.npy"
    shape = (len(records), 1, size, size)
    digest = _digest(root, records, size)
    if (images := _open(file, shape, digest)) is not None:
        return images
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(file) as temporary:
        pixels = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        load_images(root, records, size, progress=progress, out=pixels)
        pixels.flush()
        del pixels  # unmapped, which Windows wants before the file is renamed
        with temporary.open("ab") as tail:
            tail.write(digest)
    images = _open(file, shape, digest)
    # Another process may just have put images of its own there.
    return load_images(root, records, size, progress=progress) if images is None else images


def _digest(root: Path, records: list[Record], size: int) -> bytes:
    """Of everything that decides about the pixels, but for their content."""
    entries: list[object] = [_DECODER, size]
    for record in records:
        try:
            status = (root / record.path).stat()
        except OSError:  # loading will say so
            entries.append(record.path)
        else:
            entries.append((record.path, status.st_size, status.st_mtime_ns))
    return hashlib.sha256(json.dumps(entries).encode()).digest()


def _open(file: Path, shape: tuple[int, ...], digest: bytes) -> torch.Tensor | None:
    """The images in the file, or None if it is missing, damaged or of other images."""
    try:
        with file.open("rb") as opened:  # one open file for both looks: it cannot be replaced in between
            opened.seek(-_DIGEST, os.SEEK_END)
            if opened.read() != digest:
                return None
            opened.seek(0)
            if np.lib.format.read_magic(opened) != (1, 0):
                return None
            found, fortran, dtype = np.lib.format.read_array_header_1_0(opened)
            if found != shape or fortran or dtype != np.uint8:
                return None
            offset = opened.tell()
            if os.fstat(opened.fileno()).st_size != offset + int(np.prod(shape)) + _DIGEST:
                return None
            return torch.from_numpy(np.memmap(opened, np.uint8, "c", offset, shape))
    except (OSError, ValueError):
        return None
