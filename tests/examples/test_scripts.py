"""The other examples: what they draw, train and print, and their errors."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch
from helpers.oracles import iou
from PIL import Image

from anatpaste_aug.datasets import phantom_batch
from anatpaste_aug.detection import PretextDetector
from anatpaste_aug.segmentation import CTLungSegmenter

EXAMPLES = Path(__file__).parents[2] / "examples"
GIVEN = ("--normal", "--abnormal", "--test")  # of train_detector


def load_example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_show_augmentation_draws_a_picture(tmp_path):
    assert load_example("show_augmentation").main(["-o", str(tmp_path / "picture.png"), "--size", "64"]) == 0
    assert (tmp_path / "picture.png").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.parametrize("abnormal", [True, False])
def test_a_detector_is_trained_on_files_and_scores_others(abnormal, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = phantom_batch(18, size=64).images[:, 0].numpy()
    names = [f"{i}.png" for i in range(18)]
    for name, pixels in zip(names, images, strict=True):
        Image.fromarray(pixels).save(name)
    given = ["--normal", *names[:10], *(["--abnormal", *names[10:14]] if abnormal else []), "--test", *names[14:]]
    options = ["--size", "64", "--updates", "2", "--backbone", "test_byobnet", "--device", "cpu"]
    assert load_example("train_detector").main([*given, *options]) == 0
    printed = capsys.readouterr().out
    assert "update 2: loss" in printed
    assert ("validation AUROC" in printed) == abnormal
    predictions = PretextDetector.load("detector.pt").predict(torch.from_numpy(images[14:, None]))
    for name, score, called in zip(names[14:], predictions.scaled, predictions.abnormal, strict=True):
        assert f"{name}: {'abnormal' if called else 'normal'}, score {score:.3f}" in printed


@pytest.mark.slow
@pytest.mark.parametrize(("method", "kinds"), [("anatpaste", 2), ("cutpaste", 2), ("3way", 3)])
def test_one_class_pairs_learns_to_tell_them_apart(method, kinds, capsys):
    options = ["--method", method, "--images", "32", "--epochs", "6", "--device", "cpu"]
    assert load_example("one_class_pairs").main(options) == 0
    lines = capsys.readouterr().out.splitlines()
    losses = [float(re.search(r"loss (\S+),", line)[1]) for line in lines]
    assert len(losses) == 6
    assert losses[-1] < losses[0]
    assert lines[0].endswith(f"{32 * kinds} images")


def test_migration_gives_the_same_batches_in_both_ways(capsys):
    load_example("migrate_from_published").main()
    expected = f"images (16, 1, 128, 128), labels {[0] * 8 + [1] * 8}"
    lines = [f"{name}: {expected}" for name in ("in the loader", "on the device") for _ in range(2)]
    assert capsys.readouterr().out.splitlines() == lines


# ct_slice


def test_a_drawn_slice_becomes_a_picture(tmp_path, capsys):
    assert load_example("ct_slice").main(["-o", str(tmp_path / "picture.png")]) == 0
    assert (tmp_path / "picture.png").stat().st_size > 1000
    assert "no lung was found" not in capsys.readouterr().out


def test_a_dicom_slice_becomes_a_picture(tmp_path, capsys):
    data = pytest.importorskip("pydicom.data", reason="needs pydicom")
    slice_ = data.get_testdata_file("CT_small.dcm")
    assert load_example("ct_slice").main([slice_, "-o", str(tmp_path / "picture.png")]) == 0
    assert (tmp_path / "picture.png").stat().st_size > 1000
    assert "no lung was found" in capsys.readouterr().out  # its lungs are cut off by the field of view


def test_a_drawn_slice_is_in_hounsfield_units_and_its_lungs_are_found():
    """Tolerance: IoU 0.99, for vessels at the lungs' edge."""
    hu, lungs = load_example("ct_slice").draw_slice(128)
    assert hu.shape == lungs.shape == (1, 1, 128, 128)
    assert hu.min() >= -1024
    assert -860 < hu[lungs].median() < -840
    assert torch.equal(hu, load_example("ct_slice").draw_slice(128)[0])
    assert iou(CTLungSegmenter()(hu), lungs).min() >= 0.99


@pytest.mark.parametrize("name", ["MR_small.dcm", "rtplan.dcm"])
def test_dicom_that_is_no_ct_slice_ends_in_one_line(name, tmp_path, capsys):
    data = pytest.importorskip("pydicom.data", reason="needs pydicom")
    path = data.get_testdata_file(name)
    assert load_example("ct_slice").main([path, "-o", str(tmp_path / "picture.png")]) == 2
    assert path in capsys.readouterr().err.splitlines()[1]
    assert not list(tmp_path.iterdir())


# errors


def cut_png(folder):
    path = folder / "cut.png"
    path.write_bytes((EXAMPLES / "anatpaste.png").read_bytes()[:5000])
    return path


@pytest.mark.parametrize(
    ("example", "arguments", "message"),
    [
        ("show_augmentation", ["missing.png"], "missing.png does not exist"),
        ("show_augmentation", [str(EXAMPLES)], "is a folder, not an image"),
        ("show_augmentation", [str(EXAMPLES / "ct_slice.py")], "ct_slice.py is not an image"),
        ("show_augmentation", [cut_png], "cut.png is damaged"),
        ("show_augmentation", ["--size", "8"], "--size: 8 is out of range, give a number from 32 to 4096"),
        ("show_augmentation", ["-o", "nowhere/picture.png"], "nowhere is not a folder"),
        ("ct_slice", ["missing.dcm"], "missing.dcm: No such file or directory"),
        ("ct_slice", [str(EXAMPLES / "anatpaste.png")], "anatpaste.png cannot be read as a CT slice"),
        ("ct_slice", ["-o", "picture.doc"], "picture.doc has an unsupported suffix"),
        ("ct_slice", ["--seed", "-1"], "--seed: -1 is out of range, give a number of at least 0"),
        ("one_class_pairs", ["--device", "cudda"], "--device: cudda: "),
        ("train_detector", [word for name in GIVEN for word in (name, "missing.png")], "missing.png does not exist"),
        ("one_class_pairs", ["--method", "nsa"], "invalid choice: 'nsa'"),
    ],
)
def test_an_example_ends_in_one_line_where_an_argument_is_wrong(
    example, arguments, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    given = [argument(tmp_path) if callable(argument) else argument for argument in arguments]
    before = sorted(tmp_path.iterdir())
    assert load_example(example).main(list(map(str, given))) == 2
    printed = capsys.readouterr()
    usage, error = printed.err.splitlines()
    assert usage.startswith(f"usage: python examples/{example}.py")
    assert error.startswith(f"python examples/{example}.py: error: ")
    assert message in error
    assert printed.out == ""
    assert sorted(tmp_path.iterdir()) == before
