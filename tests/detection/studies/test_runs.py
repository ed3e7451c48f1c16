"""A run folder has the scores of the trained detector, can be resumed, and is only read for its data."""

import dataclasses
import html
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers.tiny.study import SHORT, TASK, train_one

from anatpaste_aug import LungSegmenter
from anatpaste_aug.detection import METHODS, PretextDetector
from anatpaste_aug.detection.models.pretext_training import PretextTrainer
from anatpaste_aug.detection.studies.evaluated_methods import baseline_methods
from anatpaste_aug.detection.studies.runs import (
    begin_run,
    check_task,
    find_lung_masks,
    is_finished,
    read_run,
    train_run,
)


def test_scores_read_back_are_those_of_the_detector(finished_runs):
    for run in finished_runs:
        assert is_finished(run.folder)
        assert not (run.folder / "training.pt").exists()
        for weights in ("best", "last"):
            detector = PretextDetector.load(run.folder, weights)
            scores = getattr(run, weights)
            # float32 features depend on the batch in their last digits.
            for part, images in (("val", TASK.val.images), ("test", TASK.test.images)):
                assert getattr(scores, part) == pytest.approx(detector.score(images).numpy(), abs=1e-5)
        assert run.seconds > 0
    names = [(run.best.name, run.last.name) for run in finished_runs[:2]]
    assert names[0] == ("AnatPaste, seed 3", "AnatPaste, seed 3, last weights")
    assert names[1][0] == "AnatPaste, seed 4"


@pytest.mark.slow
def test_normal_validation_images_as_the_reference_are_scored_by_others(tmp_path):
    config = dataclasses.replace(SHORT, score="knn", reference="val")
    _, run = train_one(tmp_path / "run", "anatpaste", config)
    detector = PretextDetector.load(run.folder)
    val = detector.score_validation(TASK.val.images, TASK.val.labels).numpy()
    assert run.best.val == pytest.approx(val, abs=1e-5)
    assert (val[TASK.val.labels.numpy() == 0] > detector.score(TASK.val.images[TASK.val.labels == 0]).numpy()).all()
    assert run.best.test == pytest.approx(detector.score(TASK.test.images).numpy(), abs=1e-5)
    assert "of the normal validation images" in (run.folder / "report.html").read_text("utf-8")
    (baseline,) = [each for each in baseline_methods(TASK, config) if "untrained" in each.label]
    assert len(baseline.scores.val) == len(TASK.val.labels)
    assert not np.allclose(baseline.scores.val, baseline.scorer()(TASK.val.images))


def test_training_gets_the_masks_of_the_task_or_else_the_lungs():
    images = TASK.train.images[:2]
    given = torch.ones(2, 1, *images.shape[-2:], dtype=torch.bool)
    for name in ("anatpaste", "anat-nsa"):
        transform = METHODS[name].transforms[0]()
        assert find_lung_masks(transform, images, given) is given
        assert torch.equal(find_lung_masks(transform, images), LungSegmenter()(images))
    for name in ("cutpaste", "anatpaste-noseg"):
        assert find_lung_masks(METHODS[name].transforms[0](), images, given) is None


def test_a_report_shows_the_groups_with_their_counts(finished_runs):
    page = (finished_runs[0].folder / "report.html").read_text()
    assert "AUROC (%) by group" in page
    assert "too few" in page  # two of the twenty squares are odd
    assert TASK.note in page
    assert "A patch from elsewhere in the image" in page
    groups = json.loads((finished_runs[0].folder / "metrics.json").read_text())["groups"]["best"]
    assert {name: group["abnormal"] for name, group in groups.items()} == {"square": 18, "odd": 2}
    assert groups["odd"]["auroc"] is None
    metrics = json.loads((finished_runs[0].folder / "metrics.json").read_text())
    assert metrics["findings"][0].startswith("Best one-number score: ")
    assert html.escape(metrics["findings"][0]) in page
    assert metrics["results"][0]["matched"]["interval"]["level"] == 0.95
    assert groups["square"]["interval"]["low"] <= groups["square"]["auroc"] <= groups["square"]["interval"]["high"]


def test_other_settings_or_images_are_named(finished_runs):
    run = finished_runs[0]
    with pytest.raises(ValueError, match=r"another run \(updates is 4 there and 9 here\)"):
        read_run(run.folder, TASK, dataclasses.replace(SHORT, updates=9))
    assert read_run(run.folder, TASK, dataclasses.replace(SHORT, device="cuda")).device == "cpu"
    names = ("other.png", *TASK.val.names[1:])
    other = dataclasses.replace(TASK, val=dataclasses.replace(TASK.val, names=names))
    with pytest.raises(ValueError, match=r"val_scores.csv has the scores of other images"):
        read_run(run.folder, other, SHORT)


@pytest.mark.slow
def test_an_interrupted_run_resumes(finished_runs, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    validate = PretextTrainer.validate

    def interrupted(trainer, *arguments):
        if trainer.update == SHORT.updates:
            raise KeyboardInterrupt
        return validate(trainer, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(PretextTrainer, "validate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_one(folder, "anatpaste")
    assert not is_finished(folder)
    seen = []
    monkeypatch.setattr(PretextTrainer, "advance", _counted(PretextTrainer.advance, seen))
    printed = train_run(folder, TASK, "anatpaste", SHORT)
    assert seen == [2, 3]  # the first two updates are not repeated
    assert (folder / "scores.csv").read_text() == (finished_runs[0].folder / "scores.csv").read_text()
    assert "odd: too few for an AUROC" in printed
    assert TASK.note in printed


def test_processes_beside_the_main_one_write_no_results(tmp_path):
    begin_run(tmp_path / "run", {}, TASK)
    assert train_run(tmp_path / "run", TASK, "cutpaste", SHORT, main=False) == ""
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"config.json", "training.pt"}


def _counted(advance, seen):
    def call(trainer):
        seen.append(trainer.update)
        advance(trainer)

    return call


@pytest.mark.slow
def test_two_trainings_cannot_share_a_folder(tmp_path):
    """For example, a training that outlives its killed parent is started again."""
    begin_run(tmp_path, {}, TASK)
    code = f"""
import sys
from filelock import FileLock
with FileLock({str(tmp_path / ".lock")!r}):
    print("locked", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(BlockingIOError, match=re.escape(f"another process trains in {tmp_path}: wait")):
            train_run(tmp_path, TASK, "anatpaste", SHORT)
        other.kill()  # the lock ends with the process
    assert not (tmp_path / "training.pt").exists()
    train_run(tmp_path, TASK, "anatpaste", SHORT)
    assert is_finished(tmp_path)
    assert not (tmp_path / ".lock").exists()


@pytest.mark.parametrize(("labels", "counts"), [([0, 1, 1], "1 normal and 2"), ([0, 0, 0, 1], "3 normal and 1")])
def test_too_few_test_images_are_named_before_the_training(labels, counts):
    check_task(TASK)
    test = dataclasses.replace(TASK.test, labels=torch.tensor(labels))
    with pytest.raises(ValueError, match=f"{counts} abnormal test images: expected at least 2 of each"):
        check_task(dataclasses.replace(TASK, test=test))
