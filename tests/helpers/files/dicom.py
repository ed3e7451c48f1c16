"""DICOM datasets and files with given pixels, valid or not, and the gray levels that pydicom gives valid ones."""

import struct

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from anatpaste_aug.datasets import read_dicom_gray

TWELVE = np.random.default_rng(0).integers(0, 4096, (24, 40), dtype=np.uint16)
"""Pixels of 12 bits."""


def dataset_of(pixels, bits=None, **elements):
    """A valid dataset, as a device would write it.

    ``pixels`` are H×W, H×W×3 or frames N×H×W, ``bits`` those stored (8, or 12 for deeper pixels). ``elements`` are
    added, and replace what follows from the pixels.
    """
    dataset = Dataset()
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=["anatpaste"])
    color = pixels.ndim == 3 and pixels.shape[-1] == 3
    dataset.Rows, dataset.Columns = pixels.shape[-3:-1] if color else pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = (3, "RGB") if color else (1, "MONOCHROME2")
    dataset.BitsAllocated = 8 * pixels.itemsize
    dataset.BitsStored = bits or min(8 * pixels.itemsize, 12)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
    dataset.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(dataset, name, value)
    return dataset


def save(file, dataset, syntax=ExplicitVRLittleEndian):
    """Write a dataset to a path or a buffer, and return that."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(file, enforce_file_format=True)
    return file


def write(path, pixels, texts=None, raw=None, **elements):
    """Write a file with invalid elements.

    ``texts`` are written as decimal strings, without a check; ``raw`` maps names to (value representation, bytes).
    """
    save(path, dataset_of(pixels, **elements))
    more = {name: ("DS", text.encode()) for name, text in (texts or {}).items()} | (raw or {})
    content, group = path.read_bytes(), b""
    for tag, (vr, value) in sorted((pydicom.tag.Tag(name), entry) for name, entry in more.items()):
        value += b" " * (len(value) % 2)
        length = struct.pack("<2xI" if vr == "UN" else "<H", len(value))
        group += struct.pack("<HH", tag.group, tag.element) + vr.encode() + length + value
    place = content.index(struct.pack("<HH", 0x7FE0, 0x0010))
    path.write_bytes(content[:place] + group + content[place:])
    return path


def levels(pixels, **elements):
    """The result of pydicom's functions on a valid dataset, from 0 to 255, not rounded."""
    dataset = dataset_of(pixels, **elements)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    values = apply_modality_lut(dataset.pixel_array, dataset)
    if "VOILUTSequence" in dataset:
        curve = np.array(dataset.VOILUTSequence[0].LUTData)
        values, black, white = apply_voi(values.astype(int), dataset), curve.min(), curve.max()
    elif "WindowCenter" in dataset:
        # Ends at which the three functions are black and white.
        black, white = apply_windowing(np.array([-1e15, 1e15]), dataset)
        values = apply_windowing(values, dataset)
    else:
        black, white = np.percentile(values, (0.5, 99.5))
    return np.clip((values - black) / (white - black), 0, 1) * 255


def assert_levels(path, expected):
    """Tolerance: half a gray level, the rounding to 8 bits."""
    gray = read_dicom_gray(path)
    np.testing.assert_allclose(gray[-len(expected) :], expected, rtol=0, atol=0.5001)
