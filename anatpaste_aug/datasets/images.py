"""Image files to 8-bit grey tensors, in parallel; every file is looked at before anything is trained."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from anatpaste_aug.datasets.dicom import is_dicom, read_dicom_gray
from anatpaste_aug.datasets.parallel import on_all
from anatpaste_aug.datasets.records import DatasetError, Record

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["load_images", "read_gray"]


def read_gray(path: str | os.PathLike[str], size: int | None = None) -> npt.NDArray[np.uint8]:
    """Read an image file as 8-bit grey.

    Colour becomes grey as Pillow's "L" does it (ITU-R 601 luma). Of an image with transparency, what shows on black.
    16 bits become 8 by scaling: 65535 is white, or 4095 where no pixel is brighter, since 12-bit radiographs are
    commonly stored so. The EXIF orientation is applied. The file itself is never changed.
    DICOM, told by its content or the suffix ``.dcm``, is read as :func:`read_dicom_gray` says.

    Args:
        path: DICOM, or any format that Pillow reads, but for PostScript; the first frame of several.
        size: side of the square that the image is resized to, the aspect ratio not being kept (as in the paper);
            bilinear and antialiased, which is Pillow's ``BILINEAR``. None leaves the size as it is.

    Returns:
        H×W uint8 array, 0 black to 255 white; size×size where ``size`` is given.

    Raises:
        DatasetError: the file is missing, empty, truncated or no image; the message names it and says why.
        ValueError: ``size`` below 1.
        ImportError: without Pillow, or without pydicom for DICOM.
    """
    if size is not None and size < 1:
        raise ValueError(f"size={size}: expected a side of at least 1 pixel")
    path = Path(path)
    _need_pillow()
    from PIL import Image, ImageOps

    try:
        if is_dicom(path):
            gray = Image.fromarray(read_dicom_gray(path))
        else:
            with Image.open(path) as image:
                if image.format == "EPS":  # Pillow would have Ghostscript run it
                    raise ValueError("PostScript, which is a program and is not run; save it as PNG")
                gray = _to_gray(ImageOps.exif_transpose(image))
    except (MemoryError, ImportError, DatasetError):
        raise
    except Exception as error:  # what decoders raise on a damaged file is not limited to OSError
        raise DatasetError(f"{path} {_reason(path, error)}") from error
    if size is not None and gray.size != (size, size):
        gray = gray.resize((size, size), Image.Resampling.BILINEAR)
    return np.array(gray, dtype=np.uint8)


def load_images(
    root: str | os.PathLike[str],
    records: Iterable[Record],
    size: int,
    *,
    workers: int | None = None,
    progress: bool = True,
    out: npt.NDArray[np.uint8] | None = None,
) -> torch.Tensor:
    """Read all images of the records into one tensor, in the records' order.

    Every file is tried before the answer, so that a training never starts on half a dataset, nor fails again for
    each file that is mended.

    Args:
        root: the folder that the records' paths are relative to.
        records: what to read.
        size: side of the square that each image is resized to, see :func:`read_gray`.
        workers: threads (Pillow decodes outside of Python's lock); by default one per processor, 16 at most.
        progress: show a progress bar.
        out: N×1×size×size uint8 array to read into, such as a memory-mapped file; the result shares its memory.

    Returns:
        N×1×size×size uint8 tensor on the CPU, 0 black to 255 white.

    Raises:
        DatasetError: files are missing or unreadable; says how many, and names the first ones with the reason.
        ValueError: ``size`` or ``workers`` below 1, or an ``out`` of another shape or type.
        ImportError: without Pillow, or without tqdm where ``progress`` is asked for.

    >>> load_images(".", [], size=64, progress=False).shape
    torch.Size([0, 1, 64, 64])
    """
    for name, value in (("size", size), ("workers", workers)):
        if value is not None and value < 1:
            raise ValueError(f"{name}={value}: expected at least 1")
    _need_pillow()
    root = Path(root)
    records = list(records)
    shape = (len(records), 1, size, size)
    pixels = np.empty(shape, np.uint8) if out is None else out
    if pixels.shape != shape or pixels.dtype != np.uint8:
        raise ValueError(f"out is {pixels.dtype} {pixels.shape}: expected uint8 {shape}")

    def read(index: int) -> None:
        pixels[index, 0] = read_gray(root / records[index].path, size)

    on_all(read, range(len(records)), noun="images", progress=progress, workers=workers)
    return torch.from_numpy(pixels)


def _to_gray(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(f"values {values.min()} to {values.max()}, expected at most 16 bits without sign")
        white = 4095 if values.max() <= 4095 else 65535
        return Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is unknown: save it with 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    elif image.mode not in ("1", "L", "P", "RGB"):
        image = image.convert("RGB")
    return image if image.mode == "L" else image.convert("L")


def _reason(path: Path, error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if not path.exists():
        return "does not exist"
    if path.is_dir():
        return "is a folder, not an image"
    if path.stat().st_size == 0:
        return "is empty (0 bytes)"
    if isinstance(error, UnidentifiedImageError):
        return "is not an image, or is damaged at its beginning"
    if isinstance(error, PermissionError):
        return "may not be read (permission denied)"
    return f"is damaged or of a kind that cannot be read: {error}"


def _need_pillow() -> None:
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise ImportError('reading image files needs Pillow: pip install "anatpaste_aug[datasets]"') from error
