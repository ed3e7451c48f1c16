"""Image files to 8-bit grey tensors, in parallel; every file is looked at before anything is trained."""

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
    """Read an image file as 8-bit grey.

    Colour becomes grey as Pillow's "L" does it (ITU-R 601 luma). Of an image with transparency, what shows on black.
    16 bits become 8 by scaling. White is what the file tells (sBIT of PNG, BitsPerSample of TIFF if below 16), else
    ``white``, else 65535. Radiographs of 10, 12 or 14 bits are commonly stored in 16 without telling it, which makes
    them dark: `find_white` decides for a whole data set. The EXIF orientation is applied. The file itself is
    never changed.

    A file that is cut off is an error, and never filled up. Beyond that, JPEG and some TIFF hold no checksum: where
    bytes were changed and decoding still works, only a split's SHA-256 tells.
    DICOM, told by its content or the suffix ``.dcm``, is read as `read_dicom_gray` says.

    Args:
        path: DICOM, or any format that Pillow reads, but for PostScript; the first frame of several.
        size: Side of the square that the image is resized to, the aspect ratio not being kept (as in the paper);
            bilinear and antialiased, which is Pillow's ``BILINEAR``. None leaves the size as it is.
        white: The value, 1 to 65535, from which on pixels of 16-bit PNG, TIFF and the like are white, where the file
            does not tell it; of 12 bits 4095. DICOM tells it.

    Returns:
        H×W uint8 array, 0 black to 255 white; size×size where ``size`` is given.

    Raises:
        DatasetError: The file is missing, empty, truncated, no image, or has more pixels than
            ``PIL.Image.MAX_IMAGE_PIXELS``; the message names it and says why.
        ValueError: ``size`` below 1, ``white`` outside 1 to 65535, or ``PIL.ImageFile.LOAD_TRUNCATED_IMAGES`` is set.
        ImportError: Without Pillow, or without pydicom for DICOM.
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
    except Exception as error:  # what decoders raise on a damaged file is not limited to OSError
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
    """Read all images of the records into one tensor, in the records' order.

    Every file is tried before the answer, so that a training never starts on half a dataset, nor fails again for
    each file that is mended.

    Args:
        root: The folder that the records' paths are relative to.
        records: What to read.
        size: Side of the square that each image is resized to, see `read_gray`.
        white: Of 16-bit files that don't tell it, see `read_gray`.
        workers: Threads (Pillow decodes outside of Python's lock); by default one per processor, 16 at most.
        progress: Show a progress bar.
        out: N×1×size×size uint8 array to read into, such as a memory-mapped file; the result shares its memory.
        unreadable: A list that takes the images which cannot be read, in the records' order; the result then holds the
            others, in that order too. None makes them an error.

    Returns:
        N×1×size×size uint8 tensor on the CPU, 0 black to 255 white.

    Raises:
        DatasetError: Files are missing or unreadable; says how many, and names the first ones with the reason. With
            ``unreadable``, only if that is true of all of them.
        ValueError: ``size`` or ``workers`` below 1, ``white`` outside 1 to 65535, or an ``out`` of another shape or
            type.
        ImportError: Without Pillow.

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
