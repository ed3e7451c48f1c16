"""DICOM files against pydicom's own functions, and files without an image."""

import sys

import numpy as np
import pydicom
import pytest
from helpers.files.dicom import dataset_of, save
from helpers.real_data import DATA, needs
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import (
    BasicTextSRStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from anatpaste_aug.datasets import DatasetError, read_dicom_gray, read_gray

ROOT = DATA / "rsna_layout"

RAMP = np.arange(256, dtype=np.uint8).reshape(8, 32)
TWELVE = np.random.default_rng(0).integers(0, 4096, (24, 40), dtype=np.uint16)
SIGNED = TWELVE.astype(np.int16) - 2048


def lut(first, values, bits):
    item = Dataset()
    item.LUTDescriptor = [len(values), first, bits]
    item.LUTData = np.asarray(values, dtype="<u2").tobytes()
    return item


# intensities, against pydicom's own functions


def window(kind, center, width, **more):
    return {"WindowCenter": center, "WindowWidth": width, "VOILUTFunction": kind, **more}


WINDOWS = {
    "linear": (TWELVE, window("LINEAR", 2000, 1500)),
    "exact": (TWELVE, window("LINEAR_EXACT", 2000.5, 900.25)),
    "sigmoid": (TWELVE, window("SIGMOID", 2000, 1500)),
    "first of several": (TWELVE, window("LINEAR", [1000, 3000], [500, 800])),
    "rescaled": (TWELVE, window("LINEAR", 600, 700, RescaleSlope=0.5, RescaleIntercept=-100)),
    "signed": (SIGNED, window("LINEAR", 100, 2000)),
    "wider than the image": (TWELVE, window("LINEAR", 2048, 9000)),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_a_window_is_applied_as_pydicom_does(tmp_path, name):
    pixels, elements = WINDOWS[name]
    path = save(tmp_path / "a.dcm", dataset_of(pixels, **elements))
    dataset = pydicom.dcmread(path)
    expected = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    slope, intercept = dataset.get("RescaleSlope", 1), dataset.get("RescaleIntercept", 0)
    lowest = -(2**11) if pixels is SIGNED else 0
    black, white = lowest * slope + intercept, (lowest + 2**12 - 1) * slope + intercept
    # Tolerance: half a gray level, which is the rounding to 8 bits.
    np.testing.assert_allclose(read_dicom_gray(path), (expected - black) / (white - black) * 255, rtol=0, atol=0.5001)


def test_a_falling_rescale_slope_keeps_the_windows_dark_end_dark(tmp_path):
    elements = window("LINEAR", -2000, 1500, RescaleSlope=-1, RescaleIntercept=0)
    gray = read_dicom_gray(save(tmp_path / "a.dcm", dataset_of(TWELVE, **elements)))
    assert gray[TWELVE < 1200].min() == 255
    assert gray[TWELVE > 2800].max() == 0


def test_a_falling_lookup_table_stays_falling(tmp_path):
    path = save(tmp_path / "a.dcm", dataset_of(TWELVE, VOILUTSequence=[lut(0, np.arange(4095, -1, -1), 12)]))
    np.testing.assert_allclose(read_dicom_gray(path), (4095 - TWELVE.astype(float)) / 4095 * 255, atol=0.5001)


@pytest.mark.parametrize(
    ("pixels", "elements"), [(RAMP, {}), (TWELVE, {}), (TWELVE, window("LINEAR", 2000, 1500)), (RAMP * 0 + 9, {})]
)
def test_monochrome1_is_inverted(tmp_path, pixels, elements):
    first = save(tmp_path / "a.dcm", dataset_of(pixels, PhotometricInterpretation="MONOCHROME1", **elements))
    second = save(tmp_path / "b.dcm", dataset_of(pixels, **elements))
    # Tolerance: one gray level, where a half is rounded.
    np.testing.assert_allclose(read_dicom_gray(first), 255.0 - read_dicom_gray(second), rtol=0, atol=1)


def test_a_constant_image_has_no_range(tmp_path):
    assert not read_dicom_gray(save(tmp_path / "a.dcm", dataset_of(TWELVE * 0 + 7))).any()


# encodings


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEGBaseline8Bit]
)
def test_transfer_syntaxes(tmp_path, syntax):
    dataset = dataset_of(RAMP)
    if syntax == RLELossless:
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.compress(RLELossless)
    if syntax == JPEGBaseline8Bit:
        Image.fromarray(RAMP).save(tmp_path / "a.jpg", quality=95)
        dataset.PixelData = encapsulate([(tmp_path / "a.jpg").read_bytes()])
        expected = np.asarray(Image.open(tmp_path / "a.jpg"))
    else:
        expected = RAMP
    np.testing.assert_array_equal(read_dicom_gray(save(tmp_path / "a.dcm", dataset, syntax)), expected)


@pytest.mark.parametrize("frames", [1, 3])
def test_the_first_of_several_frames_is_read(tmp_path, frames):
    pixels = np.stack([RAMP // (frame + 1) for frame in range(frames)])
    path = save(tmp_path / "a.dcm", dataset_of(pixels, NumberOfFrames=frames))
    np.testing.assert_array_equal(read_dicom_gray(path), RAMP)


def test_color_becomes_gray_as_in_pillow(tmp_path):
    color = np.random.default_rng(1).integers(0, 256, (9, 14, 3), dtype=np.uint8)
    path = save(tmp_path / "a.dcm", dataset_of(color, PlanarConfiguration=0))
    np.testing.assert_array_equal(read_dicom_gray(path), np.asarray(Image.fromarray(color).convert("L")))


def test_a_palette_is_looked_up(tmp_path):
    table = (np.arange(256, dtype=np.uint16)[::-1] * 257).tobytes()
    elements = {"PhotometricInterpretation": "PALETTE COLOR"}
    for channel in ("Red", "Green", "Blue"):
        elements[f"{channel}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        elements[f"{channel}PaletteColorLookupTableData"] = table
    np.testing.assert_array_equal(read_dicom_gray(save(tmp_path / "a.dcm", dataset_of(RAMP, **elements))), 255 - RAMP)


# as read_gray reads it


@pytest.mark.parametrize("name", ["a.dcm", "a.DCM", "no_suffix", "a.png"])
def test_read_gray_knows_dicom_by_its_content(tmp_path, name):
    path = save(tmp_path / name, dataset_of(TWELVE))
    np.testing.assert_array_equal(read_gray(path), read_dicom_gray(path))
    expected = Image.fromarray(read_dicom_gray(path)).resize((32, 32), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(read_gray(path, 32), np.asarray(expected))


@needs("rsna_layout")
def test_real_files_are_what_pillow_decodes():
    paths = sorted(ROOT.rglob("*.dcm"))[:5]
    assert len(paths) == 5
    for path in paths:
        gray = read_gray(path)
        assert gray.shape == (512, 512)
        np.testing.assert_array_equal(gray, pydicom.dcmread(path).pixel_array)


# files that cannot be read


def test_errors_name_the_file_and_the_reason(tmp_path):
    cut = save(tmp_path / "cut.dcm", dataset_of(TWELVE))
    cut.write_bytes(cut.read_bytes()[:-900])
    report = dataset_of(RAMP)
    report.SOPClassUID = BasicTextSRStorage
    del report.PixelData
    save(tmp_path / "report.dcm", report)
    broken = dataset_of(RAMP, PixelData=encapsulate([b"\xff\xd8nothing"]))
    save(tmp_path / "broken.dcm", broken, JPEGBaseline8Bit)
    (tmp_path / "page.dcm").write_text("<html>404</html>" * 20)
    (tmp_path / "empty.dcm").touch()
    reasons = {
        "cut.dcm": "cannot be read",
        "report.dcm": r"contains no image: .*Basic Text SR Storage",
        "broken.dcm": "cannot be read .*JPEG Baseline",
        "page.dcm": "is not DICOM",
        "empty.dcm": r"is empty \(0 bytes\)",
        "missing.dcm": "does not exist",
    }
    for name, reason in reasons.items():
        with pytest.raises(DatasetError, match=f"{name} .*{reason}|{name} {reason}"):
            read_gray(tmp_path / name)


def test_a_missing_decoder_is_named(tmp_path, monkeypatch):
    # Decoders are plugins that may be installed here: take them away.
    decoder = pydicom.pixels.get_decoder(JPEGLosslessSV1)
    monkeypatch.setattr(decoder, "_available", {})
    monkeypatch.setattr(decoder, "_unavailable", {"gdcm": ("gdcm>=3.0.10",)})
    path = save(tmp_path / "a.dcm", dataset_of(RAMP, PixelData=encapsulate([b"\xff\xd8\xff\xd9"])), JPEGLosslessSV1)
    with pytest.raises(DatasetError, match=r"a\.dcm is compressed as JPEG Lossless.* pip install python-gdcm"):
        read_dicom_gray(path)


def test_the_missing_extra_is_named(tmp_path, monkeypatch):
    path = save(tmp_path / "a.dcm", dataset_of(RAMP))
    for name in [name for name in sys.modules if name.split(".")[0] == "pydicom"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r'DICOM needs pydicom: pip install "anatpaste_aug\[datasets\]"'):
        read_gray(path)
