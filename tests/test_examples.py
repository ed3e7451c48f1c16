"""The examples with fewer images: all files of a run folder exist and can be read."""

import csv
import importlib.util
import json
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from forks import finish, kill_self, start, torchrun
from PIL import Image
from real_data import DATA, needs
from tiny_paper import TINY

from anatpaste_aug.datasets import Split, phantom_batch
from anatpaste_aug.datasets.chexpert.index import DISEASES
from anatpaste_aug.detection import PRESETS, PretextConfig, PretextDetector
from anatpaste_aug.detection.training.result import load_result

EXAMPLES = Path(__file__).parents[1] / "examples"
GIVEN = ("--normal", "--abnormal", "--test")  # of train_detector
WRITTEN = {
    "checkpoint.pt",
    "config.json",
    "extremes.png",
    "gallery.png",
    "history.png",
    "metrics.json",
    "report.html",
    "roc.png",
    "scores.csv",
    "val_scores.csv",
}


def load_example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_paper(monkeypatch, *arguments, argv=None):
    """Runs the example as a script; it must succeed."""
    monkeypatch.setitem(PRESETS, "smoke", TINY)
    argv = argv or ["--preset", "smoke", "--device", "cpu", *map(str, arguments)]
    monkeypatch.setattr(sys, "argv", ["reproduce_paper.py", *argv])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(EXAMPLES / "reproduce_paper.py"), run_name="__main__")
    assert ended.value.code == 0


@pytest.mark.slow
def test_run_on_phantoms_fills_the_run_folder(tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    run_paper(monkeypatch, "--out", run)
    assert {path.name for path in run.iterdir()} == WRITTEN
    printed = capsys.readouterr().out
    assert "Synthetic phantom" in printed
    assert "phantoms (synthetic)" in printed
    results = json.loads((run / "metrics.json").read_text())["results"]
    assert [row["weights"] for row in results[:2]] == ["best", "last"]
    assert len(results) == 6  # and four one-number scores
    with (run / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == results[0]["normal"] + results[0]["abnormal"]
    result, extra = load_result(run / "checkpoint.pt", PretextConfig)
    assert result.config.image_size == 32
    assert extra["best"]["scaled_threshold"] == results[0]["threshold"]
    assert "Synthetic phantom" in (run / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.trains_in_forks
def test_a_run_that_is_killed_is_resumed_with_its_settings_and_ends_alike(tmp_path, monkeypatch):
    run, again = tmp_path / "run", tmp_path / "again"
    arguments = ["--seed", "3", "--backbone", "test_byobnet", "--checkpoint-every", "1"]
    run_paper(monkeypatch, *arguments, "--out", run)

    def killed():
        monkeypatch.setattr(
            "anatpaste_aug.detection.models.pretext_training.PretextTrainer.validate", lambda *args: kill_self()
        )
        run_paper(monkeypatch, *arguments, "--tensorboard", "--out", again)

    assert finish(start(killed)) == -signal.SIGKILL
    assert {path.name for path in again.iterdir()} == {".lock", "config.json", "training.pt"}
    run_paper(monkeypatch, argv=["--out", str(again), "--resume"])
    assert {path.name for path in again.iterdir()} == WRITTEN | {"tensorboard"}
    assert (run / "scores.csv").read_text() == (again / "scores.csv").read_text()
    assert "--seed 3" in (again / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.trains_in_forks
def test_two_processes_fill_one_run_folder(tmp_path, monkeypatch, capfd):
    arguments = ["--backbone", "test_byobnet", "--out", tmp_path / "run"]
    assert torchrun(2, lambda: run_paper(monkeypatch, *arguments)) == [0, 0]
    assert {path.name for path in (tmp_path / "run").iterdir()} == WRITTEN
    assert json.loads((tmp_path / "run" / "config.json").read_text())["processes"] == 2
    assert capfd.readouterr().out.count("report: ") == 1


@pytest.mark.slow
@needs("zhanglab")
def test_run_on_real_radiographs_writes_a_split_that_reads_back(tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    run_paper(monkeypatch, "--dataset", "zhanglab", "--root", DATA / "zhanglab", "--out", run)
    assert {path.name for path in run.iterdir()} == WRITTEN | {"split.json"}
    split = Split.load(run / "split.json")
    assert split.counts()["val"] == {"normal": 100, "abnormal": 100}
    assert "development results" in capsys.readouterr().out


def groups_of(run):
    groups = json.loads((run / "metrics.json").read_text())["groups"]["best"]
    assert all((found["auroc"] is None) == (min(found["normal"], found["abnormal"]) < 10) for found in groups.values())
    return set(groups)


@pytest.mark.slow
@needs("chexpert_layout")
def test_a_run_on_the_chexpert_layout_is_repeated_from_its_split(tmp_path, monkeypatch, capsys):
    arguments = ["--dataset", "chexpert", "--root", DATA, "--cache", tmp_path / "cache", "--exclude-support-devices"]
    arguments += ["--name", "NIH images in CheXpert layout"]
    run_paper(monkeypatch, *arguments, "--out", tmp_path / "run")
    printed = capsys.readouterr().out
    assert "NIH images in CheXpert layout (development split): reduced protocol" in printed
    assert "Pleural Effusion: AUROC 0." in printed
    assert "Edema: too few for an AUROC" in printed
    assert groups_of(tmp_path / "run") == {*DISEASES}
    again = ["--split", tmp_path / "run" / "split.json", "--split-seed", "5", "--out", tmp_path / "again"]
    run_paper(monkeypatch, *arguments, *again)
    for name in ("split.json", "scores.csv"):
        assert (tmp_path / "run" / name).read_text() == (tmp_path / "again" / name).read_text()


@pytest.mark.slow
@needs("rsna_layout")
def test_a_run_on_the_rsna_layout_reports_views(tmp_path, monkeypatch, capsys):
    arguments = ["--dataset", "rsna", "--root", DATA, "--views", "all", "--name", "NIH images in RSNA layout"]
    run_paper(monkeypatch, *arguments, "--out", tmp_path / "run")
    assert "PA: AUROC 0." in capsys.readouterr().out
    assert groups_of(tmp_path / "run") == {"AP", "PA", "Lung Opacity", "No Lung Opacity / Not Normal"}


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


@pytest.mark.slow
def test_an_example_in_a_process_of_its_own_shows_no_traceback(tmp_path):
    script = EXAMPLES / "reproduce_paper.py"
    command = [sys.executable, script, "--dataset", "zhanglab", "--root", "nowhere", "--out", "run"]
    environment = os.environ | {"PYTHONPATH": str(EXAMPLES.parent)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    usage, error = done.stderr.splitlines()
    assert usage.startswith("usage: python examples/reproduce_paper.py ")
    assert error.startswith(
        "python examples/reproduce_paper.py: error: --root: nowhere does not exist; give the folder"
    )
    assert not list(tmp_path.iterdir())
