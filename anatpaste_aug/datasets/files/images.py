"""Read image files into 8-bit gray tensors, in parallel."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from anatpaste_aug.datasets.files.decoding import decode_gray, fault_of, need_pillow, reason_of
from anatpaste_aug.datasets.files.dicom import is_dicom, read_dicom_gray
from anatpaste_aug.datasets.files.parallel import attempt_all, failure
from anatpaste_aug.datasets.files.sixteen_bits import check_white
from anatpaste_aug.datasets.records import DatasetError, Record, Unreadable
from anatpaste_aug.files import shown

__all__ = ["load_images", "read_gray"]


def read_gray(
    path: str | os.PathLike[str], size: int | None = None, *, white: int | None = None
) -> npt.NDArray[np.uint8]:
    """Read an image file as 8-bit gray.

    Color is converted like Pillow's "L" (ITU-R 601 luma), and transparent images are shown on black. 16 bits are scaled
    to 8. White is the value that the file specifies (sBIT of PNG, BitsPerSample of TIFF if below 16), else ``white``,
    else 65535. Radiographs with 10, 12 or 14 bits are often stored in 16 without such information, and would be dark:
    `find_white` infers the value for a dataset. The EXIF orientation is applied.

    A truncated file is an error. JPEG and some TIFF files have no checksum: if bytes changed and the file still
    decodes, only the SHA-256 of a split reveals it. DICOM files (by content, or by the suffix ``.dcm``) are read as
    described in `read_dicom_gray`.

    Args:
        path: DICOM, or any format that Pillow reads except for PostScript; the first of several frames is read.
        size: Side of the square that the image is resized to, without keeping the aspect ratio (as in the paper), by
            Pillow's ``BILINEAR`` (antialiased); None keeps the size.
        white: The value that is white in 16-bit files (PNG, TIFF and the like) that do not specify it, 1 to 65535; 4095
            for 12 bits. DICOM files specify it.

    Returns:
        H×W uint8 array, 0 is black and 255 white; size×size if ``size`` is given.

    Raises:
        DatasetError: The file is missing, empty, truncated or not an image, or has more pixels than
            ``PIL.Image.MAX_IMAGE_PIXELS``; the message names the file and the reason.
        ValueError: ``size`` or ``white`` is out of range, or ``PIL.ImageFile.LOAD_TRUNCATED_IMAGES`` is set.
        ImportError: Pillow is not installed, or pydicom for DICOM files.
    """
    if size is not None and size < 1:
        raise ValueError(f"size={size}: expected a side of at least 1 pixel")
    check_white(white)
    path = Path(path)
    need_pillow()
    from PIL import Image

    if fault := fault_of(path):
        raise DatasetError(f"{shown(path)} {fault}")
    try:
        gray = Image.fromarray(read_dicom_gray(path)) if is_dicom(path) else decode_gray(path, white)
    except (MemoryError, ImportError, DatasetError):
        raise
    except Exception as error:  # decoders raise more than OSError for damaged files
        raise DatasetError(f"{shown(path)} {reason_of(error)}") from error
    if size is not None and gray.size != (size, size):
        gray = gray.resize((size, size), Image.Resampling.BILINEAR)
    return np.array(gray, dtype=np.uint8)


def load_images(
    root: str | os.PathLike[str],
    records: Iterable[Record],
    size: int,
    *,
    white: int | None = None,
    workers: int | None = None,
    progress: bool = True,
    out: npt.NDArray[np.uint8] | None = None,
    unreadable: list[Unreadable] | None = None,
) -> torch.Tensor:
    """Read the images of all records into one tensor, in the order of the records.

    All files are tried before an error is raised, so that the error can name all files that fail.

    Args:
        root: Folder that the records' paths are relative to.
        records: The images to read.
        size: Side of the square that each image is resized to, see `read_gray`.
        white: The value of white in 16-bit files that do not specify it, see `read_gray`.
        workers: Number of threads (Pillow releases the GIL); None is one per processor, 16 at most.
        progress: Show a progress bar.
        out: N×1×size×size uint8 array to read into, such as a memory-mapped file; the result shares its memory.
        unreadable: List to which images that cannot be read are appended, in the order of the records; the result has
            only the others. None makes them an error.

    Returns:
        N×1×size×size uint8 tensor on the CPU, 0 is black and 255 white.

    Raises:
        DatasetError: Files are missing or unreadable (with ``unreadable``: all of them); the message gives their
            number, and the first ones with the reason.
        ValueError: ``size``, ``workers`` or ``white`` is out of range, or ``out`` has another shape or dtype.
        ImportError: Pillow is not installed.

    Example:
        >>> load_images(".", [], size=64, progress=False).shape
        torch.Size([0, 1, 64, 64])
    """
    for name, value in (("size", size), ("workers", workers)):
        if value is not None and value < 1:
            raise ValueError(f"{name}={value}: expected at least 1")
    check_white(white)
    need_pillow()
    root = Path(root)
    records = list(records)
    shape = (len(records), 1, size, size)
    pixels = np.empty(shape, np.uint8) if out is None else out
    if pixels.shape != shape or pixels.dtype != np.uint8:
        raise ValueError(f"out is {pixels.dtype} {pixels.shape}: expected uint8 {shape}")

    def read(index: int) -> None:
        pixels[index, 0] = read_gray(root / records[index].path, size, white=white)

    answers = attempt_all(read, range(len(records)), noun="images", progress=progress, workers=workers)
    failures = {i: answer for i, answer in enumerate(answers) if isinstance(answer, DatasetError)}
    if failures and (unreadable is None or len(failures) == len(records)):
        raise failure(list(failures.values()), len(records), "images")
    kept = [i for i in range(len(records)) if i not in failures]
    for place, i in enumerate(kept):
        if place != i:
            pixels[place] = pixels[i]
    if unreadable is not None:
        unreadable += [Unreadable.of(root, records[i].path, error) for i, error in failures.items()]
    return torch.from_numpy(pixels[: len(kept)])
