"""DICOM radiographs to 8-bit grey, as a viewer shows them: decompressed, rescaled, windowed, bones bright."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from anatpaste_aug.datasets.files.decoding import check_pixels, is_cut_off, reason_of
from anatpaste_aug.datasets.files.dicom_elements import normalize, padding_of
from anatpaste_aug.datasets.files.sixteen_bits import luma
from anatpaste_aug.datasets.records import DatasetError
from anatpaste_aug.files import shown

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["is_dicom", "read_dicom_gray"]

_PERCENTILES = (0.5, 99.5)  # without a window: neither hot pixels nor a lead marker should set the scale


def is_dicom(path: str | os.PathLike[str]) -> bool:
    """Whether a file says that it is DICOM: ``DICM`` at byte 128, or the suffix ``.dcm`` or ``.dicom``."""
    try:
        if not os.path.isfile(path):  # a pipe would be waited for
            return False
        with open(path, "rb") as file:
            head = file.read(132)
    except OSError:
        return False
    return head[128:] == b"DICM" or (bool(head) and Path(path).suffix.lower() in (".dcm", ".dicom"))


def read_dicom_gray(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """Read a DICOM image as 8-bit grey.

    The steps are those of the DICOM standard (PS3.3, C.11), each computed by pydicom: modality LUT or rescale slope
    and intercept, then the first VOI LUT or window, whose ends become black and white. Without either, 8 bits stay as
    they are, and more bits are stretched from the 0.5th to the 99.5th percentile, padding pixels not counted.
    MONOCHROME1 is inverted, so that bones are bright. Colour (RGB, YBR, palette) becomes grey as Pillow's "L".

    Elements that are empty or make no sense count as absent, and of several values the first usable one is taken: a
    window whose width is 0, negative or not a number is no window. Decimal commas are read as points.

    Args:
        path: A DICOM file. Uncompressed, deflated, RLE, JPEG baseline and JPEG 2000 need pydicom and Pillow alone;
            JPEG Lossless and JPEG-LS need a decoder for pydicom, such as ``pip install python-gdcm``. Of several
            frames the first is read.

    Returns:
        H×W uint8 array, 0 black to 255 white.

    Raises:
        DatasetError: The file cannot be read, is not DICOM, holds no image, is damaged, or is compressed in a way for
            which no decoder is installed; the message names it and says why.
        ImportError: Without pydicom.
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
        raise DatasetError(f"{shown(path)} holds no image: it is DICOM without pixel data ({kind}); leave it out")
    try:
        unit = _unit(dataset)
    except (MemoryError, ImportError):
        raise
    except Exception as error:
        raise DatasetError(f"{shown(path)} {_reason(dataset, error)}") from error
    gray: npt.NDArray[np.uint8] = np.rint(unit * 255).astype(np.uint8)
    return gray


def _unit(dataset: "Dataset") -> npt.NDArray[Any]:
    """H×W in [0, 1] of the first frame."""
    from pydicom.encaps import get_frame
    from pydicom.pixels import apply_color_lut, pixel_array

    normalize(dataset)
    check_pixels(dataset.get("Columns") or 0, dataset.get("Rows") or 0)
    if not (syntax := dataset.file_meta.get("TransferSyntaxUID")):
        raise ValueError("its pixels are compressed, and no transfer syntax says how")
    stored = pixel_array(dataset, index=0)
    if "JPEG" in syntax.name:
        frames = int(dataset.get("NumberOfFrames") or 1)
        if is_cut_off(get_frame(dataset.PixelData, 0, number_of_frames=frames)):
            raise ValueError("it is cut off, no end of the image follows")
    if stored.ndim == 3:
        return luma(stored, 2**dataset.BitsStored - 1) / 255
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        colour = apply_color_lut(stored, dataset)[..., :3]
        # Palettes that announce 16 bits may hold entries of 8.
        return luma(colour, 255 if colour.max() < 256 else 65535) / 255
    values = _modality(stored, dataset)
    shown, black, white = _window(values, dataset)
    if black == white:
        black, white = _limits(shown, stored, dataset)
    # What is no number, as floating-point pixels may be, is black.
    unit = np.nan_to_num(np.clip((shown - black) / ((white - black) or 1), 0, 1))
    return 1 - unit if dataset.PhotometricInterpretation == "MONOCHROME1" else unit


def _modality(stored: npt.NDArray[Any], dataset: "Dataset") -> npt.NDArray[Any]:
    """The values after the modality LUT or rescaling."""
    from pydicom.pixels import apply_modality_lut

    if table := dataset.get("ModalityLUTSequence"):
        stored = _indices(stored, table[0])
    return apply_modality_lut(stored, dataset)


def _window(values: npt.NDArray[Any], dataset: "Dataset") -> tuple[npt.NDArray[Any], float, float]:
    """The values after the VOI LUT or window, and what it shows as black and white; (0, 0) where there is neither."""
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
    """Values to be looked up, as integers within a table: pydicom computes in their type, where others may overflow."""
    count, first, _ = table.LUTDescriptor
    limited = np.clip(np.nan_to_num(values), first, first + (count or 2**16) - 1)
    indices: npt.NDArray[np.int64] = np.rint(limited).astype(np.int64)
    return indices


def _limits(values: npt.NDArray[Any], stored: npt.NDArray[Any], dataset: "Dataset") -> tuple[float, float]:
    """Black and white of an image without a window."""
    from pydicom.pixels import pixel_array

    if dataset.BitsStored == 8 and stored.min() >= 0 and "ModalityLUTSequence" not in dataset:
        low, high = sorted(_modality(np.array([0, 255]), dataset).tolist())
        return low, high
    counted = ~padding_of(dataset, stored) & np.isfinite(values)
    if dataset.BitsStored < dataset.BitsAllocated and "PixelPaddingValue" in dataset:
        # Padding may have bits above the stored ones, which pydicom sets to 0.
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
    told = f"cannot be read ({name}): {_line(error)}"
    if "all available plugins" in str(error):
        told += "; if the file is intact, another decoder reads it: pip install python-gdcm"
    return told


def _line(error: Exception) -> str:
    """What an error of pydicom says of the file; not what it says of the objects of a library."""
    text = " ".join(str(error).split())  # pydicom's are of several lines
    if isinstance(error, AttributeError | TypeError | LookupError) and not text.startswith("Missing required element"):
        return "elements that describe the pixels are missing or contradict each other"
    return text
