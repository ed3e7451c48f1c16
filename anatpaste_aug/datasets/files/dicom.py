"""Read DICOM radiographs as 8-bit gray as a viewer shows them: decompressed, rescaled, windowed, with bright bones."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from anatpaste_aug.datasets.files.decoding import check_pixels, is_truncated, reason_of
from anatpaste_aug.datasets.files.dicom_elements import normalize, padding_of
from anatpaste_aug.datasets.files.sixteen_bits import luma
from anatpaste_aug.datasets.records import DatasetError
from anatpaste_aug.files import shown

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["is_dicom", "read_dicom_gray"]

_PERCENTILES = (0.5, 99.5)  # of images without a window; hot pixels and lead markers do not affect the scale


def is_dicom(path: str | os.PathLike[str]) -> bool:
    """Return whether a file claims to be DICOM: ``DICM`` at byte 128, or the suffix ``.dcm`` or ``.dicom``."""
    try:
        if not os.path.isfile(path):  # reading a pipe might block
            return False
        with open(path, "rb") as file:
            head = file.read(132)
    except OSError:
        return False
    return head[128:] == b"DICM" or (bool(head) and Path(path).suffix.lower() in (".dcm", ".dicom"))


def read_dicom_gray(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """Read a DICOM image as 8-bit gray.

    The steps are those of the DICOM standard (PS3.3, C.11), each computed by pydicom: modality LUT or rescale slope and
    intercept, then the first VOI LUT or window, whose ends become black and white. Without either, 8-bit values are
    kept, and deeper ones are scaled from the 0.5th to the 99.5th percentile, padding excluded. MONOCHROME1 is inverted,
    so that bones are bright. Color (RGB, YBR, palette) is converted to gray like Pillow's "L".

    Elements that are empty or invalid are ignored, and the first valid one of several values is used: a window with a
    width that is 0, negative or not a number is ignored. Decimal commas are read as points.

    Args:
        path: A DICOM file. Uncompressed, deflated, RLE, JPEG baseline and JPEG 2000 need only pydicom and Pillow; JPEG
            Lossless and JPEG-LS need a decoder for pydicom, such as ``pip install python-gdcm``. The first of several
            frames is read.

    Returns:
        H×W uint8 array, 0 is black and 255 white.

    Raises:
        DatasetError: The file cannot be read, is not DICOM, contains no image, is damaged, or no decoder for its
            compression is installed; the message names the file and the reason.
        ImportError: pydicom is not installed.
    """
    try:
        import pydicom
    except ImportError as error:
        raise ImportError('reading DICOM needs pydicom: pip install "anatpaste_aug[datasets]"') from error
    try:
        dataset = pydicom.dcmread(path)
    except pydicom.errors.InvalidDicomError as error:
        raise DatasetError(
            f"{shown(path)} is not DICOM: no DICM at byte 128; restore the file, or rename it"
        ) from error
    except Exception as error:  # what a parser raises on a damaged file is not limited to OSError
        raise DatasetError(f"{shown(path)} cannot be read as DICOM: {_line(error)}") from error
    if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        kind = getattr(dataset.get("SOPClassUID"), "name", "of an unknown kind")
        raise DatasetError(f"{shown(path)} contains no image: it is DICOM without pixel data ({kind}); leave it out")
    try:
        unit = _unit(dataset)
    except (MemoryError, ImportError):
        raise
    except Exception as error:
        raise DatasetError(f"{shown(path)} {_reason(dataset, error)}") from error
    gray: npt.NDArray[np.uint8] = np.rint(unit * 255).astype(np.uint8)
    return gray


def _unit(dataset: "Dataset") -> npt.NDArray[Any]:
    """Return the first frame, H×W in [0, 1]."""
    from pydicom.encaps import get_frame
    from pydicom.pixels import apply_color_lut, pixel_array

    normalize(dataset)
    check_pixels(dataset.get("Columns") or 0, dataset.get("Rows") or 0)
    if not (syntax := dataset.file_meta.get("TransferSyntaxUID")):
        raise ValueError("its pixels are compressed, but it has no transfer syntax")
    stored = pixel_array(dataset, index=0)
    if "JPEG" in syntax.name:
        frames = int(dataset.get("NumberOfFrames") or 1)
        if is_truncated(get_frame(dataset.PixelData, 0, number_of_frames=frames)):
            raise ValueError("it is truncated: the end of the image is missing")
    if stored.ndim == 3:
        return luma(stored, 2**dataset.BitsStored - 1) / 255
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        color = apply_color_lut(stored, dataset)[..., :3]
        # Palettes that declare 16 bits may have 8-bit entries.
        return luma(color, 255 if color.max() < 256 else 65535) / 255
    values = _modality(stored, dataset)
    shown, black, white = _window(values, dataset)
    if black == white:
        black, white = _limits(shown, stored, dataset)
    # Floating-point pixels may be NaN, which become black.
    unit = np.nan_to_num(np.clip((shown - black) / ((white - black) or 1), 0, 1))
    return 1 - unit if dataset.PhotometricInterpretation == "MONOCHROME1" else unit


def _modality(stored: npt.NDArray[Any], dataset: "Dataset") -> npt.NDArray[Any]:
    """Apply the modality LUT or rescaling."""
    from pydicom.pixels import apply_modality_lut

    if table := dataset.get("ModalityLUTSequence"):
        stored = _indices(stored, table[0])
    return apply_modality_lut(stored, dataset)


def _window(values: npt.NDArray[Any], dataset: "Dataset") -> tuple[npt.NDArray[Any], float, float]:
    """Apply the VOI LUT or window; also return its values of black and white, (0, 0) if there is neither."""
    from pydicom.pixels import apply_voi, apply_windowing

    if table := dataset.get("VOILUTSequence"):
        entries = table[0].LUTData
        return apply_voi(_indices(values, table[0]), dataset), min(entries), max(entries)
    if "WindowCenter" not in dataset:
        return values, 0, 0
    with np.errstate(over="ignore"):
        black, white = apply_windowing(np.array([-np.inf, np.inf]), dataset).tolist()
        return apply_windowing(values, dataset), black, white


def _indices(values: npt.NDArray[Any], table: "Dataset") -> npt.NDArray[np.int64]:
    """Round and limit values to the indices of a table; pydicom would compute them in a type that may overflow."""
    count, first, _ = table.LUTDescriptor
    limited = np.clip(np.nan_to_num(values), first, first + (count or 2**16) - 1)
    indices: npt.NDArray[np.int64] = np.rint(limited).astype(np.int64)
    return indices


def _limits(values: npt.NDArray[Any], stored: npt.NDArray[Any], dataset: "Dataset") -> tuple[float, float]:
    """Return black and white of an image without a window."""
    from pydicom.pixels import pixel_array

    if dataset.BitsStored == 8 and stored.min() >= 0 and "ModalityLUTSequence" not in dataset:
        low, high = sorted(_modality(np.array([0, 255]), dataset).tolist())
        return low, high
    counted = ~padding_of(dataset, stored) & np.isfinite(values)
    if dataset.BitsStored < dataset.BitsAllocated and "PixelPaddingValue" in dataset:
        # Padding values may use bits above the stored ones, which pydicom sets to 0.
        counted &= ~padding_of(dataset, pixel_array(dataset, index=0, correct_unused_bits=False))
    low, high = np.percentile(values[counted] if counted.any() else np.nan_to_num(values), _PERCENTILES)
    return float(low), float(high)


def _reason(dataset: "Dataset", error: Exception) -> str:
    from PIL.Image import DecompressionBombError

    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if isinstance(error, RuntimeError | NotImplementedError) and "missing dependencies" in str(error):
        return f"is compressed as {syntax.name}, for which pydicom has no decoder here: pip install python-gdcm"
    if isinstance(error, DecompressionBombError):
        return reason_of(error)
    name = getattr(syntax, "name", "no transfer syntax")
    reason = f"cannot be read ({name}): {_line(error)}"
    if "all available plugins" in str(error):
        reason += "; if the file is intact, another decoder reads it: pip install python-gdcm"
    return reason


def _line(error: Exception) -> str:
    """Return pydicom's error message about a file, or a general one in place of those about Python objects."""
    text = " ".join(str(error).split())  # pydicom's are of several lines
    if isinstance(error, AttributeError | TypeError | LookupError) and not text.startswith("Missing required element"):
        return "elements that describe the pixels are missing or contradict each other"
    return text
