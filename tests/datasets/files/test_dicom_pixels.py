"""Invalid padding and descriptions of the pixels are read as pydicom reads a valid dataset with the same meaning."""

import struct

import numpy as np
import pytest
from helpers.files.dicom import TWELVE, assert_levels, dataset_of, levels, save, write
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from anatpaste_aug.datasets import DatasetError, read_dicom_gray

# padding

BODY = TWELVE // 4 + 1000


def padded(values, body=BODY):
    """Half of the image is padding with these values."""
    return np.concatenate([np.resize(np.asarray(values), body.shape).astype(body.dtype), body])


PADDINGS = {
    "low": ([0], {}, {"PixelPaddingValue": ("US", 0)}),
    "high": ([65535], {}, {"PixelPaddingValue": ("US", 65535)}),
    "range": (range(60000, 65536), {}, {"PixelPaddingValue": ("US", 65535), "PixelPaddingRangeLimit": ("US", 60000)}),
    "range upwards": (range(99), {}, {"PixelPaddingValue": ("US", 0), "PixelPaddingRangeLimit": ("US", 98)}),
    "above the bits stored": ([65535], {"bits": 12}, {"PixelPaddingValue": ("US", 65535)}),
    "range above the bits stored": (
        range(60000, 65536),
        {"bits": 12},
        {"PixelPaddingValue": ("US", 60000), "PixelPaddingRangeLimit": ("US", 65535)},
    ),
    "declared with a sign": ([63536], {}, {"PixelPaddingValue": ("SS", -2000)}),
    "range declared with a sign": (
        range(63536, 64513),
        {},
        {"PixelPaddingValue": ("SS", -2000), "PixelPaddingRangeLimit": ("SS", -1024)},
    ),
    "of unknown kind": ([63536], {}, {"PixelPaddingValue": ("UN", 63536)}),
    "empty limit": ([0], {}, {"PixelPaddingValue": ("US", 0), "PixelPaddingRangeLimit": ("US", None)}),
    "several": ([0], {}, {"PixelPaddingValue": ("US", 0, 4095)}),
    "a limit that makes no range": (
        [0],
        {},
        {"PixelPaddingValue": ("SS", 0), "PixelPaddingRangeLimit": ("SS", -5)},
    ),
}


def binary(vr, *values):
    return vr, b"" if values == (None,) else b"".join(struct.pack("<h" if vr == "SS" else "<H", v) for v in values)


@pytest.mark.parametrize("name", PADDINGS)
def test_padding_does_not_set_the_scale(tmp_path, name):
    values, options, elements = PADDINGS[name]
    path = write(
        tmp_path / "a.dcm",
        padded(values),
        raw={tag: binary(*what) for tag, what in elements.items()},
        **{"bits": 16} | options,
    )
    assert_levels(path, levels(BODY))


SIGNED_PADDINGS = {
    "signed": ([-2000], 16, ("SS", -2000)),
    "declared without a sign": ([-2000], 16, ("US", 63536)),
    "declared without a sign, 12 bits": ([-2000], 12, ("US", 63536)),
    "range declared without a sign": (range(-2000, -1000), 16, ("US", 63536), ("US", 64536)),
}


@pytest.mark.parametrize("name", SIGNED_PADDINGS)
def test_padding_of_signed_pixels(tmp_path, name):
    values, bits, *ends = SIGNED_PADDINGS[name]
    body = BODY.astype(np.int16) - 900
    raw = dict(zip(("PixelPaddingValue", "PixelPaddingRangeLimit"), (binary(*end) for end in ends), strict=False))
    path = write(tmp_path / "a.dcm", padded(values, body), raw=raw, bits=bits)
    assert_levels(path, levels(body))


@pytest.mark.parametrize("raw", [{}, {"PixelPaddingValue": ("US", b"")}, {"PixelPaddingValue": ("DS", b"NaN")}])
def test_without_usable_padding_all_pixels_count(tmp_path, raw):
    pixels = padded([0])
    assert_levels(write(tmp_path / "a.dcm", pixels, raw=raw), levels(pixels))


def test_an_image_of_padding_alone_is_read(tmp_path):
    assert read_dicom_gray(write(tmp_path / "a.dcm", TWELVE, PixelPaddingValue=0, PixelPaddingRangeLimit=4095)).any()


# the description of the pixels


@pytest.mark.parametrize(
    ("bits", "dtype"), [(6, np.uint8), (8, np.uint8), (10, np.uint16), (12, np.uint16), (16, np.uint16)]
)
def test_color_with_fewer_bits_stored_than_allocated(tmp_path, bits, dtype):
    gray = np.random.default_rng(0).integers(0, 2**bits, (9, 14, 1)).astype(dtype)
    path = write(tmp_path / "a.dcm", np.repeat(gray, 3, 2), bits=bits, PlanarConfiguration=0)
    assert_levels(path, gray[..., 0] / (2**bits - 1) * 255)


def test_color_without_a_planar_configuration_is_by_pixel(tmp_path):
    gray = (TWELVE // 16).astype(np.uint8)
    np.testing.assert_array_equal(read_dicom_gray(write(tmp_path / "a.dcm", np.stack([gray] * 3, 2), bits=8)), gray)


def test_palette_entries_of_eight_bits_declared_as_sixteen(tmp_path):
    pixels = (TWELVE // 16).astype(np.uint8)
    elements = {"PhotometricInterpretation": "PALETTE COLOR"}
    for channel in ("Red", "Green", "Blue"):
        elements[f"{channel}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        elements[f"{channel}PaletteColorLookupTableData"] = np.arange(255, -1, -1).astype("<u2").tobytes()
    np.testing.assert_array_equal(read_dicom_gray(write(tmp_path / "a.dcm", pixels, bits=8, **elements)), 255 - pixels)


@pytest.mark.parametrize(
    "elements",
    [
        {"NumberOfFrames": ""},
        {"NumberOfFrames": 0},
        {"BitsStored": [12, 12]},
        {"Rows": [24, 0]},
        {"SamplesPerPixel": [1, 1]},
        {"PixelRepresentation": [0, 0]},
        {"HighBit": None},
        {"PlanarConfiguration": None},
        {"PhotometricInterpretation": ["MONOCHROME2", "MONOCHROME2"]},
        {"PhotometricInterpretation": "monochrome2"},
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning", "ignore:A value of:UserWarning")
def test_elements_that_describe_the_pixels(tmp_path, elements):
    window = {"WindowCenter": 2000, "WindowWidth": 1500}
    assert_levels(write(tmp_path / "a.dcm", TWELVE, **elements, **window), levels(TWELVE, **window))


def test_floating_point_pixels_with_a_window_and_without(tmp_path):
    pixels = TWELVE.astype(np.float32) / 7
    floats = {"FloatPixelData": pixels.tobytes()}
    plain = dataset_of(pixels, bits=32, **floats)
    for name in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(plain, name)
    save(tmp_path / "a.dcm", plain)
    low, high = np.percentile(pixels, (0.5, 99.5))
    assert_levels(tmp_path / "a.dcm", np.clip((pixels - low) / (high - low), 0, 1) * 255)
    plain.WindowCenter, plain.WindowWidth, plain.VOILUTFunction = 300, 200, "LINEAR_EXACT"
    save(tmp_path / "b.dcm", plain)
    assert_levels(tmp_path / "b.dcm", np.clip((pixels - 300) / 200 + 0.5, 0, 1) * 255)
    pixels[0] = np.nan
    del plain.WindowCenter
    plain.FloatPixelData = pixels.tobytes()
    save(tmp_path / "c.dcm", plain)
    gray = read_dicom_gray(tmp_path / "c.dcm")
    low, high = np.nanpercentile(pixels, (0.5, 99.5))
    np.testing.assert_allclose(gray[1:], np.clip((pixels[1:] - low) / (high - low), 0, 1) * 255, rtol=0, atol=0.5001)
    assert not gray[0].any()


@pytest.mark.filterwarnings("ignore:Expected explicit VR:UserWarning")
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_without_a_transfer_syntax_uncompressed_pixels_are_read(tmp_path, syntax):
    dataset = dataset_of(TWELVE)
    dataset["PixelData"].VR = "OW"
    save(tmp_path / "a.dcm", dataset, syntax)
    content = bytearray((tmp_path / "a.dcm").read_bytes())
    place = content.index(struct.pack("<HH", 2, 0x10)) + 4
    content[place + 4 : place + 4 + len(syntax)] = bytes(len(syntax))
    (tmp_path / "a.dcm").write_bytes(content)
    assert_levels(tmp_path / "a.dcm", levels(TWELVE))


@pytest.mark.parametrize(
    "elements",
    [
        {"PhotometricInterpretation": "PALETTE COLOR"},
        {"PhotometricInterpretation": "PALETTE COLOR", "RedPaletteColorLookupTableDescriptor": None},
        {"PhotometricInterpretation": "RGB", "WindowCenter": 1, "WindowWidth": 2},
        {"PhotometricInterpretation": ""},
        {"PixelRepresentation": None},
        {"Rows": None},
    ],
)
def test_messages_are_about_the_file(tmp_path, elements):
    path = write(tmp_path / "a.dcm", TWELVE, **elements)
    with pytest.raises(DatasetError) as caught:
        read_dicom_gray(path)
    message = str(caught.value)
    assert message.startswith(f"{path} cannot be read (Explicit VR Little Endian): ")
    assert "object" not in message
    assert "damaged" not in message
