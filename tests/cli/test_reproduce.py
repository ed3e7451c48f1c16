"""Studies: a run folder for each training, none trained twice, two at once."""

import dataclasses
import json
import sys

import pytest
from helpers.tiny.paper import QUICK, SMALL, TINY, make_tiny
from PIL import Image

from anatpaste_aug import datasets
from anatpaste_aug.cli import main
from anatpaste_aug.detection import PRESETS, PretextConfig, PretextDetector
from anatpaste_aug.detection.models.ganomaly.detector import GanomalyConfig
from anatpaste_aug.detection.models.pretext_training import PretextTrainer
from anatpaste_aug.detection.models.squid.detector import SquidConfig
from anatpaste_aug.detection.studies.runs import begin_run, has_begun
from anatpaste_aug.detection.training.result import load_result

# Replaces Python if trainings are started in parallel: few images, and one training that fails.
WRAPPER = f"""#!{sys.executable}
import pathlib, sys
assert sys.argv[1:5] == ["-m", "anatpaste_aug", "reproduce", "--resume"]
deadly = pathlib.Path(__file__).with_name("deadly")
if deadly.exists() and deadly.read_text() in " ".join(sys.argv):
    sys.exit("out of luck")
from functools import partial
from anatpaste_aug import datasets
from anatpaste_aug.cli import main
datasets.phantom_task = partial(datasets.phantom_task, train=12, val=20, test=88)
sys.exit(main(sys.argv[3:]))
"""


@pytest.fixture
def paper(monkeypatch):
    """The command with few images, as a function of its arguments; returns the exit code."""
    make_tiny(monkeypatch)

    def run(*arguments, fresh=True):
        return main(["reproduce", *(QUICK if fresh else ["--resume"]), *map(str, arguments)])

    return run


def trainings(folder):
    return {path.parent.name for path in folder.glob("*/checkpoint.pt")}


@pytest.mark.slow
def test_a_study_is_added_to_and_trains_nothing_twice(paper, tmp_path, monkeypatch, capsys):
    out = tmp_path / "study"
    assert paper("--out", out, "--table", 2, "--method", "cutpaste-3way", "--figure", 1, 3) == 0
    assert trainings(out) == {"cutpaste-3way-seed0"}
    printed = capsys.readouterr().out
    assert "Table II: AUROC (%) by group" in printed
    assert "| CutPaste (3-way), seed 0 |" in printed
    assert "Synthetic phantom" in printed
    assert PretextDetector.load(out / "cutpaste-3way-seed0").image_size == 32
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/*")}

    seen, begin = [], PretextTrainer.__init__

    def noted(self, config, *arguments):
        seen.append(config.seed)
        begin(self, config, *arguments)

    monkeypatch.setattr(PretextTrainer, "__init__", noted)
    paper("--out", out, "--seeds", 1, "--table", 3, "--method", "cutpaste-3way", fresh=False)
    assert seen == [1]
    assert trainings(out) == {"cutpaste-3way-seed0", "cutpaste-3way-seed1"}
    assert before == {path: path.stat().st_mtime_ns for path in before}
    tables = (out / "tables.md").read_text()
    assert "| CutPaste (3-way), ensemble of 2 seeds |" in tables
    assert "CutPaste (3-way) (2 seeds) | measured" in tables
    assert {path.name for path in out.glob("*.png")} == {"figure1.png", "figure3.png"}
    page = (out / "report.html").read_text()
    assert page.count("anatpaste-aug reproduce") == 2  # both commands

    assert paper("--out", out, "--split-seed", 3, fresh=False) == 2
    assert f"--split-seed is 0 in {out}; give that, or a new folder as --out" in capsys.readouterr().err
    assert paper("--out", out, fresh=False) == 2
    assert f"the study in {out} is finished, see {out / 'report.html'}; add --seeds" in capsys.readouterr().err


@pytest.mark.slow
def test_an_interrupted_study_says_how_to_resume(paper, tmp_path, monkeypatch, capsys):
    out = tmp_path / "study"
    validate = PretextTrainer.validate

    def interrupted(trainer, *arguments):
        if (trainer.config.seed, trainer.update) == (1, 2):
            raise KeyboardInterrupt
        return validate(trainer, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(PretextTrainer, "validate", interrupted)
        assert paper("--out", out, "--seeds", "0,1") == 130
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"anatpaste-aug reproduce: interrupted: continue with --out {out} --resume"
    assert trainings(out) == {"anatpaste-seed0"}
    paper("--out", out, fresh=False)
    assert trainings(out) == {"anatpaste-seed0", "anatpaste-seed1"}
    results = json.loads((out / "metrics.json").read_text())["results"]
    assert [row["weights"] for row in results[:3]] == [
        "AnatPaste, seed 0",
        "AnatPaste, seed 1",
        "AnatPaste, ensemble of 2 seeds",
    ]


@pytest.mark.slow
def test_a_study_of_other_detectors_resumes_and_score_reads_its_runs(paper, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(PRESETS, "smoke", TINY | {"image_size": 64})
    out = tmp_path / "study"
    assert paper("--out", out, "--table", 1, "--method", "anatpaste", "ganomaly", "f-anogan") == 0
    monkeypatch.setattr(SquidConfig, "presets", {"smoke": SquidConfig.presets["smoke"] | {"updates": 3}})
    monkeypatch.setattr(GanomalyConfig, "presets", {"smoke": {"updates": 99}})  # not that of the resumed run
    assert paper("--out", out, "--method", "squid", "--seeds", 1, fresh=False) == 0
    names = ("anatpaste", "ganomaly", "f-anogan", "squid")
    assert trainings(out) == {f"{name}-seed{seed}" for name in names for seed in (0, 1)}
    tables = (out / "tables.md").read_text()
    for label in ("GANomaly", "f-AnoGAN", "SQUID"):
        assert f"| {label}, ensemble of 2 seeds | measured |" in tables
        assert f"| {label}, last weights, ensemble of 2 seeds | measured |" in tables
    settings = json.loads((out / "config.json").read_text())["detectors"]
    assert (settings["squid"]["updates"], settings["ganomaly"]["updates"]) == (3, 10)
    page = (out / "report.html").read_text()
    assert "Wasserstein" in page
    own = (out / "squid-seed1" / "report.html").read_text()
    assert "Normal radiographs are augmented" in page
    assert "Normal radiographs are augmented" not in own
    assert not (out / "squid-seed1" / "gallery.png").exists()
    image = tmp_path / "image.png"
    Image.fromarray(SMALL(64).test.images[0, 0].numpy()).save(image)
    capsys.readouterr()
    for name in names:
        scores = tmp_path / f"scores-{name}"
        assert main(["score", "--model", str(out / f"{name}-seed1"), str(image), "-o", str(scores)]) == 0
        assert {path.name for path in scores.iterdir()} == {"scores.csv", "image.png"}
        assert "image.png: " in capsys.readouterr().out


@pytest.mark.parametrize("methods", [[], ["--method", "cutpaste-3way"]])
def test_figure_1_needs_no_training(paper, tmp_path, methods):
    paper("--out", tmp_path / "study", "--figure", 1, *methods)
    names = {path.name for path in (tmp_path / "study").iterdir()}
    assert names == {"config.json", "figure1.png", "metrics.json", "report.html", "tables.md"}


@pytest.mark.slow
def test_a_study_resumes_with_its_settings(paper, tmp_path, monkeypatch):
    out = tmp_path / "study"
    paper("--out", out, "--table", 2, "--score", "knn", "--stages", 3, 4)
    monkeypatch.setitem(PRESETS, "smoke", {**TINY, "updates": TINY["updates"] + 1, "score": "mahalanobis"})
    assert paper("--out", out, "--seeds", 1, fresh=False) == 0
    for name in ("anatpaste-seed0", "anatpaste-seed1"):
        result = load_result(out / name / "checkpoint.pt", PretextConfig)[0]
        assert result.history[-1].update == TINY["updates"]
        assert (result.config.score, result.config.stages) == ("knn", (3, 4))
    assert "the 5 nearest of the normal training images" in (out / "report.html").read_text()
    assert paper("--out", out, "--seeds", 2, "--score", "kde", fresh=False) == 2


def test_temporary_files_of_a_killed_start_do_not_matter(paper, tmp_path):
    out = tmp_path / "study"
    out.mkdir()
    (out / ".config.json.1234.tmp").touch()
    paper("--out", out, "--figure", 1)
    assert (out / "report.html").is_file()


def test_a_run_folder_without_a_split_has_not_begun(tmp_path):
    task = SMALL(32)
    begin_run(tmp_path, {}, task)
    assert has_begun(tmp_path, task)
    task = dataclasses.replace(task, split=datasets.Split("x", "x", 0, (), (), ()))
    assert not has_begun(tmp_path, task)
    begin_run(tmp_path, {}, task)
    assert has_begun(tmp_path, task)


@pytest.mark.slow
def test_a_failed_training_is_named_and_can_be_repeated(paper, tmp_path, monkeypatch, capsys):
    out, script = tmp_path / "study", tmp_path / "wrapper.py"
    script.write_text(WRAPPER)
    (tmp_path / "deadly").write_text("cutpaste-scar-seed0")
    script.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(script))
        assert paper("--out", out, "--table", 1, "--method", "anatpaste", "cutpaste-scar", "--jobs", 2) == 1
    printed = capsys.readouterr()
    message = f"failed: cutpaste-scar-seed0; the others are finished. Continue with --out {out} --resume"
    assert printed.err.splitlines()[-1] == f"anatpaste-aug reproduce: {message}"
    assert trainings(out) == {"anatpaste-seed0"}
    assert not (out / "report.html").exists()
    assert "out of luck" in (out / "cutpaste-scar-seed0" / "output.txt").read_text()
    assert "cutpaste-scar-seed0: failed with exit status 1" in printed.out
    paper("--out", out, "--jobs", 1, fresh=False)
    assert trainings(out) == {"anatpaste-seed0", "cutpaste-scar-seed0"}
    page = (out / "report.html").read_text()
    assert "CutPaste (scar), seed 0" in page
    assert "untrained test_byobnet features" in page
