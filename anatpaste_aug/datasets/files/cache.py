"""Keep decoded images in a memory-mapped file, so that later runs neither decode them nor hold them in memory."""

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

_DECODER = 3  # increment when `read_gray` changes its results, to invalidate earlier caches
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
    """Read images as `load_images` does, or map them from the cache if no file has changed since they were decoded.

    There is one file per name and size, ``NAME-SIZE.npy``, an ordinary NumPy file followed by the images that could not
    be read and a digest of all paths, file sizes, modification times and ``white``. If the digest differs, all images
    are decoded again; images that could not be read are tried again on each call. The file is replaced atomically. A
    killed process may leave a hidden ``.tmp`` file, which is never read and can be deleted.

    Args:
        cache: Folder for the file; created if missing.
        name: Name of the dataset, used in the file name.
        root: Folder that the records' paths are relative to.
        records: The images to read.
        size: Side of the square that each image is resized to.
        white: See `load_images`.
        progress: Show a progress bar while images are decoded.
        unreadable: See `load_images`.

    Returns:
        N×1×size×size uint8 tensor, mapped from the file. Pages are read when they are used, and shared by processes.
        Writing to the tensor does not change the file.

    Raises:
        DatasetError, ValueError, ImportError: See `load_images`.
        OSError: The file cannot be written; raised before the first image is decoded.
    """
    root, records = Path(root), list(records)
    if not records or size < 1:
        return load_images(root, records, size, white=white, progress=progress)
    file = Path(cache) / f"{name}-{size}.npy"
    digest = _digest(root, records, size, white)
    if (images := _load_cached(file, root, len(records), size, digest, unreadable)) is not None:
        return images
    file.parent.mkdir(parents=True, exist_ok=True)
    left_out: list[Unreadable] | None = None if unreadable is None else []
    with atomic_path(file) as temporary, temporary.open("w+b") as opened:
        offset = _write_header(opened, len(records), size)
        # On a full disk, this raises an error; writing to the mapped file would kill the process (SIGBUS).
        take_space(opened, offset + len(records) * size**2)
        pixels = np.memmap(opened, np.uint8, "r+", offset, (len(records), 1, size, size))
        count = len(load_images(root, records, size, out=pixels, unreadable=left_out, white=white, progress=progress))
        pixels.flush()
        del pixels  # Windows can truncate or rename the file only once it is unmapped
        opened.seek(0)
        _write_header(opened, count, size)
        opened.truncate(offset + count * size**2)
        opened.seek(0, os.SEEK_END)
        notes = json.dumps([[bad.path, bad.reason] for bad in left_out or ()]).encode()
        opened.write(notes + len(notes).to_bytes(8, "big") + digest)
    if (images := _load_cached(file, root, len(records), size, digest, unreadable)) is not None:
        return images
    # Another process has replaced the file in the meantime.
    return load_images(root, records, size, white=white, progress=progress, unreadable=unreadable)


def _write_header(file: BinaryIO, count: int, size: int) -> int:
    """Write the header of a NumPy file, whose length does not depend on the count; return where the pixels begin."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, 1, size, size)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


def _digest(root: Path, records: list[Record], size: int, white: int | None) -> bytes:
    """Hash everything that the pixels depend on, except for the content of the files."""
    entries: list[object] = [_DECODER, size, white]
    for record in records:
        try:
            status = (root / record.path).stat()
        except OSError:  # loading the image reports the reason
            entries.append(record.path)
        else:
            entries.append((record.path, status.st_size, status.st_mtime_ns))
    return hashlib.sha256(json.dumps(entries).encode()).digest()


def _load_cached(
    file: Path, root: Path, count: int, size: int, digest: bytes, unreadable: list[Unreadable] | None
) -> torch.Tensor | None:
    """Return the images of a cache file, and report those that could not be read; None if it is of other images."""
    if (found := _map_file(file, count, size, digest)) is None:
        return None
    images, left_out = found
    if left_out and (unreadable is None or any(_is_readable(root, bad, size) for bad in left_out)):
        return None
    if unreadable is not None:
        unreadable += left_out
    return images


def _is_readable(root: Path, bad: Unreadable, size: int) -> bool:
    """Return whether an image can be read now, for example because a decoder was installed."""
    try:
        read_gray(root / bad.path, size)
    except DatasetError:
        return False
    return True


def _map_file(file: Path, count: int, size: int, digest: bytes) -> tuple[torch.Tensor, list[Unreadable]] | None:
    """Map the images of a cache file; None if it is missing, damaged or of other images."""
    try:
        with file.open("rb") as opened:  # a single open file, because another process may replace it
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
