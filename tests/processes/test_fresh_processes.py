"""Two processes with other hash seeds, file orders and numbers of threads: equal bits, and no network access."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from anatpaste_aug.detection import PretextConfig
from anatpaste_aug.detection.training.result import load_result

SCRIPT = Path(__file__).parent / "fresh_process.py"
DURATIONS = re.compile(r"(training and scoring</th><td>)[^<]*")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folders of both processes, and their standard errors."""
    tree = tmp_path_factory.mktemp("zhanglab")
    for source, count in (("train", 40), ("test", 8)):
        for name, file in (("NORMAL", "IM-{:04d}-0001.jpeg"), ("PNEUMONIA", "person{}_virus_1.jpeg")):
            (tree / source / name).mkdir(parents=True)
            for i in range(count):
                (tree / source / name / file.format(i)).touch()
    results = []
    for threads, order, seed in ((1, "as-it-is", "1"), (2, "backwards", "2")):
        folder = tmp_path_factory.mktemp("work")
        paths = os.pathsep.join(filter(None, [str(SCRIPT.parents[2]), os.environ.get("PYTHONPATH")]))
        environment = os.environ | {"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": paths}
        command = [sys.executable, SCRIPT, str(threads), order, tree]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
        assert done.returncode == 0, done.stderr[-3000:]
        results.append((folder, done.stderr))
    return results


def results_of(runs):
    return [json.loads((folder / "found.json").read_text()) for folder, _ in runs]


@pytest.mark.slow
def test_only_a_download_uses_the_network(runs):
    for (_, errors), results in zip(runs, results_of(runs), strict=True):
        offline, end, rest = errors.partition("OFFLINE UNTIL HERE")
        assert end
        assert "LOOKED AT THE NETWORK" not in offline
        assert "LOOKED AT THE NETWORK urllib.Request" in rest  # so the watch would have seen it
        assert results["commands"] == [0, 0, 0]
        assert results["download"].startswith("cannot download https://data.mendeley.com/a: no network here")


@pytest.mark.slow
def test_transforms_give_the_same_bits_in_one_and_two_threads_of_two_processes(runs):
    first, second = (results["transforms"] for results in results_of(runs))
    assert first == second
    assert len(set(first.values())) == len(first)


@pytest.mark.slow
def test_unseeded_processes_draw_different_numbers(runs):
    first, second = (results["unseeded"] for results in results_of(runs))
    assert first != second


@pytest.mark.slow
def test_splits_depend_on_neither_hash_seeds_nor_the_order_of_files(runs):
    first, second = (results["splits"] for results in results_of(runs))
    assert first == second
    assert len(set(first.values())) == 4


@pytest.mark.slow
def test_a_training_ends_with_the_same_bits(runs):
    (first, extra), (second, other) = (
        load_result(folder / "run" / "checkpoint.pt", PretextConfig) for folder, _ in runs
    )
    assert (first.config, first.best_update, first.best_auroc) == (second.config, second.best_update, second.best_auroc)
    for name in ("best_state", "last_state"):
        states = getattr(first, name), getattr(second, name)
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert torch.equal(extra["best"].pop("reference"), other["best"].pop("reference"))
    # The domain only warns of other images; its sums may depend on the number of threads.
    domains = [each["best"].pop("domain") for each in (extra, other)]
    torch.testing.assert_close(domains[0], domains[1], rtol=1e-4, atol=1e-4)
    assert extra["best"] == other["best"]


def without_time(path):
    """The content of a file of a run without durations."""
    if path.suffix == ".html":
        return DURATIONS.sub(r"\1", path.read_text(encoding="utf-8"))
    if path.suffix == ".json":
        content = json.loads(path.read_text())
        content.pop("seconds", None)
        return content
    return path.read_bytes()


@pytest.mark.slow
def test_reports_are_equal_except_for_durations(runs):
    folders = [folder / "run" for folder, _ in runs]
    names = [{path.name for path in folder.iterdir()} - {"checkpoint.pt"} for folder in folders]
    assert names[0] == names[1] >= {"report.html", "scores.csv", "metrics.json", "config.json", "roc.png"}
    for name in sorted(names[0]):
        assert without_time(folders[0] / name) == without_time(folders[1] / name), name
    page = (folders[0] / "report.html").read_text(encoding="utf-8")
    assert len(DURATIONS.findall(page)) == 1
    for picture in [*folders[0].glob("*.png"), *(runs[0][0] / "scores").glob("*.png"), runs[0][0] / "sheet.png"]:
        with Image.open(picture) as image:
            assert image.info.keys() <= {"Software", "dpi"}, picture


@pytest.mark.slow
def test_outputs_of_commands_are_equal(runs):
    for name in ("sheet.png", "grid.png", "scores/scores.csv", "scores/1.png"):
        first, second = ((folder / name).read_bytes() for folder, _ in runs)
        assert first == second, name
