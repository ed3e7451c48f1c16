"""Malformed DICOM files, and pydicom's test files: read as pydicom reads valid ones, or reported in one line."""

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from helpers.files.dicom import dataset_of, save
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from anatpaste_aug.datasets import DatasetError, read_gray

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
NOISE = np.random.default_rng(0).integers(0, 256, (64, 48), dtype=np.uint8)


def written(path, pixels=NOISE, syntax=ExplicitVRLittleEndian, without=(), **elements):
    """A file of these pixels, with other elements or without some."""
    dataset = dataset_of(pixels, **elements)
    if syntax == RLELossless:
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.compress(RLELossless)
    for name in without:
        delattr(dataset, name)
    return save(path, dataset, syntax)


def compressed(kind):
    buffer = io.BytesIO()
    Image.fromarray(NOISE).save(buffer, kind)
    return buffer.getvalue()


def refused(path, reason):
    with pytest.raises(DatasetError, match=reason) as caught:
        read_gray(path)
    message = str(caught.value)
    assert message.startswith(f"{path} ")
    assert message.isprintable()  # pydicom's own errors are of several lines


@pytest.mark.parametrize("tag", ["Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsStored"])
def test_a_missing_required_element_is_an_error(tmp_path, tag):
    words = "".join(f" {letter}" if letter.isupper() else letter for letter in tag).strip()
    refused(
        written(tmp_path / "a.dcm", without=[tag]),
        f"Missing required element: .* '{words}'|{words}".replace("Per", "per"),
    )


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"WindowCenter": 100},
        {"WindowWidth": 100},
        {"WindowCenter": "", "WindowWidth": ""},
        {"RescaleSlope": 2},
        {"RescaleIntercept": -5},
        {"ViewPosition": ""},
        {"VOILUTSequence": []},
    ],
)
def test_half_a_window_or_half_a_rescaling_is_ignored(tmp_path, elements):
    np.testing.assert_array_equal(read_gray(written(tmp_path / "a.dcm", without=["HighBit"], **elements)), NOISE)


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"BitsStored": 99}, "'Bits Stored' value of '99'"),
        ({"Rows": 0}, "'Rows' value of '0'"),
        ({"Rows": 9999}, "less than expected"),
        ({"PhotometricInterpretation": "MAGIC"}, "'Photometric Interpretation' value 'MAGIC'"),
        ({"BitsAllocated": 16, "BitsStored": 16}, "less than expected"),
        ({"NumberOfFrames": 5}, "less than expected"),
        ({"PixelData": b""}, "cannot be read"),
        ({"Rows": 65_535, "Columns": 65_535}, "is too large .*65535×65535 pixels.*PIL.Image.MAX_IMAGE_PIXELS"),
    ],
)
def test_elements_that_contradict_the_pixels_are_an_error(tmp_path, elements, reason):
    refused(written(tmp_path / "a.dcm", **elements), reason)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGBaseline8Bit, JPEG2000Lossless])
@pytest.mark.filterwarnings("ignore:End of file reached:UserWarning")
def test_a_truncated_file_is_never_another_image(tmp_path, syntax):
    elements = {}
    if syntax in (JPEGBaseline8Bit, JPEG2000Lossless):
        elements["PixelData"] = encapsulate([compressed("JPEG" if syntax == JPEGBaseline8Bit else "JPEG2000")])
    path = written(tmp_path / "a.dcm", NOISE, syntax, **elements)
    whole, expected, read = path.read_bytes(), read_gray(path), 0
    for length in (*range(0, len(whole), 61), *range(len(whole) - 9, len(whole))):
        path.write_bytes(whole[:length])
        try:
            np.testing.assert_array_equal(read_gray(path), expected)
            read += 1
        except DatasetError:
            continue
    assert read <= 9  # what follows the pixels


@pytest.mark.parametrize(("syntax", "kind"), [(JPEGBaseline8Bit, "JPEG"), (JPEG2000Lossless, "JPEG2000")])
def test_zeros_in_place_of_the_end_are_an_error(tmp_path, syntax, kind):
    whole = compressed(kind)
    half = whole[: len(whole) // 2] + bytes(len(whole) // 2)
    refused(written(tmp_path / "a.dcm", NOISE, syntax, PixelData=encapsulate([half])), "cannot be read .*JPEG")


# pydicom's own files


@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("MR_small_RLE.dcm", "MR_small.dcm"),
        ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
        ("MR_small_bigendian.dcm", "MR_small.dcm"),
        ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"),
        ("SC_rgb_jpeg_gdcm.dcm", "SC_rgb_rle.dcm"),
    ],
)
def test_lossless_compression_is_read_or_the_decoder_is_named(name, twin):
    syntax = pydicom.dcmread(FILES / name, stop_before_pixels=True).file_meta.TransferSyntaxUID
    if pydicom.pixels.get_decoder(syntax).is_available:
        np.testing.assert_array_equal(read_gray(FILES / name), read_gray(FILES / twin))
    else:
        refused(FILES / name, rf"{syntax.name.split(',')[0]}.*has no decoder here: pip install python-gdcm")


def test_an_unsupported_compression_names_another_decoder():
    """JPEG Extended with 12 bits, which Pillow does not support."""
    decoder = pydicom.pixels.get_decoder(pydicom.uid.JPEGExtended12Bit)
    if decoder.available_plugins != ("pillow",):
        pytest.skip("another decoder is installed")
    refused(
        FILES / "JPGExtended.dcm",
        r"12-bit precision; if the file is intact, another decoder reads it: pip install python-gdcm",
    )


@pytest.mark.parametrize("name", ["test-SR.dcm", "rtplan.dcm", "waveform_ecg.dcm", "reportsi.dcm"])
def test_dicom_without_an_image_is_an_error(name):
    refused(FILES / name, r"contains no image: it is DICOM without pixel data \(.+\); leave it out")


@pytest.mark.parametrize("name", ["no_meta.dcm", "rtstruct.dcm", "ExplVR_LitEndNoMeta.dcm"])
def test_dicom_without_its_beginning_is_an_error(name):
    refused(FILES / name, "is not DICOM: no DICM at byte 128")
