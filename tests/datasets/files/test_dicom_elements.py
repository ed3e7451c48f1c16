"""Invalid windows, rescaling and lookup tables are read as pydicom reads a valid dataset with the same meaning."""

import struct

import numpy as np
import pytest
from helpers.files.dicom import TWELVE, assert_levels, dataset_of, levels, save, write
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from anatpaste_aug.datasets import read_dicom_gray

SIGNED = TWELVE.astype(np.int16) - 2048
CURVE = (np.linspace(0, 1, 4096) ** 2 * 4095).astype(int)


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
def test_an_unusable_window_is_ignored(tmp_path, name, pixels):
    center, width = NO_WINDOW[name]
    assert_levels(write(tmp_path / "a.dcm", pixels, {"WindowCenter": center, "WindowWidth": width}), levels(pixels))


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
    path = write(
        tmp_path / "a.dcm",
        TWELVE,
        {"WindowCenter": center, "WindowWidth": width},
        {"VOILUTFunction": ("CS", function.encode())},
    )
    assert_levels(path, levels(TWELVE, WindowCenter=at, WindowWidth=wide, VOILUTFunction=meant))


def test_a_window_of_another_value_representation_is_read(tmp_path):
    raw = {"WindowCenter": ("FD", struct.pack("<d", 2000.5)), "WindowWidth": ("US", struct.pack("<H", 1500))}
    path = write(tmp_path / "a.dcm", TWELVE, raw=raw)
    assert_levels(path, levels(TWELVE, WindowCenter=2000.5, WindowWidth=1500))


@pytest.mark.parametrize("vr", ["LO", "SH", "UN", "ST"])
def test_a_window_written_as_another_text_is_read(tmp_path, vr):
    raw = {"WindowCenter": (vr, b"2000,5"), "WindowWidth": (vr, b"1500\\800")}
    path = write(tmp_path / "a.dcm", TWELVE, raw=raw)
    assert_levels(path, levels(TWELVE, WindowCenter=2000.5, WindowWidth=1500))


def test_a_narrow_window_with_a_small_slope(tmp_path):
    texts = {"RescaleSlope": "0.0001", "RescaleIntercept": "0", "WindowCenter": "0.2", "WindowWidth": "0.32"}
    expected = np.clip((TWELVE * 0.0001 - 0.2) / 0.32 + 0.5, 0, 1) * 255
    assert_levels(write(tmp_path / "a.dcm", TWELVE, texts), expected)


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
    path = write(tmp_path / "a.dcm", TWELVE, texts, **window)
    assert_levels(path, levels(TWELVE, RescaleSlope=meant[0], RescaleIntercept=meant[1], **window))


@pytest.mark.parametrize(("slope", "intercept"), [("1", "-1024"), ("", "-1024"), ("2", ""), ("0,5", "3")])
def test_eight_bits_without_a_window_stay_as_they_are_however_they_are_rescaled(tmp_path, slope, intercept):
    pixels = (TWELVE // 32).astype(np.uint8)
    texts = {"RescaleSlope": slope, "RescaleIntercept": intercept}
    np.testing.assert_array_equal(read_dicom_gray(write(tmp_path / "a.dcm", pixels, texts, bits=8)), pixels)


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
    path = write(tmp_path / "a.dcm", TWELVE, VOILUTSequence=[empty], WindowCenter=2000, WindowWidth=1500)
    assert_levels(path, levels(TWELVE, WindowCenter=2000, WindowWidth=1500))


@pytest.mark.parametrize(
    "bad",
    [
        {"LUTDescriptor": None},
        {"LUTData": None},
        {"LUTDescriptor": [5000, 0, 12]},  # more entries than there are
    ],
)
def test_the_first_usable_table_is_applied(tmp_path, bad):
    items = [table(0, CURVE[::-1], **bad), table(0, CURVE), table(0, CURVE[::-1])]
    expected = levels(TWELVE, VOILUTSequence=[table(0, CURVE)])
    assert_levels(write(tmp_path / "a.dcm", TWELVE, VOILUTSequence=items), expected)
    assert_levels(write(tmp_path / "b.dcm", TWELVE, VOILUTSequence=items[:1]), levels(TWELVE))


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
    assert_levels(write(tmp_path / "a.dcm", TWELVE, **elements), levels(TWELVE, **clean))


def test_a_modality_table_of_more_entries_than_eight_bit_pixels_have(tmp_path):
    pixels = (TWELVE // 16).astype(np.uint8)
    curve = (np.sqrt(np.linspace(0, 1, 4096)) * 4095).astype(int)
    window = {"WindowCenter": 512, "WindowWidth": 1024}
    path = write(tmp_path / "a.dcm", pixels, bits=8, ModalityLUTSequence=[table(0, curve, 12)], **window)
    assert_levels(path, levels(curve[pixels].astype(np.uint16), **window))


@pytest.mark.parametrize("name", ["VOILUTSequence", "ModalityLUTSequence"])
def test_a_first_value_of_the_wrong_sign(tmp_path, name):
    """63488 for −2048."""
    wrong = table(0, CURVE)
    wrong["LUTDescriptor"].value = [4096, 63488, 12]
    right = table(0, CURVE, 16)
    window = {} if name == "VOILUTSequence" else {"WindowCenter": 2000, "WindowWidth": 1500}
    path = write(tmp_path / "a.dcm", SIGNED, **{name: [wrong]}, **window)
    assert_levels(path, levels(TWELVE, **{name: [right]}, **window))


def test_values_below_and_above_a_table_are_its_ends(tmp_path):
    curve = np.arange(100, 1124)
    path = write(tmp_path / "a.dcm", TWELVE, VOILUTSequence=[table(1000, curve)])
    assert_levels(path, np.clip((TWELVE.astype(float) - 1000) / 1023, 0, 1) * 255)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_tables_as_bytes(tmp_path, syntax):
    order = ">u2" if syntax == ExplicitVRBigEndian else "<u2"
    item = table(0, CURVE)
    item.add_new("LUTData", "OW", CURVE.astype(order).tobytes())
    dataset = dataset_of(TWELVE, VOILUTSequence=[item])
    dataset.PixelData = TWELVE.astype(order).tobytes()
    dataset["PixelData"].VR = "OW"
    save(tmp_path / "a.dcm", dataset, syntax)
    assert_levels(tmp_path / "a.dcm", levels(TWELVE, VOILUTSequence=[table(0, CURVE)]))


def test_packed_entries_of_eight_bits(tmp_path):
    curve = CURVE // 16
    item = table(0, curve, 8)
    item.add_new("LUTData", "OW", curve.astype(np.uint8).tobytes())
    assert_levels(write(tmp_path / "a.dcm", TWELVE, VOILUTSequence=[item]), curve[TWELVE] / 255 * 255)


@pytest.mark.filterwarnings("ignore:The value for the data element:UserWarning")
def test_a_table_with_an_entry_for_every_value(tmp_path):
    pixels = TWELVE * 16
    curve = np.arange(65536) // 2
    path = write(tmp_path / "a.dcm", pixels, bits=16, VOILUTSequence=[table(0, curve, 16)])
    assert_levels(path, curve[pixels] / curve.max() * 255)
