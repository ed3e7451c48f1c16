"""Results as text, CSV and JSON can be read back."""

import csv
import dataclasses
import json

import pytest
import torch
from helpers.run_pictures import LABELS, METRICS, NASTY, ROWS, SCORES

from anatpaste_aug.detection import Interval, PretextConfig
from anatpaste_aug.detection.evaluation.matched import MatchedAuroc
from anatpaste_aug.detection.reporting.output_files import results_table, write_metrics_json, write_scores_csv


def test_results_table():
    header, rule, best, last = results_table(ROWS).splitlines()
    assert " ".join(header.split()) == ("method update val. AUROC AUROC accuracy F1 sensitivity specificity threshold")
    assert set(rule) == {"─", " "}
    assert best.split() == [
        "best",
        "weights",
        "8",
        "0.900",
        "0.833",
        "0.714",
        "0.750",
        "0.750",
        "0.667",
        "0.500",
    ]
    assert last.split()[:4] == ["last", "weights", "–", "–"]
    other = dataclasses.replace(ROWS[1], dataset="mine")
    assert results_table([ROWS[0], other]).split()[0] == "dataset"
    with pytest.raises(ValueError, match="no results"):
        results_table([])


def test_an_interval_shows_beside_its_auroc(tmp_path):
    row = dataclasses.replace(ROWS[0], interval=Interval(METRICS.auroc, 0.5, 1.0))
    assert " 0.833 [0.500, 1.000] " in results_table([row])
    (written,) = json.loads(write_metrics_json(tmp_path / "metrics.json", [row]).read_text())["results"]
    assert written["interval"] == {"estimate": METRICS.auroc, "low": 0.5, "high": 1.0, "level": 0.95}


def test_the_matched_auroc_shows_with_its_effective_number_of_images(tmp_path):
    matched = MatchedAuroc(Interval(0.6, 0.4, 0.8), 12.4, 9.7)
    row = dataclasses.replace(ROWS[0], matched=matched)
    assert " 0.600 [0.400, 0.800] 12 + 10 " in " ".join(results_table([row]).split())
    (written,) = json.loads(write_metrics_json(tmp_path / "metrics.json", [row]).read_text())["results"]
    assert written["matched"] == dataclasses.asdict(matched)
    unmatched = dataclasses.replace(row, matched=MatchedAuroc(None, 3.0, 2.0, "cannot be matched"))
    assert unmatched.cells()["matched AUROC"] == unmatched.cells()["effective images"] == "–"


def test_scores_csv_reads_back(tmp_path):
    names = [f"a,{i}\n{NASTY}" for i in range(7)]
    path = write_scores_csv(
        tmp_path / "scores.csv", names, LABELS, {"best": torch.from_numpy(SCORES), "rank": range(7)}
    )
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == names
    assert [int(row["label"]) for row in rows] == LABELS.tolist()
    assert [float(row["best"]) for row in rows] == SCORES.tolist()
    with pytest.raises(ValueError, match="column 'best' has 2 values for 7 names"):
        write_scores_csv(path, names, LABELS, {"best": [1.0, 2.0]})


def test_metrics_json_reads_back(tmp_path):
    extra = {"config": PretextConfig(), "folder": tmp_path, "scores": SCORES, "one": torch.tensor(2)}
    content = json.loads(write_metrics_json(tmp_path / "metrics.json", ROWS, extra).read_text())
    best, last = content["results"]
    row = {"dataset": "phantoms", "weights": "best", "update": 8, "val_auroc": 0.9, "interval": None, "matched": None}
    assert best == row | dataclasses.asdict(METRICS)
    assert last["update"] is None
    assert content["config"]["batch_size"] == 64
    assert (content["folder"], content["scores"], content["one"]) == (str(tmp_path), SCORES.tolist(), 2)
    with pytest.raises(ValueError, match="JSON"):
        write_metrics_json(tmp_path / "metrics.json", ROWS, {"x": float("nan")})
    with pytest.raises(TypeError, match="cannot write a object"):
        write_metrics_json(tmp_path / "metrics.json", ROWS, {"x": object()})
    assert json.loads((tmp_path / "metrics.json").read_text()) == content
