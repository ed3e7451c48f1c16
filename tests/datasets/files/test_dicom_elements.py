"""Invalid DICOM elements against pydicom's functions on a valid dataset with the same meaning."""

import struct

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from anatpaste_aug.datasets import DatasetError, read_dicom_gray

RNG = np.random.default_rng(0)
TWELVE = RNG.integers(0, 4096, (24, 40), dtype=np.uint16)
SIGNED = TWELVE.astype(np.int16) - 2048
LEVEL = 0.5001  # half a gray level, which is the rounding to 8 bits
CURVE = (np.linspace(0, 1, 4096) ** 2 * 4095).astype(int)


def dataset_of(pixels, bits=12, **elements):
    dataset = Dataset()
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=["anatpaste"])
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    dataset.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * pixels.itemsize, bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def written(path, pixels, texts=None, raw=None, **elements):
    """A file. ``texts`` are written as they are, whatever the standard says; ``raw`` maps names to (VR, bytes)."""
    dataset = dataset_of(pixels, **elements)
    more = {name: ("DS", text.encode()) for name, text in (texts or {}).items()} | (raw or {})
    dataset.save_as(path, enforce_file_format=True)
    content, group = path.read_bytes(), b""
    for tag, (vr, value) in sorted((pydicom.tag.Tag(name), what) for name, what in more.items()):
        value += b" " * (len(value) % 2)
        length = struct.pack("<2xI" if vr == "UN" else "<H", len(value))
        group += struct.pack("<HH", tag.group, tag.element) + vr.encode() + length + value
    place = content.index(struct.pack("<HH", 0x7FE0, 0x0010))
    path.write_bytes(content[:place] + group + content[place:])
    return path


def shown(pixels, **elements):
    """The result of pydicom's functions on a valid dataset, as levels 0 to 255 (not rounded)."""
    dataset = dataset_of(pixels, **elements)
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


def assert_shown(path, expected):
    np.testing.assert_allclose(read_dicom_gray(path), expected, rtol=0, atol=LEVEL)


# windows

NO_WINDOW = {
    "NaN": ("NaN", "NaN"),
    "NaN center": ("nan", "1500"),
    "NaN width": ("2000", "NaN"),
    "infinite center": ("inf", "1500"),
    "infinite width": ("2000", "-Infinity"),
    "overflow": ("2000", "1e999"),
    "empty": ("", ""),
    "blank": (" ", " "),
    "empty center": ("", "1500"),
    "empty width": ("2000", ""),
    "width 0": ("2000", "0"),
    "negative width": ("2000", "-1500"),
    "words": ("center", "width"),
    "two separators": ("1.000,5", "1,500.0"),
    "several without a usable one": ("2000\\NaN", "0\\1500"),
}


@pytest.mark.parametrize("name", NO_WINDOW)
@pytest.mark.parametrize("pixels", [TWELVE, SIGNED])
def test_an_unusable_window_is_none(tmp_path, name, pixels):
    center, width = NO_WINDOW[name]
    assert_shown(written(tmp_path / "a.dcm", pixels, {"WindowCenter": center, "WindowWidth": width}), shown(pixels))


WINDOWS = {
    "decimal comma": ("2000,5", "1500,25", "", (2000.5, 1500.25, "LINEAR")),
    "comma in one of several": ("900,5\\2000", "800,5\\1500", "", (900.5, 800.5, "LINEAR")),
    "spaces and zero bytes": (" 2000 ", "1500\0", "", (2000, 1500, "LINEAR")),
    "exponent": ("2E3", "1.5e+3", "", (2000, 1500, "LINEAR")),
    "longer than 16 characters": ("2000.00000000000000001", "1500.00000000000000001", "", (2000, 1500, "LINEAR")),
    "first of several": ("2000\\900", "1500\\800", "", (2000, 1500, "LINEAR")),
    "second, where the first is NaN": ("NaN\\900", "1500\\800", "", (900, 800, "LINEAR")),
    "second, where the first is empty": ("\\900", "1500\\800", "", (900, 800, "LINEAR")),
    "third, where two have width 0": ("1\\2\\900", "0\\0\\800", "", (900, 800, "LINEAR")),
    "fewer widths": ("2000\\900", "1500", "", (2000, 1500, "LINEAR")),
    "width 1": ("2000", "1", "", (2000, 1, "LINEAR")),
    "width below 1": ("2000.2", "0.4", "", (2000.2, 0.4, "LINEAR_EXACT")),
    "width below 1, said to be linear": ("2000.2", "0.4", "LINEAR", (2000.2, 0.4, "LINEAR_EXACT")),
    "width below 1, exact": ("2000.2", "0.4", "LINEAR_EXACT", (2000.2, 0.4, "LINEAR_EXACT")),
    "width below 1, sigmoid": ("2000.2", "0.4", "SIGMOID", (2000.2, 0.4, "SIGMOID")),
    "function in lower case": ("2000", "1500", "sigmoid ", (2000, 1500, "SIGMOID")),
    "function unknown": ("2000", "1500", "CUBIC", (2000, 1500, "LINEAR")),
    "function with a blank": ("2000", "2.5", "LINEAR EXACT", (2000, 2.5, "LINEAR_EXACT")),
    "function for each": ("NaN\\900", "1500\\800", "LINEAR\\SIGMOID", (900, 800, "SIGMOID")),
    "the same for each": ("2000\\900", "1500\\800", "LINEAR\\LINEAR", (2000, 1500, "LINEAR")),
    "one function for several": ("NaN\\900", "1500\\800", "SIGMOID", (900, 800, "SIGMOID")),
    "function of one is empty": ("NaN\\900", "1500\\800", "SIGMOID\\", (900, 800, "LINEAR")),
}


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.filterwarnings("ignore:overflow encountered in exp:RuntimeWarning")
def test_the_first_usable_window_is_applied(tmp_path, name):
    center, width, function, (at, wide, meant) = WINDOWS[name]
    path = written(
        tmp_path / "a.dcm",
        TWELVE,
        {"WindowCenter": center, "WindowWidth": width},
        {"VOILUTFunction": ("CS", function.encode())},
    )
    assert_shown(path, shown(TWELVE, WindowCenter=at, WindowWidth=wide, VOILUTFunction=meant))


def test_a_window_of_another_value_representation_is_read(tmp_path):
    raw = {"WindowCenter": ("FD", struct.pack("<d", 2000.5)), "WindowWidth": ("US", struct.pack("<H", 1500))}
    path = written(tmp_path / "a.dcm", TWELVE, raw=raw)
    assert_shown(path, shown(TWELVE, WindowCenter=2000.5, WindowWidth=1500))


@pytest.mark.parametrize("vr", ["LO", "SH", "UN", "ST"])
def test_a_window_written_as_another_text_is_read(tmp_path, vr):
    raw = {"WindowCenter": (vr, b"2000,5"), "WindowWidth": (vr, b"1500\\800")}
    path = written(tmp_path / "a.dcm", TWELVE, raw=raw)
    assert_shown(path, shown(TWELVE, WindowCenter=2000.5, WindowWidth=1500))


def test_a_narrow_window_beside_a_small_slope(tmp_path):
    texts = {"RescaleSlope": "0.0001", "RescaleIntercept": "0", "WindowCenter": "0.2", "WindowWidth": "0.32"}
    expected = np.clip((TWELVE * 0.0001 - 0.2) / 0.32 + 0.5, 0, 1) * 255
    assert_shown(written(tmp_path / "a.dcm", TWELVE, texts), expected)


# rescaling

RESCALES = {
    "comma": ("0,5", "-100,25", (0.5, -100.25)),
    "empty intercept": ("0.5", "", (0.5, 0)),
    "empty slope": ("", "-100", (1, -100)),
    "both empty": ("", "", (1, 0)),
    "slope 0": ("0", "-100", (1, -100)),
    "NaN slope": ("NaN", "-100", (1, -100)),
    "infinite intercept": ("0.5", "inf", (0.5, 0)),
    "several": ("0.5\\2", "-100\\7", (0.5, -100)),
    "the first of several is empty": ("\\0.5", "\\-100", (0.5, -100)),
    "words": ("one", "none", (1, 0)),
}


@pytest.mark.parametrize("name", RESCALES)
@pytest.mark.parametrize("window", [{"WindowCenter": 600, "WindowWidth": 700}, {}])
def test_unusable_rescaling_is_that_of_other_readers(tmp_path, name, window):
    slope, intercept, meant = RESCALES[name]
    texts = {"RescaleSlope": slope, "RescaleIntercept": intercept}
    path = written(tmp_path / "a.dcm", TWELVE, texts, **window)
    assert_shown(path, shown(TWELVE, RescaleSlope=meant[0], RescaleIntercept=meant[1], **window))


@pytest.mark.parametrize(("slope", "intercept"), [("1", "-1024"), ("", "-1024"), ("2", ""), ("0,5", "3")])
def test_eight_bits_without_a_window_stay_as_they_are_however_they_are_rescaled(tmp_path, slope, intercept):
    pixels = (TWELVE // 32).astype(np.uint8)
    texts = {"RescaleSlope": slope, "RescaleIntercept": intercept}
    np.testing.assert_array_equal(read_dicom_gray(written(tmp_path / "a.dcm", pixels, texts, bits=8)), pixels)


# lookup tables


def table(first, values, bits=12, **elements):
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(values) % 2**16, first, bits])
    item.add_new("LUTData", "US", [int(value) for value in values])
    for name, value in elements.items():
        setattr(item, name, value)
    return item


def test_an_empty_descriptor_leaves_the_window(tmp_path):
    empty = table(0, CURVE, LUTDescriptor=None)
    path = written(tmp_path / "a.dcm", TWELVE, VOILUTSequence=[empty], WindowCenter=2000, WindowWidth=1500)
    assert_shown(path, shown(TWELVE, WindowCenter=2000, WindowWidth=1500))


@pytest.mark.parametrize(
    "bad",
    [
        {"LUTDescriptor": None},
        {"LUTData": None},
        {"LUTDescriptor": [5000, 0, 12]},  # more entries than there are
    ],
)
def test_of_several_tables_the_first_usable_is_applied(tmp_path, bad):
    items = [table(0, CURVE[::-1], **bad), table(0, CURVE), table(0, CURVE[::-1])]
    expected = shown(TWELVE, VOILUTSequence=[table(0, CURVE)])
    assert_shown(written(tmp_path / "a.dcm", TWELVE, VOILUTSequence=items), expected)
    assert_shown(written(tmp_path / "b.dcm", TWELVE, VOILUTSequence=items[:1]), shown(TWELVE))


@pytest.mark.parametrize("bits", [*range(8, 17), 0, 32])
@pytest.mark.parametrize("name", ["VOILUTSequence", "ModalityLUTSequence"])
def test_entries_of_any_depth(tmp_path, bits, name):
    most = 2 ** (bits if 8 <= bits <= 16 else 12) - 1
    curve = (np.linspace(0, 1, 4096) ** 2 * most).astype(int)
    elements = {name: [table(0, curve, bits)]}
    if name == "ModalityLUTSequence":
        elements[name][0].ModalityLUTType = "US"
        elements |= {"WindowCenter": most / 2, "WindowWidth": most + 1.0}
    clean = elements | {name: [table(0, curve, 16)]}
    assert_shown(written(tmp_path / "a.dcm", TWELVE, **elements), shown(TWELVE, **clean))


def test_a_modality_table_of_more_entries_than_eight_bit_pixels_have(tmp_path):
    pixels = (TWELVE // 16).astype(np.uint8)
    curve = (np.sqrt(np.linspace(0, 1, 4096)) * 4095).astype(int)
    window = {"WindowCenter": 512, "WindowWidth": 1024}
    path = written(tmp_path / "a.dcm", pixels, bits=8, ModalityLUTSequence=[table(0, curve, 12)], **window)
    assert_shown(path, shown(curve[pixels].astype(np.uint16), **window))


@pytest.mark.parametrize("name", ["VOILUTSequence", "ModalityLUTSequence"])
def test_a_first_value_of_the_wrong_sign(tmp_path, name):
    """63488 for −2048."""
    wrong = table(0, CURVE)
    wrong["LUTDescriptor"].value = [4096, 63488, 12]
    right = table(0, CURVE, 16)
    window = {} if name == "VOILUTSequence" else {"WindowCenter": 2000, "WindowWidth": 1500}
    path = written(tmp_path / "a.dcm", SIGNED, **{name: [wrong]}, **window)
    assert_shown(path, shown(TWELVE, **{name: [right]}, **window))


def test_values_below_and_above_a_table_are_its_ends(tmp_path):
    curve = np.arange(100, 1124)
    path = written(tmp_path / "a.dcm", TWELVE, VOILUTSequence=[table(1000, curve)])
    assert_shown(path, np.clip((TWELVE.astype(float) - 1000) / 1023, 0, 1) * 255)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_tables_as_bytes(tmp_path, syntax):
    order = ">u2" if syntax == ExplicitVRBigEndian else "<u2"
    item = table(0, CURVE)
    item.add_new("LUTData", "OW", CURVE.astype(order).tobytes())
    dataset = dataset_of(TWELVE, VOILUTSequence=[item])
    dataset.PixelData = TWELVE.astype(order).tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert_shown(tmp_path / "a.dcm", shown(TWELVE, VOILUTSequence=[table(0, CURVE)]))


def test_packed_entries_of_eight_bits(tmp_path):
    curve = CURVE // 16
    item = table(0, curve, 8)
    item.add_new("LUTData", "OW", curve.astype(np.uint8).tobytes())
    assert_shown(written(tmp_path / "a.dcm", TWELVE, VOILUTSequence=[item]), curve[TWELVE] / 255 * 255)


@pytest.mark.filterwarnings("ignore:The value for the data element:UserWarning")
def test_a_table_of_all_values(tmp_path):
    pixels = TWELVE * 16
    curve = np.arange(65536) // 2
    path = written(tmp_path / "a.dcm", pixels, bits=16, VOILUTSequence=[table(0, curve, 16)])
    assert_shown(path, curve[pixels] / curve.max() * 255)


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
    path = written(
        tmp_path / "a.dcm",
        padded(values),
        raw={tag: binary(*what) for tag, what in elements.items()},
        **{"bits": 16} | options,
    )
    np.testing.assert_allclose(read_dicom_gray(path)[len(BODY) :], shown(BODY), rtol=0, atol=LEVEL)


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
    path = written(tmp_path / "a.dcm", padded(values, body), raw=raw, bits=bits)
    np.testing.assert_allclose(read_dicom_gray(path)[len(body) :], shown(body), rtol=0, atol=LEVEL)


@pytest.mark.parametrize("raw", [{}, {"PixelPaddingValue": ("US", b"")}, {"PixelPaddingValue": ("DS", b"NaN")}])
def test_without_usable_padding_all_pixels_count(tmp_path, raw):
    pixels = padded([0])
    assert_shown(written(tmp_path / "a.dcm", pixels, raw=raw), shown(pixels))


def test_an_image_of_padding_alone_is_read(tmp_path):
    assert read_dicom_gray(written(tmp_path / "a.dcm", TWELVE, PixelPaddingValue=0, PixelPaddingRangeLimit=4095)).any()


# the description of the pixels


@pytest.mark.parametrize(
    ("bits", "dtype"), [(6, np.uint8), (8, np.uint8), (10, np.uint16), (12, np.uint16), (16, np.uint16)]
)
def test_colour_with_fewer_bits_stored_than_allocated(tmp_path, bits, dtype):
    gray = RNG.integers(0, 2**bits, (9, 14, 1)).astype(dtype)
    path = written(tmp_path / "a.dcm", np.repeat(gray, 3, 2), bits=bits, PlanarConfiguration=0)
    assert_shown(path, gray[..., 0] / (2**bits - 1) * 255)


def test_colour_without_a_planar_configuration_is_by_pixel(tmp_path):
    gray = (TWELVE // 16).astype(np.uint8)
    np.testing.assert_array_equal(read_dicom_gray(written(tmp_path / "a.dcm", np.stack([gray] * 3, 2), bits=8)), gray)


def test_palette_entries_of_eight_bits_that_are_announced_as_sixteen(tmp_path):
    pixels = (TWELVE // 16).astype(np.uint8)
    elements = {"PhotometricInterpretation": "PALETTE COLOR"}
    for channel in ("Red", "Green", "Blue"):
        elements[f"{channel}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        elements[f"{channel}PaletteColorLookupTableData"] = np.arange(255, -1, -1).astype("<u2").tobytes()
    np.testing.assert_array_equal(
        read_dicom_gray(written(tmp_path / "a.dcm", pixels, bits=8, **elements)), 255 - pixels
    )


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
    assert_shown(written(tmp_path / "a.dcm", TWELVE, **elements, **window), shown(TWELVE, **window))


def test_floating_point_pixels_with_a_window_and_without(tmp_path):
    pixels = TWELVE.astype(np.float32) / 7
    floats = {"FloatPixelData": pixels.tobytes()}
    plain = dataset_of(pixels, bits=32, **floats)
    for name in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(plain, name)
    plain.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    low, high = np.percentile(pixels, (0.5, 99.5))
    assert_shown(tmp_path / "a.dcm", np.clip((pixels - low) / (high - low), 0, 1) * 255)
    plain.WindowCenter, plain.WindowWidth, plain.VOILUTFunction = 300, 200, "LINEAR_EXACT"
    plain.save_as(tmp_path / "b.dcm", enforce_file_format=True)
    assert_shown(tmp_path / "b.dcm", np.clip((pixels - 300) / 200 + 0.5, 0, 1) * 255)
    pixels[0] = np.nan
    del plain.WindowCenter
    plain.FloatPixelData = pixels.tobytes()
    plain.save_as(tmp_path / "c.dcm", enforce_file_format=True)
    gray = read_dicom_gray(tmp_path / "c.dcm")
    low, high = np.nanpercentile(pixels, (0.5, 99.5))
    np.testing.assert_allclose(gray[1:], np.clip((pixels[1:] - low) / (high - low), 0, 1) * 255, rtol=0, atol=LEVEL)
    assert not gray[0].any()


@pytest.mark.filterwarnings("ignore:Expected explicit VR:UserWarning")
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_without_a_transfer_syntax_uncompressed_pixels_are_read(tmp_path, syntax):
    dataset = dataset_of(TWELVE)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset["PixelData"].VR = "OW"
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    content = bytearray((tmp_path / "a.dcm").read_bytes())
    place = content.index(struct.pack("<HH", 2, 0x10)) + 4
    content[place + 4 : place + 4 + len(syntax)] = bytes(len(syntax))
    (tmp_path / "a.dcm").write_bytes(content)
    assert_shown(tmp_path / "a.dcm", shown(TWELVE))


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
    path = written(tmp_path / "a.dcm", TWELVE, **elements)
    with pytest.raises(DatasetError) as caught:
        read_dicom_gray(path)
    message = str(caught.value)
    assert message.startswith(f"{path} cannot be read (Explicit VR Little Endian): ")
    assert "object" not in message
    assert "damaged" not in message
