"""The examples, run as a user runs them but on less: every file of a run folder is there and can be read back."""

import csv
import importlib.util
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from forks import finish, kill_self, start, torchrun

from anatpaste_aug.datasets import Split
from anatpaste_aug.datasets.chexpert import DISEASES
from anatpaste_aug.detection import load_checkpoint

EXAMPLES = Path(__file__).parents[1] / "examples"
DATA = Path(os.environ.get("ANATPASTE_DATA", EXAMPLES.parents[1] / "shared" / "data"))
ZHANGLAB = DATA / "zhanglab"
TINY = {"image_size": 32, "batch_size": 4, "updates": 2, "updates_per_epoch": 1}
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
    example = load_example("reproduce_paper")
    monkeypatch.setitem(example.PRESETS, "smoke", TINY)
    argv = argv or ["reproduce_paper.py", "--preset", "smoke", "--device", "cpu", *map(str, arguments)]
    monkeypatch.setattr(sys, "argv", argv)
    example.main()


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
    result, extra = load_checkpoint(run / "checkpoint.pt")
    assert result.config.image_size == 32
    assert extra["best"]["threshold"] == results[0]["threshold"]
    assert "Synthetic phantom" in (run / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.trains_in_forks
def test_a_run_that_is_killed_is_resumed_with_its_settings_and_ends_alike(tmp_path, monkeypatch):
    run, again = tmp_path / "run", tmp_path / "again"
    arguments = ["--seed", "3", "--backbone", "test_byobnet", "--checkpoint-every", "1"]
    run_paper(monkeypatch, *arguments, "--out", run)

    def killed():
        monkeypatch.setattr("anatpaste_aug.detection.trainer.Trainer._validate", lambda *args: kill_self())
        run_paper(monkeypatch, *arguments, "--tensorboard", "--out", again)

    assert finish(start(killed)) == -signal.SIGKILL
    assert {path.name for path in again.iterdir()} == {".lock", "config.json", "training.pt"}
    resume = ["reproduce_paper.py", "--out", str(again), "--resume"]
    run_paper(monkeypatch, argv=resume)
    assert {path.name for path in again.iterdir()} == WRITTEN | {"tensorboard"}
    assert (run / "scores.csv").read_text() == (again / "scores.csv").read_text()
    assert "--seed 3" in (again / "report.html").read_text()
    with pytest.raises(SystemExit):
        run_paper(monkeypatch, argv=resume)


@pytest.mark.slow
@pytest.mark.trains_in_forks
def test_two_processes_fill_one_run_folder(tmp_path, monkeypatch, capfd):
    arguments = ["--backbone", "test_byobnet", "--out", tmp_path / "run"]
    assert torchrun(2, lambda: run_paper(monkeypatch, *arguments)) == [0, 0]
    assert {path.name for path in (tmp_path / "run").iterdir()} == WRITTEN
    assert json.loads((tmp_path / "run" / "config.json").read_text())["processes"] == 2
    assert capfd.readouterr().out.count("report: ") == 1


@pytest.mark.slow
@pytest.mark.skipif(not ZHANGLAB.is_dir(), reason=f"no real radiographs at {ZHANGLAB}; set ANATPASTE_DATA")
def test_run_on_real_radiographs_writes_a_split_that_reads_back(tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    run_paper(monkeypatch, "--dataset", "zhanglab", "--root", ZHANGLAB, "--out", run)
    assert {path.name for path in run.iterdir()} == WRITTEN | {"split.json"}
    split = Split.load(run / "split.json")
    assert split.counts()["val"] == {"normal": 100, "abnormal": 100}
    assert "development figures" in capsys.readouterr().out


needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real radiographs at {DATA}; set ANATPASTE_DATA")


def groups_of(run):
    groups = json.loads((run / "metrics.json").read_text())["groups"]["best"]
    assert all((found["auroc"] is None) == (min(found["normal"], found["abnormal"]) < 10) for found in groups.values())
    return set(groups)


@pytest.mark.slow
@needs_data
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
@needs_data
def test_a_run_on_the_rsna_layout_reports_views(tmp_path, monkeypatch, capsys):
    arguments = ["--dataset", "rsna", "--root", DATA, "--views", "all", "--name", "NIH images in RSNA layout"]
    run_paper(monkeypatch, *arguments, "--out", tmp_path / "run")
    assert "PA: AUROC 0." in capsys.readouterr().out
    assert groups_of(tmp_path / "run") == {"AP", "PA", "Lung Opacity", "No Lung Opacity / Not Normal"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "zhanglab"], "needs --root"),
        (["--views", "all"], "--views needs --dataset chexpert or rsna"),
        (["--dataset", "rsna", "--root", "x", "--download"], "--download needs --dataset zhanglab"),
        (["--root", "somewhere"], "needs --dataset zhanglab"),
        (["--dataset", "chestxray"], "invalid choice"),
        (["--resume"], "--resume needs --out RUN"),
    ],
)
def test_wrong_arguments_end_with_one_clear_error(arguments, message, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run_paper(monkeypatch, *arguments)
    assert message in capsys.readouterr().err


def test_a_run_folder_with_files_in_it_is_not_touched(tmp_path, monkeypatch, capsys):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(SystemExit):
        run_paper(monkeypatch, "--out", tmp_path)
    assert "name a new one" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_a_missing_dataset_is_named_before_anything_is_written(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="nowhere"):
        run_paper(monkeypatch, "--dataset", "zhanglab", "--root", tmp_path / "nowhere", "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_show_augmentation_draws_a_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["show_augmentation.py", "-o", str(tmp_path / "picture.png"), "--size", "64"])
    load_example("show_augmentation").main()
    assert (tmp_path / "picture.png").stat().st_size > 1000
