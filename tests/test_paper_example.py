"""The paper's tables and figures from one command: a folder for each training, none trained twice, two side by side."""

import dataclasses
import json
from functools import partial

import pytest
from test_examples import EXAMPLES, TINY, load_example

from anatpaste_aug import datasets
from anatpaste_aug.detection import Detector, load_checkpoint
from anatpaste_aug.detection.runs import begin_run, has_begun
from anatpaste_aug.detection.trainer import Trainer

SMALL = partial(datasets.phantom_task, train=12, val=20, test=88)

# The script with a tiny preset, and a method that dies where the file "deadly" names it.
WRAPPER = f"""
import pathlib, sys
deadly = pathlib.Path(__file__).with_name("deadly")
if deadly.exists() and deadly.read_text() in " ".join(sys.argv):
    sys.exit("out of luck")
sys.path.insert(0, {str(EXAMPLES)!r})
import reproduce_paper
from functools import partial
from anatpaste_aug import datasets
reproduce_paper.PRESETS["smoke"] = {TINY!r}
datasets.phantom_task = partial(datasets.phantom_task, train=12, val=20, test=88)
reproduce_paper.main()
"""


@pytest.fixture
def paper(monkeypatch):
    """The example on little, as a function of its command line; ``paper.module`` is its module."""
    module = load_example("reproduce_paper")
    monkeypatch.setitem(module.PRESETS, "smoke", TINY)
    monkeypatch.setattr(datasets, "phantom_task", SMALL)

    def run(*arguments, fresh=True):
        options = ["--preset", "smoke", "--backbone", "test_byobnet", "--device", "cpu"] if fresh else ["--resume"]
        return module.main([*options, *map(str, arguments)])

    run.module = module
    return run


def trainings(folder):
    return {path.parent.name for path in folder.glob("*/checkpoint.pt")}


@pytest.mark.slow
def test_a_study_is_added_to_and_trains_nothing_twice(paper, tmp_path, monkeypatch, capsys):
    out = tmp_path / "study"
    assert paper("--out", out, "--table", 2, "--method", "cutpaste-3way", "--figure", 1, 3) == out
    assert trainings(out) == {"cutpaste-3way-seed0"}
    printed = capsys.readouterr().out
    assert "Table II: AUROC (%) by group" in printed
    assert "| CutPaste (3-way), seed 0 |" in printed
    assert "Synthetic phantom" in printed
    assert Detector.load(out / "cutpaste-3way-seed0").image_size == 32
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/*")}

    seen, begin = [], Trainer.__init__

    def noted(self, config, *arguments):
        seen.append(config.seed)
        begin(self, config, *arguments)

    monkeypatch.setattr(Trainer, "__init__", noted)
    paper("--out", out, "--seeds", 1, "--table", 3, "--method", "cutpaste-3way", fresh=False)
    assert seen == [1]
    assert trainings(out) == {"cutpaste-3way-seed0", "cutpaste-3way-seed1"}
    assert before == {path: path.stat().st_mtime_ns for path in before}
    tables = (out / "tables.md").read_text()
    assert "| CutPaste (3-way), ensemble of 2 seeds |" in tables
    assert "CutPaste (3-way) (2 seeds) | measured" in tables
    assert {path.name for path in out.glob("*.png")} == {"figure1.png", "figure3.png"}
    page = (out / "report.html").read_text()
    assert page.count("python examples/reproduce_paper.py") == 2  # both commands

    with pytest.raises(SystemExit):
        paper("--out", out, "--split-seed", 3, fresh=False)
    assert "--split-seed is another" in capsys.readouterr().err


@pytest.mark.slow
def test_an_interrupted_study_goes_on(paper, tmp_path, monkeypatch):
    out = tmp_path / "study"
    validate = Trainer._validate

    def interrupted(trainer, *arguments):
        if (trainer.config.seed, trainer.update) == (1, 2):
            raise KeyboardInterrupt
        return validate(trainer, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_validate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            paper("--out", out, "--seeds", "0,1")
    assert trainings(out) == {"anatpaste-seed0"}
    paper("--out", out, fresh=False)
    assert trainings(out) == {"anatpaste-seed0", "anatpaste-seed1"}
    results = json.loads((out / "metrics.json").read_text())["results"]
    assert [row["weights"] for row in results[:3]] == [
        "AnatPaste, seed 0",
        "AnatPaste, seed 1",
        "AnatPaste, ensemble of 2 seeds",
    ]


@pytest.mark.parametrize("methods", [[], ["--method", "cutpaste-3way"]])
def test_figure_1_takes_no_training(paper, tmp_path, methods):
    paper("--out", tmp_path / "study", "--figure", 1, *methods)
    names = {path.name for path in (tmp_path / "study").iterdir()}
    assert names == {"config.json", "figure1.png", "metrics.json", "report.html", "tables.md"}


def test_a_later_table_gets_the_methods_that_it_needs(paper, tmp_path):
    def planned(*arguments):
        return paper.module.parse_arguments([*map(str, arguments), "--out", str(tmp_path)]).methods

    begun = vars(paper.module.parse_arguments(["--method", "cutpaste", "--table", "1"]))
    (tmp_path / "config.json").write_text(json.dumps(begun, default=str))
    assert planned("--resume") == ["cutpaste"]
    assert planned("--resume", "--figure", 1, "--method", "anatpaste") == ["cutpaste"]
    assert planned("--resume", "--method", "cutpaste-union") == ["cutpaste", "cutpaste-union"]
    assert planned("--resume", "--table", 3) == [
        "cutpaste",
        "anatpaste",
        "anatpaste-noseg",
        "anatpaste-noblur",
        "cutpaste-scar",
    ]


@pytest.mark.slow
def test_a_study_goes_on_with_the_settings_that_it_began_with(paper, tmp_path, monkeypatch):
    out = tmp_path / "study"
    paper("--out", out, "--table", 2)
    monkeypatch.setitem(paper.module.PRESETS, "smoke", {**TINY, "updates": TINY["updates"] + 1})
    paper("--out", out, "--seeds", 1, fresh=False)
    for name in ("anatpaste-seed0", "anatpaste-seed1"):
        assert load_checkpoint(out / name / "checkpoint.pt")[0].history[-1].update == TINY["updates"]


def test_what_a_call_leaves_that_was_killed_before_it_had_begun_is_in_nobody_s_way(paper, tmp_path):
    out = tmp_path / "study"
    out.mkdir()
    (out / ".config.json.1234.tmp").touch()
    paper("--out", out, "--figure", 1)
    assert (out / "report.html").is_file()


def test_a_run_folder_without_its_split_has_not_begun(tmp_path):
    task = SMALL(32)
    begin_run(tmp_path, {}, task)
    assert has_begun(tmp_path, task)
    task = dataclasses.replace(task, split=datasets.Split("x", "x", 0, (), (), ()))
    assert not has_begun(tmp_path, task)
    begin_run(tmp_path, {}, task)
    assert has_begun(tmp_path, task)


@pytest.mark.slow
def test_a_job_that_dies_is_named_and_can_be_made_up_for(paper, tmp_path, monkeypatch, capsys):
    out, script = tmp_path / "study", tmp_path / "wrapper.py"
    script.write_text(WRAPPER)
    (tmp_path / "deadly").write_text("cutpaste-scar-seed0")
    monkeypatch.setattr(paper.module, "__file__", str(script))
    with pytest.raises(SystemExit, match=r"failed: cutpaste-scar-seed0; the others are done. Go on with --out"):
        paper("--out", out, "--table", 1, "--jobs", 2)
    assert trainings(out) == {"anatpaste-seed0"}
    assert not (out / "report.html").exists()
    assert "out of luck" in (out / "cutpaste-scar-seed0" / "output.txt").read_text()
    assert "cutpaste-scar-seed0: failed with exit status 1" in capsys.readouterr().out
    paper("--out", out, "--jobs", 1, fresh=False)
    assert trainings(out) == {"anatpaste-seed0", "cutpaste-scar-seed0"}
    page = (out / "report.html").read_text()
    assert "CutPaste (scar), seed 0" in page
    assert "untrained test_byobnet features" in page


def test_pretrained_weights_are_looked_at_before_the_training(paper, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere.pth"):
        paper("--out", tmp_path / "study", "--table", 1, "--pretrained", tmp_path / "nowhere.pth")
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "anatpast"], "--method anatpast: choose from anatpaste, "),
        (["--seeds", "0", "x"], "--seeds takes numbers from 0 up, got 0 x"),
        (["--table", "4"], "invalid choice"),
        (["--figure", "2"], "invalid choice"),
        (["--pretrained", "x.pth"], "--pretrained needs --table"),
        (["--jobs", "0"], "--jobs 0: at least 1"),
        (
            ["--dataset", "chexpert", "--root", "x", "--table", "1", "2"],
            "--table 2 of chexpert has a test set of its own",
        ),
        (["--dataset", "chexpert", "--root", "x", "--table", "3", "--per-disease"], "has a test set of its own"),
    ],
)
def test_wrong_wishes_end_with_one_clear_error(paper, arguments, message, capsys):
    with pytest.raises(SystemExit):
        paper(*arguments)
    assert message in capsys.readouterr().err


def test_a_single_run_does_not_become_a_study(paper, tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"command": "python examples/reproduce_paper.py"}')
    (tmp_path / "training.pt").touch()
    with pytest.raises(SystemExit):
        paper("--out", tmp_path, "--table", 1, fresh=False)
    assert "holds a single training; name a new folder" in capsys.readouterr().err


def test_table_2_on_chexpert_alone_is_the_protocol_of_the_diseases(paper):
    root = ["--dataset", "chexpert", "--root", "x"]
    parse = paper.module.parse_arguments
    assert parse([*root, "--table", "2"]).per_disease
    assert parse([*root, "--table", "1", "3"]).methods == [
        "anatpaste",
        "cutpaste-scar",
        "anatpaste-noseg",
        "anatpaste-noblur",
    ]
    assert parse([*root]).methods == ["anatpaste"]
    assert parse([*root, "--table", "2", "--figure", "3"]).per_disease


def test_methods_are_added_to_those_that_a_study_has(paper, tmp_path):
    parse = paper.module.parse_arguments
    begun = vars(parse(["--table", "1", "--seeds", "0,1"])) | {"out": None}
    (tmp_path / "config.json").write_text(json.dumps(begun))
    again = parse(["--out", str(tmp_path), "--resume", "--method", "anatpaste-noseg", "--seeds", "2", "--figure", "4"])
    assert again.methods == ["anatpaste", "cutpaste-scar", "anatpaste-noseg"]
    assert (again.seeds, again.table, again.figure) == (["0", "1", "2"], [1], [4])
    assert again.command.count("python examples/reproduce_paper.py") == 2


def test_a_single_training_starts_no_other_process(paper):
    assert paper.module.parse_arguments(["--jobs", "4"]).jobs == 1
    assert paper.module.parse_arguments(["--jobs", "4", "--seeds", "0", "1"]).jobs == 4
