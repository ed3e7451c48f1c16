"""The paper's experiment with fewer images: all files of a run folder exist and can be read."""

import csv
import json
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.files.layouts import BATCHES, unpack_batches
from helpers.forks import finish, kill_self, start, torchrun
from helpers.real_data import DATA, needs
from helpers.tiny.paper import TINY

from anatpaste_aug.datasets import Split
from anatpaste_aug.datasets.chexpert.index import DISEASES
from anatpaste_aug.detection import PRESETS, PretextConfig
from anatpaste_aug.detection.training.result import load_result

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "reproduce_paper.py"
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


def run_paper(monkeypatch, *arguments, argv=None):
    """Runs the example as a script; it must succeed."""
    monkeypatch.setitem(PRESETS, "smoke", TINY)
    argv = argv or ["--preset", "smoke", "--device", "cpu", *map(str, arguments)]
    monkeypatch.setattr(sys, "argv", ["reproduce_paper.py", *argv])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
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


@pytest.mark.slow
@needs("chexpert_layout")
def test_a_run_on_the_archives_ends_in_a_report(tmp_path):
    place = unpack_batches(DATA / "chexpert_layout" / "CheXpert-v1.0-small", tmp_path / "chexpertchestxrays-u20210408")
    (place / "train_visualCheXbert.csv").write_text("Path,No Finding\n")
    out = tmp_path / "run"
    arguments = ["--dataset", "chexpert", "--root", str(tmp_path), "--preset", "smoke", "--views", "all"]
    arguments += ["--name", "NIH images in CheXpert layout", "--device", "cpu", "--out", str(out)]
    done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "NIH images in CheXpert layout (development split): reduced protocol" in done.stdout
    assert f"report: {out / 'report.html'}" in done.stdout
    assert "NIH images in CheXpert layout" in (out / "report.html").read_text()
    assert json.loads((out / "metrics.json").read_text())["results"]
    split = Split.load(out / "split.json")
    assert {record.path.split("/")[0] for record in split.train} == set(BATCHES[1:])
    split.verify(place)


@pytest.mark.slow
def test_an_example_in_a_process_of_its_own_shows_no_traceback(tmp_path):
    command = [sys.executable, SCRIPT, "--dataset", "zhanglab", "--root", "nowhere", "--out", "run"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    usage, error = done.stderr.splitlines()
    assert usage.startswith("usage: python examples/reproduce_paper.py ")
    assert error.startswith(
        "python examples/reproduce_paper.py: error: --root: nowhere does not exist; give the folder"
    )
    assert not list(tmp_path.iterdir())
