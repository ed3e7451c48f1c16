"""The command on your own images: with labels, with masks, only normal ones; errors in one line."""

import csv
import json

import pytest
from helpers.files.own_images import write_images, write_layout, write_manifest
from helpers.real_data import DATA, needs
from helpers.tiny.paper import QUICK, make_tiny

from anatpaste_aug.cli import main
from anatpaste_aug.datasets import Split
from anatpaste_aug.detection import PretextDetector


@pytest.fixture
def reproduce(monkeypatch, tmp_path):
    """Run the command with a small configuration; returns the exit code."""
    make_tiny(monkeypatch)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: main(["reproduce", *QUICK, "--dataset", "folder", *map(str, arguments)])


def results(run):
    return json.loads((run / "metrics.json").read_text())


def test_two_folders_of_ten_images_each(reproduce, tmp_path, capsys):
    write_images(tmp_path / "normal", 10)
    write_images(tmp_path / "ill", 10, 10)
    assert reproduce("--normal", "normal", "--abnormal", "ill", "--out", "run") == 0
    rows = results(tmp_path / "run")["results"]
    assert [row["weights"] for row in rows[:2]] == ["best", "last"]
    assert (rows[0]["normal"], rows[0]["abnormal"]) == (2, 5)
    assert Split.load(tmp_path / "run" / "split.json").counts()["train"] == {"normal": 6, "abnormal": 0}
    assert "images split by patient at random, seed 0" in capsys.readouterr().out


def test_a_layout_with_masks_has_pixel_metrics(reproduce, tmp_path, capsys):
    pytest.importorskip("pytorch_grad_cam")
    write_layout(tmp_path / "data", masks=True)
    write_images(tmp_path / "masks", 8)
    assert reproduce("--root", "data", "--segmenter", "masks", "--out", "run", "--false-positive-rate", "0.4") == 0
    record = results(tmp_path / "run")
    assert record["pixels"]["images"] == 12
    assert record["pixels"]["share"] == pytest.approx(8 / 12 / 2)
    assert "Grad-CAM: pixel AUROC " in capsys.readouterr().out
    detector = PretextDetector.load(tmp_path / "run")
    with (tmp_path / "run" / "val_scores.csv").open() as file:
        normal = [float(row["best"]) for row in csv.DictReader(file) if row["label"] == "0"]
    assert sum(score >= detector.calibration.threshold for score in normal) == 1  # of 3, at most 40 %


def test_normal_images_alone_train_and_score(reproduce, tmp_path, capsys):
    write_images(tmp_path / "data" / "train" / "good", 40)
    assert reproduce("--root", "data", "--out", "run", "--segmenter", "none") == 0
    printed = capsys.readouterr().out
    assert printed.count("Normal images only: no AUROC and no sensitivity; the specificity is of the test images.") == 2
    assert (
        "8 normal validation images are too few for a false-positive rate of 0.05: the threshold is above all of them"
        in printed
    )
    (row,) = results(tmp_path / "run")["results"]
    assert (row["weights"], row["auroc"], row["sensitivity"], row["abnormal"]) == ("last", None, None, 0)
    assert 0 <= row["specificity"] <= 1
    record = results(tmp_path / "run")
    assert (row["matched"], record["findings"], record["matched_groups"]) == (None, [], {})
    assert not (tmp_path / "run" / "roc.png").exists()
    page = (tmp_path / "run" / "report.html").read_text()
    assert "specificity, last weights" in page
    assert main(["score", "--model", "run", "--no-cam", "-o", "scores", "data/train/good/000.png"]) == 0
    with (tmp_path / "scores" / "scores.csv").open() as file:
        assert next(csv.DictReader(file))["decision"] in ("normal", "abnormal")


def test_last_weights_and_a_false_positive_rate(reproduce, tmp_path):
    write_images(tmp_path / "normal", 60)
    write_images(tmp_path / "ill", 24, 60)
    folders = ("--normal", "normal", "--abnormal", "ill", "--segmenter", "none")
    assert reproduce(*folders, "--select", "last", "--false-positive-rate", "0.25", "--out", "run") == 0
    record = results(tmp_path / "run")
    rows = {row["weights"]: row for row in record["results"]}
    assert next(iter(rows)) == "last"
    assert "best" not in rows
    assert len(rows) > 2
    assert record["matched_groups"].keys() == rows.keys()
    assert record["findings"][0].startswith("Best one-number score: ")
    assert not any("best weights" in finding for finding in record["findings"])
    assert all(row["matched"]["interval"] or row["matched"]["note"] for row in rows.values())
    with (tmp_path / "run" / "val_scores.csv").open() as file:
        normal = [float(row["last_scaled"]) for row in csv.DictReader(file) if row["label"] == "0"]
    assert sum(score >= rows["last"]["threshold"] for score in normal) <= 0.25 * len(normal)


@pytest.mark.slow
def test_results_that_need_labels_are_left_out_with_a_note(reproduce, tmp_path, capsys):
    write_images(tmp_path / "normal", 20)
    options = ("--table", 1, "--figure", 1, 3, 4, "--seeds", 0, 1, "--method", "anatpaste")
    assert reproduce("--normal", "normal", *options, "--out", "run") == 0
    assert "No abnormal test images: without tables and ROC curves." in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "run").glob("*.png")} == {"figure1.png", "figure4.png"}
    assert "specificity" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.slow
def test_a_manifest_with_select_pretext_and_resume(reproduce, tmp_path, capsys):
    paths = [*write_images(tmp_path / "images", 16), *write_images(tmp_path / "ill", 6, 16)]
    rows = [f"{path.relative_to(tmp_path)},{int(i > 15)},p{i // 2}" for i, path in enumerate(paths)]
    write_manifest(tmp_path / "images.csv", rows, "path,label,patient")
    options = ("--select", "pretext", "--table", 1, "--method", "anatpaste")
    arguments = ("--manifest", "images.csv", "--out", "run", *options)
    assert reproduce(*arguments) == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["select"] == "pretext"
    assert main(["reproduce", "--out", "run", "--resume", "--seeds", "1"]) == 0
    assert (tmp_path / "run" / "anatpaste-seed1" / "checkpoint.pt").is_file()
    assert main(["reproduce", "--out", "run", "--resume", "--seeds", "2", "--select", "last"]) == 2
    assert "--select is pretext in run; give that, or a new folder as --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--dataset folder needs --root DIR (train/good, test/good, test/FINDING), --normal DIR with or without"),
        (["--root", "data", "--normal", "data"], "--dataset folder needs --root DIR"),
        (["--root", "data", "--abnormal", "data"], "--abnormal DIR needs --normal DIR"),
        (
            ["--root", "data"],
            "data has no train/good (it contains loose): expected train/good, test/good and test/FINDING",
        ),
        (["--normal", "nowhere"], "nowhere, does not exist: give two folders of images"),
        (
            ["--normal", "data", "--segmenter", "liver"],
            "--segmenter liver: not a folder of masks; give one, or lungs,",
        ),
        (["--normal", "data", "--select", "auroc"], "--select auroc needs abnormal validation images; choose last or"),
        (["--normal", "data", "--false-positive-rate", "5"], "5 is out of range, give a number between 0 and 1"),
        (["--manifest", "data.csv"], "data.csv: No such file or directory; expected a CSV file with the columns"),
    ],
)
def test_errors_are_one_line(reproduce, tmp_path, capsys, arguments, message):
    write_images(tmp_path / "data" / "loose", 10)
    assert reproduce(*arguments, "--out", "run") == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("anatpaste-aug reproduce: error: ")
    assert message in last
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@needs("adult")
def test_adult_radiographs_and_their_normal_ones_alone(reproduce, tmp_path, capsys):
    adult = DATA / "adult"
    assert reproduce("--root", adult, "--manifest", adult / "views.csv", "--out", "all") == 0
    record = results(tmp_path / "all")
    assert sorted(record["groups"]["best"]) == ["AP", "PA"]
    assert (record["results"][0]["normal"], record["results"][0]["abnormal"]) == (180, 160)
    assert reproduce("--normal", adult / "train" / "good", "--out", "normal") == 0
    (row,) = results(tmp_path / "normal")["results"]
    # 400 held-out images choose the threshold, 400 others are called abnormal about as often.
    assert row["specificity"] == pytest.approx(0.95, abs=0.04)
