"""The benchmarks: what they write and count."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from guards import fake_device

from anatpaste_aug.functional import blocks

pytest.importorskip("skimage", reason='needs scikit-image: pip install "anatpaste_aug[tests]"')

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("ANATPASTE_DATA", ROOT.parent / "shared" / "data"))
IMAGES, GOLDEN = DATA / "lung_masks" / "images", DATA.parent / "golden"
needs_data = pytest.mark.skipif(
    not (IMAGES.is_dir() and GOLDEN.is_dir()), reason=f"no radiographs and recordings at {DATA} (set ANATPASTE_DATA)"
)


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


def run(script, settings, folder):
    """What the script prints; its files are in ``folder``."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / script, *settings.split(), "--phantoms", "--out", folder],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_throughput_writes_its_figures(tmp_path):
    least = "--batch 2 --size 64 --count 4 --repeats 1 --round-seconds 0 --threads 1 --processes 1"
    printed = run("throughput.py", f"{least} --methods a b c d e f g k1 k2 s1 s3", tmp_path)
    assert "transform alone, batch 2, 64 px" in printed
    assert "phantoms (synthetic)" in printed

    result = json.loads((tmp_path / "throughput.json").read_text())
    assert result.keys() == {"environment", "settings", "cases", "training", "targets"}
    assert {"date", "commit", "versions", "cpu", "cores", "cpu_kernels", "device"} <= result["environment"].keys()
    assert result["settings"]["processes"] == 1
    assert result["targets"] == []  # the standard case was not in the run
    (case,) = result["cases"]
    assert (case["batch"], case["size"], case["channels"]) == (2, 64, 1)
    expected = {"per_image", "per_image_masks", "per_image_single", "per_image_segment", "kornia", "kornia_exact"}
    expected |= {"ours", "ours_masks", "ours_segment", "ours_pil", "ours_pil_workers", "ours_standard"}
    assert case["methods"].keys() == expected
    for method in case["methods"].values():
        assert 0 < method["images_per_s"]["min"] <= method["images_per_s"]["median"] <= method["images_per_s"]["max"]
        assert len(method["images_per_s"]["rounds"]) == 1
    assert ("ours", "per_image") in {(ratio["ours"], ratio["against"]) for ratio in case["ratios"]}
    rates = [case["methods"][key]["images_per_s"]["median"] for key in ("ours", "ours_standard")]
    assert case["scaling"]["ratio"] == pytest.approx(rates[0] / rates[1])
    stages = {"CLAHE", "Otsu", "morphology", "components", "sampling", "shape and blur", "blend", "other"}
    assert case["stages"].keys() == stages
    assert sum(case["stages"].values()) == pytest.approx(1)
    assert case["agreement"]["per_image_iou_min"] > 0.999

    assert "| c  ours" in (tmp_path / "throughput.md").read_text(encoding="utf-8")
    assert (tmp_path / "throughput.png").stat().st_size > 10_000


@pytest.mark.slow
def test_training_step_writes_its_figures(tmp_path):
    pytest.importorskip("timm", reason='needs timm: pip install "anatpaste_aug[examples]"')
    least = "--size 32 --batch 2 --rounds 2 --seconds 0 --threads 1 --processes 1"
    assert "2 × 2 images, 32 px" in run("training_step.py", f"{least} --methods ours ours_masks loader", tmp_path)

    result = json.loads((tmp_path / "training_step.json").read_text())
    (case,) = result["training"]
    assert case["methods"].keys() == {"none", "ours", "ours_masks", "loader"}
    base = case["methods"]["none"]["step_ms"]["rounds"]
    for method in case["methods"].values():
        steps = method["step_ms"]["rounds"]
        assert len(steps) == 2
        assert method["added_ms"]["rounds"] == pytest.approx([a - b for a, b in zip(steps, base, strict=True)])
        assert method["added_percent"]["median"] == pytest.approx(
            np.mean([100 * (a / b - 1) for a, b in zip(steps, base, strict=True)])
        )
        assert all(0 <= wait < step for wait, step in zip(method["waited_ms"]["rounds"], steps, strict=True))
    assert "loader worker" in (tmp_path / "training_step.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_what_a_slow_loader_made_ahead_is_used_up_first(benchmarks):
    pytest.importorskip("timm", reason='needs timm: pip install "anatpaste_aug[examples]"')
    module, taken = benchmarks("training_step"), []

    def step(source):
        taken.append(source.key)
        return 1.0, 0.25

    def source(key, batch_s):
        return module.Source(key, key, lambda: None, ahead=3, batch_s=batch_s)

    sources = [source("none", 0.0), source("quick", 0.9), source("slow", 1.1)]
    module._interleave(step, sources, rounds=2, seconds=0)
    assert taken[:2] == ["none", "none"]  # the network's warm-up
    assert taken[2:] == ["none", "quick", *["slow"] * 4, "quick", *["slow"] * 4, "none"]
    assert all(source.step_s == [1.0, 1.0] and source.wait_s == [0.25, 0.25] for source in sources)


@pytest.mark.parametrize(
    ("wish", "named"),
    [
        (["--images", "FOLDER"], "no image files"),
        (["--images", "FOLDER/missing"], "no such folder"),
        (["--size", "31"], "31 is below 32 pixels"),
        (["--repeats", "0"], "0 is below 1"),
        (["--targets", "--size", "64"], "--targets has its own cases"),
    ],
)
def test_impossible_wishes_are_named(benchmarks, tmp_path, capsys, wish, named):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(SystemExit, match="2"):
        benchmarks("throughput").parse([word.replace("FOLDER", str(tmp_path)) for word in wish])
    assert named in capsys.readouterr().err


def test_slow_methods_are_measured_in_the_standard_case_only(benchmarks):
    throughput = benchmarks("throughput")
    for words, standard, other in (
        ([], {"a", "c", "h", "k1", "k2"}, {"a", "c"}),
        (["--quick"], {"a", "c", "k1", "k2"}, None),
        (["--methods", "c", "k1"], {"c", "k1"}, {"c", "k1"}),
        (["--targets"], {"a", "c"}, {"c"}),
    ):
        args = throughput.parse(["--phantoms", *words])
        looked_at = {"a", "c", "h", "k1", "k2"}
        assert throughput.letters((64, 256, 1), args) & looked_at == standard
        assert other is None or throughput.letters((512, 256, 1), args) & looked_at == other


def figures(ratio):
    return {"ratio": ratio, "min": 0.9 * ratio, "max": 1.1 * ratio}


def test_targets_are_derived_from_the_cases(benchmarks):
    module = benchmarks("targets")
    pairs = {("ours", "per_image"): 9.5, ("ours_segment", "opencv_segment"): 0.5, ("ours_masks", "per_image_masks"): 20}
    ratios = [{"ours": ours, "against": other} | figures(ratio) for (ours, other), ratio in pairs.items()]
    standard = {"batch": 64, "size": 256, "channels": 1, "ratios": ratios, "scaling": None, "other_work": 0.0}
    steps, alone = {"median": 2.0, "low": -1.0, "high": 4.0}, {"median": 0.7, "low": 0.6, "high": 0.9}
    longer = {"size": 64, "batch": 64, "methods": {"ours": {"added_percent": steps, "waited_percent": alone}}}
    noisy = {"added_percent": steps | {"median": -0.5}, "waited_percent": alone}
    no_longer = {"size": 128, "batch": 64, "methods": {"ours": noisy}}
    result = {
        "cases": [
            standard,
            standard | {"batch": 512, "ratios": [], "scaling": figures(0.95)},
            standard | {"size": 1024, "ratios": [], "scaling": figures(1 / 16 / 1.2)},
        ],
        "training": [case | {"other_work": None} for case in (longer, no_longer)],
    }
    rows = module.targets(result)
    found = [(round(row["value"], 6), row["needed"], row["reached"], row["divided"]) for row in rows]
    assert found == [
        (9.5, 6, "needed", False),
        (0.5, 0.7, None, False),
        (20, 6, "aim", False),
        (2.0, 3, "needed", True),
        (0.7, 3, "aim", False),
        (0.95, 0.9, "needed", True),
        (1.2, 1.3, "needed", True),
    ]
    assert all(row["low"] < row["value"] < row["high"] for row in rows)
    text = "\n".join(module.target_lines(result | {"targets": rows}))
    assert text.count("MISSED") == 1
    assert "BUSY" not in text
    standard["other_work"] = 0.2
    assert "BUSY" in "\n".join(module.target_lines(result | {"targets": rows}))


def test_a_run_without_the_cases_says_nothing_about_targets(benchmarks):
    module = benchmarks("targets")
    small = {"batch": 8, "size": 256, "channels": 1, "ratios": [], "scaling": figures(1.0), "other_work": 0.0}
    assert module.targets({"cases": [small], "training": []}) == []
    assert module.target_lines({"cases": [small], "targets": []}) == []


def test_peak_memory_counts_what_is_freed_again(benchmarks):
    size = 64 * 2**20

    def call():
        scratch = torch.ones(size, dtype=torch.uint8)
        return scratch[: size // 2].clone()

    peak = benchmarks("memory").peak_bytes(call, torch.device("cpu"))
    if peak is None:
        pytest.skip("resident memory is read from Linux's files")
    assert peak == pytest.approx(1.5 * size, rel=0.1)  # other threads of this process may take or free a little


@pytest.mark.slow
def test_the_search_for_rounds_writes_its_figures(benchmarks, tmp_path, capsys):
    words = f"--grid 16x16 9x24 --seconds 0.5 --out {tmp_path / 'rounds.json'}"
    assert benchmarks("label_rounds").main(words.split()) == 0  # the fixed rounds are twice the worst
    grids = json.loads((tmp_path / "rounds.json").read_text())["grids"]
    assert [(grid["rows"], grid["columns"]) for grid in grids] == [(16, 16), (9, 24)]
    for grid in grids:
        assert grid["worst"] == max(grid["families"].values()) >= 4
        assert grid["label_rounds"] >= 2 * grid["worst"]
        assert {"random", "spirals", "combs", "mazes", "mutations"} <= grid["families"].keys()
    assert "| 16×16 | 32×32 |" in capsys.readouterr().out


def test_rounds_are_counted_until_the_labels_stand_still(benchmarks):
    """On a row of blocks the first one's label goes as far as the pointers' jumps carry it."""
    search = benchmarks("label_rounds")
    points = torch.zeros(3, 2, 64, dtype=torch.bool)
    points[1, 0] = True
    points[2, :, ::2] = True
    rounds, _ = search.rounds_needed(points, 1)
    assert rounds[0] == rounds[2] == 0
    needed = int(rounds[1])
    linked = blocks.link_blocks(points, 1)
    assert needed > 1
    assert blocks.label_blocks(linked, needed)[1].all()
    assert not blocks.label_blocks(linked, needed - 1)[1].all()


@pytest.mark.slow
def test_the_device_floor_counts_bytes(benchmarks, tmp_path, capsys):
    fake_device()  # or skip
    floor = benchmarks("device_floor")
    images = torch.zeros(1000)
    with floor.Traffic() as traffic:
        _ = images[:500] * 2  # a view, then 2,000 bytes read and as many written
        with traffic.stage("blend"):
            images.add_(torch.ones(1).expand(1000))  # read and written in place, and 4 bytes that are repeated
    assert traffic.bytes == {"other": 4000, "blend": 4 + 4004 + 4000}
    assert traffic.operations == {"other": 1, "blend": 2}

    with floor.Traffic(cached=2000) as traffic:
        _ = images[:500] * 2 + images.sum()
        images + 1
    assert traffic.bytes == {"other": 4000 + 4000 + 4000}  # the sum's input, and the last one's both ends

    floor.main(f"--batch 2 --size 64 --out {tmp_path / 'floor.json'}".split())
    result = json.loads((tmp_path / "floor.json").read_text())
    stages = {"CLAHE", "Otsu", "morphology", "components", "sampling", "shape and blur", "blend", "other"}
    assert result["stages"].keys() == stages
    assert result["total"]["bytes_per_pixel"] == pytest.approx(
        sum(row["bytes_per_pixel"] for row in result["stages"].values())
    )
    printed = capsys.readouterr().out
    assert "| components |" in printed
    assert "not measured" in printed
