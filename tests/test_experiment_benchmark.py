"""A benchmark of the detector runs the example and appends one line with all figures and what they depend on."""

import importlib
import json
from functools import partial
from pathlib import Path

import pytest

from anatpaste_aug import datasets

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
TINY = {"image_size": 32, "batch_size": 4, "updates": 2, "updates_per_epoch": 1}


@pytest.fixture
def experiment(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("experiment")
    monkeypatch.setitem(module.reproduce_paper.PRESETS, "smoke", TINY)
    monkeypatch.setattr(datasets, "phantom_task", partial(datasets.phantom_task, train=12, val=20, test=88))
    return module


@pytest.mark.slow
def test_each_run_appends_a_line(experiment, tmp_path):
    results, out = tmp_path / "new" / "results.jsonl", str(tmp_path / "study")
    options = ["--results", str(results), "--out", out]
    tiny = ["--preset", "smoke", "--backbone", "test_byobnet", "--device", "cpu", "--method", "cutpaste"]
    experiment.run("phantom", "About.", ["--table", "3"], [*options, *tiny])
    experiment.run("phantom", "About.", ["--table", "3"], [*options, "--resume", "--table", "2"])
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert len(lines) == 2
    for line in lines:
        assert line["benchmark"] == "phantom"
        assert line["commit"] is None or len(line["commit"]) >= 12
        assert {"cpu", "versions", "cores"} <= line["environment"].keys()
        assert line["date"].startswith("20")
        assert "12 normal phantoms train" in line["protocol"]
        assert "Synthetic" in line["note"]
        assert line["seconds"] > 0
        assert line["settings"]["preset"] == "smoke"
        figure = line["methods"]["CutPaste, seed 0"]["phantoms (synthetic)"]
        assert figure["interval"]["low"] <= figure["auroc"] <= figure["interval"]["high"]
    assert "--method cutpaste" in lines[0]["command"]
    assert "groups" not in lines[0]
    assert set(lines[1]["groups"]["CutPaste, seed 0"]) == {*datasets.phantom.FINDINGS}


@pytest.mark.parametrize(("dataset", "tables"), [("zhanglab", "1"), ("chexpert", "1 3"), ("rsna", "1")])
def test_scripts_ask_for_their_dataset(experiment, dataset, tables, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(experiment.reproduce_paper, "main", lambda argv: asked.append(argv) or tmp_path)
    monkeypatch.setattr(experiment, "append", lambda *arguments: None)
    monkeypatch.setattr("sys.argv", [f"{dataset}.py", "--root", "DIR"])
    script = (BENCHMARKS / f"{dataset}.py").read_text()
    exec(compile(script, f"{dataset}.py", "exec"), {"__name__": "__main__", "__doc__": "About."})
    assert asked == [["--dataset", dataset, "--table", *tables.split(), "--root", "DIR"]]
    monkeypatch.setattr("sys.argv", [f"{dataset}.py", "--root", "DIR", "--table", "2"])
    exec(compile(script, f"{dataset}.py", "exec"), {"__name__": "__main__", "__doc__": "About."})
    assert asked[1] == ["--dataset", dataset, "--root", "DIR", "--table", "2"]


def test_help_names_the_options(experiment, capsys):
    with pytest.raises(SystemExit):
        experiment.run("rsna", "What it does.", [], ["--help"])
    assert "What it does." in capsys.readouterr().out
