"""The benchmarks of the detector run the example and append a line with all figures and settings."""

import json
import runpy
from pathlib import Path

import pytest
from helpers.tiny.paper import QUICK, make_tiny

from anatpaste_aug.cli.reproduce_arguments import complete
from anatpaste_aug.datasets.phantom.radiograph import FINDINGS

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def experiment(benchmarks, monkeypatch):
    make_tiny(monkeypatch)
    return benchmarks("experiment")


@pytest.mark.slow
def test_each_run_appends_a_line(experiment, tmp_path):
    results, out = tmp_path / "new" / "results.jsonl", str(tmp_path / "study")
    options = ["--results", str(results), "--out", out]
    assert experiment.run("phantom", "About.", [3], [*options, *QUICK, "--method", "cutpaste"]) == 0
    assert experiment.run("phantom", "About.", [3], [*options, "--resume", "--table", "2"]) == 0
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
    assert set(lines[1]["groups"]["CutPaste, seed 0"]) == {*FINDINGS}


@pytest.mark.parametrize(("dataset", "tables"), [("zhanglab", [1]), ("chexpert", [1, 3]), ("rsna", [1])])
def test_scripts_ask_for_their_dataset(experiment, dataset, tables, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(
        experiment, "reproduce", lambda parser: asked.append(complete(parser, parser.given)) or tmp_path
    )
    monkeypatch.setattr(experiment, "append", lambda *arguments: None)
    for given in ([], ["--table", "2"]):
        monkeypatch.setattr("sys.argv", [f"{dataset}.py", "--root", "DIR", *given])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(BENCHMARKS / f"{dataset}.py"), run_name="__main__")
        assert ended.value.code == 0
    assert [(each.dataset, each.root, each.table) for each in asked] == [
        (dataset, Path("DIR"), tables),
        (dataset, Path("DIR"), [2]),
    ]


@pytest.mark.parametrize("dataset", ["zhanglab", "chexpert", "rsna"])
def test_a_wrong_folder_is_an_error_of_one_line(experiment, dataset, tmp_path, capsys):
    results = tmp_path / "results.jsonl"
    given = ["--root", str(tmp_path), "--results", str(results), "--method", "anatpaste", *QUICK]
    assert experiment.run(dataset, "About.", [1], given) == 2
    *_, usage, error = capsys.readouterr().err.splitlines()
    assert usage.startswith(f"usage: python benchmarks/{dataset}.py")
    assert str(tmp_path) in error
    assert not results.exists()
