"""A whole run on CheXpert's full size, as its four archives unpack, from the command line to the report."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from layouts import BATCHES, unpack_batches
from real_data import DATA, needs

from anatpaste_aug.datasets import Split

EXAMPLE = Path(__file__).parents[1] / "examples" / "reproduce_paper.py"
SMALL = DATA / "chexpert_layout" / "CheXpert-v1.0-small"


@pytest.mark.slow
@needs("chexpert_layout")
def test_a_run_on_the_archives_ends_in_a_report(tmp_path):
    place = unpack_batches(SMALL, tmp_path / "chexpertchestxrays-u20210408")
    (place / "train_visualCheXbert.csv").write_text("Path,No Finding\n")
    out = tmp_path / "run"
    arguments = ["--dataset", "chexpert", "--root", str(tmp_path), "--preset", "smoke", "--views", "all"]
    arguments += ["--name", "NIH images in CheXpert layout", "--device", "cpu", "--out", str(out)]
    done = subprocess.run([sys.executable, EXAMPLE, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "NIH images in CheXpert layout (development split): reduced protocol" in done.stdout
    assert f"report: {out / 'report.html'}" in done.stdout
    assert "NIH images in CheXpert layout" in (out / "report.html").read_text()
    assert json.loads((out / "metrics.json").read_text())["results"]
    split = Split.load(out / "split.json")
    assert {record.path.split("/")[0] for record in split.train} == set(BATCHES[1:])
    split.verify(place)
