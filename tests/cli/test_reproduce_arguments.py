"""The options of reproduce: how they combine, what is resumed from a folder, and what is invalid."""

import json

import pytest
from helpers.tiny.paper import QUICK

from anatpaste_aug.cli import main
from anatpaste_aug.cli.command_line import CommandLine
from anatpaste_aug.cli.reproduce_arguments import (
    METHOD_NAMES,
    PRESET_NAMES,
    REFERENCE_NAMES,
    SCORE_NAMES,
    add_options,
    complete,
    recorded,
)
from anatpaste_aug.detection import METHODS, PRESETS, PretextConfig
from anatpaste_aug.detection.models.distances import SCORES


def parse(*argv):
    parser = CommandLine("About.", prog="prog")
    add_options(parser)
    return complete(parser, list(map(str, argv)))


def refused(capsys, *argv):
    """The error of invalid arguments."""
    assert main(["reproduce", *map(str, argv)]) == 2
    printed = capsys.readouterr()
    usage, error = printed.err.splitlines()
    assert printed.out == ""
    assert usage.startswith("usage: anatpaste-aug reproduce ")
    assert len(usage) < 120
    return error.removeprefix("anatpaste-aug reproduce: error: ")


def begin(folder, *argv):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(recorded(parse(*argv)), default=str))


def test_the_help_lists_all_names():
    assert METHOD_NAMES.split(", ") == list(METHODS)
    assert list(PRESET_NAMES) == list(PRESETS)
    assert list(SCORE_NAMES) == list(SCORES)
    for name in REFERENCE_NAMES:
        PretextConfig(reference=name)


def test_the_preset_depends_on_the_dataset_unless_it_is_given(tmp_path):
    dataset = ("--dataset", "zhanglab", "--root", tmp_path)
    assert parse().preset == "demo"
    assert parse(*dataset).preset == "fast"
    begin(tmp_path / "run", *dataset, "--preset", "cpu")
    assert parse("--out", tmp_path / "run", "--resume").preset == "cpu"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "anatpast"], "--method anatpast: choose from anatpaste, "),
        (["--seeds", "0", "x"], "--seeds takes numbers from 0 up, got 0 x"),
        (["--seeds", "9" * 30], "--seeds takes numbers from 0 up, got 999"),
        (["--table", "4"], "argument --table: invalid choice: 4"),
        (["--figure", "2"], "argument --figure: invalid choice: 2"),
        (["--pretrained", "x.pth"], "--pretrained needs --table"),
        (["--jobs", "0"], "argument --jobs: 0 is out of range, give a number of at least 1"),
        (["--checkpoint-every", "0"], "argument --checkpoint-every: 0 is out of range"),
        (["--split-seed", "-1"], "argument --split-seed: -1 is out of range"),
        (["--dataset", "zhanglab"], "--dataset zhanglab needs --root DIR"),
        (["--dataset", "chestxray"], "argument --dataset: invalid choice: 'chestxray'"),
        (["--views", "all"], "--views needs --dataset chexpert or rsna"),
        (["--root", "somewhere"], "--root needs --dataset zhanglab or chexpert or rsna"),
        (["--dataset", "rsna", "--root", "x", "--download"], "--download needs --dataset zhanglab"),
        (
            ["--dataset", "chexpert", "--root", "x", "--table", "1", "2"],
            "--table 2 of chexpert has its own test set",
        ),
        (["--dataset", "chexpert", "--root", "x", "--table", "3", "--per-disease"], "has its own test set"),
        (["--resume"], "--resume needs --out RUN, the folder of an unfinished run"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_wrong_arguments_are_one_line(arguments, message, capsys):
    assert message in refused(capsys, *arguments)


def test_a_folder_with_files_in_it_is_not_touched(tmp_path, capsys):
    (tmp_path / "precious.txt").write_text("mine")
    message = f"--out {tmp_path} exists and is not an empty folder; name a new one"
    assert refused(capsys, "--out", tmp_path) == message
    (tmp_path / "config.json").write_text("{}")
    assert refused(capsys, "--out", tmp_path) == f"{message}, or --resume"
    (tmp_path / "config.json").unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_resume_names_what_is_wrong_with_the_folder(tmp_path, capsys):
    run = tmp_path / "run"
    resume = ["--out", run, "--resume"]
    assert f"--resume: {run} is not a folder; give that of a run" in refused(capsys, *resume)
    run.mkdir()
    assert f"--resume: {run} contains no run (no config.json); leave out --resume" in refused(capsys, *resume)
    for text, message in (
        ("{", "cannot be read (Expecting"),
        ("[]", "is not that of a run"),
        ("{}", "is not that of a run"),
    ):
        (run / "config.json").write_text(text)
        assert f"--resume: {run / 'config.json'} {message}" in refused(capsys, *resume)
    begin(run, *QUICK)
    (run / "report.html").touch()
    message = f"--resume: the run in {run} is finished, see {run / 'report.html'}; name a new --out for another"
    assert refused(capsys, *resume) == message
    assert f"--backbone is test_byobnet in {run}; give that" in refused(capsys, *resume, "--backbone", "resnet18")


def test_a_finished_study_resumes_only_with_more(tmp_path, capsys):
    run, resume = tmp_path / "run", ["--out", tmp_path / "run", "--resume"]
    begin(run, *QUICK, "--table", 2)
    (run / "report.html").touch()
    parse(*resume)  # its training is not there
    (run / "anatpaste-seed0").mkdir()
    (run / "anatpaste-seed0" / "report.html").touch()
    message = f"--resume: the study in {run} is finished, see {run / 'report.html'}; add --seeds, --method, --table or"
    assert refused(capsys, *resume).startswith(message)
    for more in (["--seeds", 1], ["--table", 3], ["--figure", 1], ["--method", "cutpaste"], ["--pretrained", "x.pth"]):
        assert parse(*resume, *more).study


def test_a_single_run_does_not_become_a_study(tmp_path, capsys):
    begin(tmp_path, *QUICK)
    (tmp_path / "training.pt").touch()
    message = refused(capsys, "--out", tmp_path, "--resume", "--table", 1)
    assert "contains a single training; name a new one" in message


def test_under_torchrun(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "0")
    assert refused(capsys).startswith("torchrun needs --out")
    assert refused(capsys, "--out", "x", "--jobs", 2, "--seeds", "0,1").startswith(
        "--jobs 2 cannot be combined with torchrun"
    )


def test_table_2_on_chexpert_alone_is_the_protocol_of_the_diseases():
    root = ["--dataset", "chexpert", "--root", "x"]
    assert parse(*root, "--table", 2).per_disease
    assert parse(*root, "--table", 1, 3).methods == [
        "anatpaste",
        "f-anogan",
        "ganomaly",
        "cutpaste-scar",
        "squid",
        "anatpaste-noseg",
        "anatpaste-noblur",
    ]
    assert parse(*root).methods == ["anatpaste"]
    assert parse(*root, "--table", 2, "--figure", 3).per_disease


def test_a_later_table_gets_the_methods_that_it_needs(tmp_path):
    begin(tmp_path, "--method", "cutpaste", "--table", 1)
    resume = ["--out", tmp_path, "--resume"]
    assert parse(*resume).methods == ["cutpaste"]
    assert parse(*resume, "--figure", 1, "--method", "anatpaste").methods == ["cutpaste"]
    assert parse(*resume, "--method", "cutpaste-union").methods == ["cutpaste", "cutpaste-union"]
    assert parse(*resume, "--table", 3).methods == [
        "cutpaste",
        "anatpaste",
        "anatpaste-noseg",
        "anatpaste-noblur",
        "cutpaste-scar",
    ]


def test_methods_are_added_to_those_that_a_study_has(tmp_path):
    begin(tmp_path, "--table", 1, "--seeds", "0,1")
    again = parse("--out", tmp_path, "--resume", "--method", "anatpaste-noseg", "--seeds", 2, "--figure", 4)
    assert again.methods == ["anatpaste", "f-anogan", "ganomaly", "cutpaste-scar", "squid", "anatpaste-noseg"]
    assert (again.seeds, again.table, again.figure) == (["0", "1", "2"], [1], [4])
    assert again.command.splitlines() == [
        "prog --table 1 --seeds 0,1",
        f"prog --out {tmp_path} --resume --method anatpaste-noseg --seeds 2 --figure 4",
    ]


def test_a_single_training_starts_no_other_process():
    assert parse("--jobs", 4).jobs == 1
    assert parse("--jobs", 4, "--seeds", 0, 1).jobs == 4
