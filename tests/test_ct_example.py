"""The example on a CT slice, run as a user runs it."""

import importlib.util
from pathlib import Path

import pytest
import torch
from oracles import iou

from anatpaste_aug.segmentation import CTLungSegmenter

PATH = Path(__file__).parents[1] / "examples" / "ct_slice.py"


@pytest.fixture
def example():
    spec = importlib.util.spec_from_file_location("ct_slice", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_drawn_slice_becomes_a_picture(example, tmp_path, capsys):
    assert example.main(["-o", str(tmp_path / "picture.png")]) == 0
    assert (tmp_path / "picture.png").stat().st_size > 1000
    assert "no lung was found" not in capsys.readouterr().out


def test_a_dicom_slice_becomes_a_picture(example, tmp_path, capsys):
    data = pytest.importorskip("pydicom.data", reason="needs pydicom")
    slice_ = data.get_testdata_file("CT_small.dcm")
    assert example.main([slice_, "-o", str(tmp_path / "picture.png")]) == 0
    assert (tmp_path / "picture.png").stat().st_size > 1000
    assert "no lung was found" in capsys.readouterr().out  # its lungs are cut off by the field of view


def test_a_drawn_slice_is_in_hounsfield_units_and_its_lungs_are_found(example):
    """Tolerance: IoU 0.99, for vessels at the lungs' edge."""
    hu, lungs = example.draw_slice(128)
    assert hu.shape == lungs.shape == (1, 1, 128, 128)
    assert hu.min() >= -1024
    assert -860 < hu[lungs].median() < -840
    assert torch.equal(hu, example.draw_slice(128)[0])
    assert iou(CTLungSegmenter()(hu), lungs).min() >= 0.99


@pytest.mark.parametrize("name", ["MR_small.dcm", "rtplan.dcm"])
def test_dicom_that_is_no_ct_slice_ends_in_one_line(example, name, tmp_path, capsys):
    data = pytest.importorskip("pydicom.data", reason="needs pydicom")
    path = data.get_testdata_file(name)
    assert example.main([path, "-o", str(tmp_path / "picture.png")]) == 2
    assert path in capsys.readouterr().err.splitlines()[1]
    assert not list(tmp_path.iterdir())
