"""Make DICOM elements valid for pydicom's functions: remove invalid ones, and keep the first valid of several values.

Real files have elements that are empty, have several values instead of one, are not numbers, or have the wrong sign or
an undefined representation, and pydicom uses them unchecked. The functions below say how each element is treated.
"""

import contextlib
import math
import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["normalize", "padding_of"]

_COUNTS = (
    "SamplesPerPixel",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)
_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_BINARY = ("FD", "FL", "OB", "OW", "SL", "SQ", "SS", "UL", "US")  # value representations that are not text
_WORD = 2**16


def normalize(dataset: "Dataset") -> None:
    """Make the elements that determine the displayed values valid, in place.

    Afterwards, window, rescaling and lookup tables are each absent or a single one that pydicom's `apply_modality_lut`,
    `apply_voi` and `apply_windowing` accept.

    Args:
        dataset: As `pydicom.dcmread` returns it.
    """
    _set_transfer_syntax(dataset)
    for name in _COUNTS:
        _set(dataset, name, next((int(v) for v in _numbers(dataset, name) if v is not None), None))
    words = [text.upper() for text in _texts(dataset, "PhotometricInterpretation") if text]
    _set(dataset, "PhotometricInterpretation", words[0] if words else None)
    if (dataset.get("SamplesPerPixel") or 1) > 1 and "PlanarConfiguration" not in dataset:
        _set(dataset, "PlanarConfiguration", 0)
    if "PixelData" not in dataset:  # floating-point pixels have neither, but pydicom's windows need both
        _set(dataset, "BitsStored", dataset.get("BitsAllocated"))
        _set(dataset, "PixelRepresentation", 0)
    low, high = _stored_range(dataset)
    if _set_table(dataset, "ModalityLUTSequence", low, high):
        low, high = 0, _WORD - 1
    low, high = _set_rescale(dataset, low, high)
    _set_table(dataset, "VOILUTSequence", low, high)
    _set_window(dataset)


def padding_of(dataset: "Dataset", stored: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return the mask of stored values that are padding: the padding value, or the range from it to the range limit.

    A value that is declared with another sign than the pixels have is interpreted as the same bits: 63536 is −2000.

    Args:
        dataset: After `normalize`.
        stored: Stored pixels, before rescaling.
    """
    ends = [next(iter(_integers(dataset, f"PixelPadding{name}")), None) for name in ("Value", "RangeLimit")]
    if ends[0] is None:
        return np.zeros(stored.shape, bool)
    value, limit = (ends[0] if end is None else end for end in ends)
    first, last = (_as_stored(end, dataset) for end in (value, limit))
    if (first < last) != (value < limit):  # not a range of stored values
        last = first
    mask: npt.NDArray[np.bool_] = (stored >= min(first, last)) & (stored <= max(first, last))
    return mask


def _set_transfer_syntax(dataset: "Dataset") -> None:
    """Set a missing transfer syntax to the encoding of the elements, unless pixels are compressed."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = FileMetaDataset()
    compressed = "PixelData" in dataset and dataset["PixelData"].is_undefined_length
    if not dataset.file_meta.get("TransferSyntaxUID") and not compressed:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _set_rescale(dataset: "Dataset", low: float, high: float) -> tuple[float, float]:
    """Complete slope (1) or intercept (0) if one is valid (a slope of 0 is not); return the range of the result."""
    slope = next((value for value in _numbers(dataset, "RescaleSlope") if value), None)
    intercept = next((value for value in _numbers(dataset, "RescaleIntercept") if value is not None), None)
    if "ModalityLUTSequence" in dataset or (slope is None and intercept is None):
        slope = intercept = None
    else:
        slope, intercept = slope or 1.0, intercept or 0.0
        low, high = sorted((low * slope + intercept, high * slope + intercept))
    _set(dataset, "RescaleSlope", slope, "FD")
    _set(dataset, "RescaleIntercept", intercept, "FD")
    return low, high


def _set_window(dataset: "Dataset") -> None:
    """Keep the first window with a center and a positive width.

    An empty or unknown function becomes LINEAR. That is not defined for widths below 1, where viewers use
    LINEAR_EXACT.
    """
    functions = [text.upper().replace(" ", "_") for text in _texts(dataset, "VOILUTFunction")]
    center = width = function = None
    # If the lengths differ, values without a counterpart are ignored.
    windows = zip(_numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth"), strict=False)
    for i, (at, wide) in enumerate(windows):
        if at is not None and wide is not None and wide > 0:
            center, width = at, wide
            own = functions[i if i < len(functions) else 0] if functions else ""
            function = own if own in _FUNCTIONS else "LINEAR"
            if function == "LINEAR" and width < 1:
                function = "LINEAR_EXACT"
            break
    _set(dataset, "WindowCenter", center, "FD")
    _set(dataset, "WindowWidth", width, "FD")
    _set(dataset, "VOILUTFunction", function)


def _set_table(dataset: "Dataset", name: str, low: float, high: float) -> bool:
    """Keep the first table whose descriptor fits its data, with 16-bit entries; return whether there is one.

    Args:
        dataset: The DICOM dataset.
        name: Name of the element.
        low: Smallest value that may be looked up.
        high: Largest value that may be looked up.
    """
    from pydicom import Dataset

    tables = (_table(item, dataset, low, high) for item in _values(dataset, name) if isinstance(item, Dataset))
    item = next((table for table in tables if table is not None), None)
    _set(dataset, name, None if item is None else [item], "SQ")
    return item is not None


def _table(item: "Dataset", dataset: "Dataset", low: float, high: float) -> "Dataset | None":
    from pydicom import Dataset

    descriptor = list(_integers(item, "LUTDescriptor"))
    if len(descriptor) < 2:
        return None
    count = descriptor[0] % _WORD or _WORD
    # The first value may be declared with the wrong sign, so that no value would be in the table.
    firsts = (descriptor[1], descriptor[1] - _WORD, descriptor[1] + _WORD)
    first = next((f for f in firsts if f <= high and f + count > low), descriptor[1])
    data = next(iter(_values(item, "LUTData")), None)
    if isinstance(data, bytes):
        words = np.frombuffer(data[: len(data) // 2 * 2], "<u2" if _is_little(dataset) else ">u2")
        # 8-bit entries may be packed, two per word.
        entries = np.frombuffer(data, np.uint8) if len(words) < count <= len(data) else words
    else:
        entries = np.array(list(_integers(item, "LUTData")), np.int64) % _WORD
    if len(entries) < count:
        return None
    table = Dataset()
    # Always 16 bits: pydicom has no type for 10 to 15 bits, and indices overflow with 8.
    table.add_new("LUTDescriptor", "SL", [count % _WORD, first, 16])
    table.add_new("LUTData", "US", entries[:count].tolist())
    return table


def _stored_range(dataset: "Dataset") -> tuple[float, float]:
    bits = dataset.get("BitsStored") or 16
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dataset.get("PixelRepresentation") == 1 else (0, 2**bits - 1)


def _as_stored(value: int, dataset: "Dataset") -> int:
    """Return the number with the same bits and the sign of the pixels."""
    bits = dataset.BitsAllocated
    value %= 2**bits
    return value - 2**bits if dataset.PixelRepresentation == 1 and value >= 2 ** (bits - 1) else value


def _is_little(dataset: "Dataset") -> bool:
    return dataset.original_encoding[1] is not False


def _set(dataset: "Dataset", name: str, value: Any, vr: str | None = None) -> None:
    """Set an element, or remove it if the value is None."""
    from pydicom.datadict import dictionary_VR

    if name in dataset:
        del dataset[name]
    if value is not None:
        dataset.add_new(name, vr or dictionary_VR(name), value)


def _values(dataset: "Dataset", name: str) -> list[Any]:
    """Return the values of an element: items, numbers, text, or bytes if pydicom cannot convert them.

    The list is empty if the element is absent or empty.
    """
    element = dataset.get_item(name)
    value = getattr(element, "value", None)
    if isinstance(value, bytes):
        from pydicom.datadict import dictionary_VR

        vr = dictionary_VR(name) if element.VR in (None, "UN") else element.VR
        if vr.split()[0] in _BINARY:
            with contextlib.suppress(ValueError, TypeError, AttributeError, NotImplementedError, struct.error):
                value = dataset[name].value  # otherwise keep the bytes
        else:
            value = value.decode("latin-1")
    if isinstance(value, str):
        return list(value.split("\\"))
    if value is None or isinstance(value, bytes | int | float):
        return [] if value is None else [value]
    return list(value) if isinstance(value, Iterable) else [value]


def _texts(dataset: "Dataset", name: str) -> list[str]:
    return ["" if isinstance(value, bytes) else str(value).strip(" \0") for value in _values(dataset, name)]


def _numbers(dataset: "Dataset", name: str) -> list[float | None]:
    """Return the values of an element, None for each that is not a finite number; commas are decimal points."""
    numbers: list[float | None] = []
    for text in _texts(dataset, name):
        try:
            number = float(text.replace(",", "."))
        except ValueError:
            number = math.nan
        numbers.append(number if math.isfinite(number) else None)
    return numbers


def _integers(dataset: "Dataset", name: str) -> Iterable[int]:
    """Return the integers of an element; bytes, whose sign pydicom does not know, are 16-bit words."""
    values = _values(dataset, name)
    if len(values) == 1 and isinstance(values[0], bytes):
        order = "<u2" if _is_little(dataset) else ">u2"
        return [int(word) for word in np.frombuffer(values[0][: len(values[0]) // 2 * 2], order)]
    return [int(number) for number in _numbers(dataset, name) if number is not None]
