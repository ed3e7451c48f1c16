"""The benchmarks: what they write and count, and that the baseline is the published pipeline."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

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


@pytest.fixture
def per_image(benchmarks):
    return benchmarks("per_image")


def test_throughput_writes_its_figures(tmp_path):
    least = "--batch 2 --size 64 --count 4 --repeats 1 --round-seconds 0 --threads 1 --processes 1 --phantoms --out"
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "throughput.py", *least.split(), tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "transform alone, batch 2, 64 px" in done.stdout
    assert "phantoms (synthetic)" in done.stdout

    result = json.loads((tmp_path / "throughput.json").read_text())
    assert result.keys() == {"environment", "settings", "cases"}
    assert {"date", "commit", "versions", "cpu", "cores", "device"} <= result["environment"].keys()
    assert result["settings"]["processes"] == 1
    (case,) = result["cases"]
    assert (case["batch"], case["size"], case["channels"]) == (2, 64, 1)
    expected = {"per_image", "per_image_masks", "per_image_single", "per_image_segment"}
    expected |= {"ours", "ours_masks", "ours_segment", "ours_pil", "ours_pil_workers"}
    assert expected <= case["methods"].keys()
    for method in case["methods"].values():
        assert 0 < method["images_per_s"]["min"] <= method["images_per_s"]["median"] <= method["images_per_s"]["max"]
        assert len(method["images_per_s"]["rounds"]) == 1
    assert ("ours", "per_image") in {(ratio["ours"], ratio["against"]) for ratio in case["ratios"]}
    stages = {"CLAHE", "Otsu", "morphology", "components", "sampling", "shape and blur", "blend", "other"}
    assert case["stages"].keys() == stages
    assert sum(case["stages"].values()) == pytest.approx(1)
    assert case["agreement"]["per_image_iou_min"] > 0.999

    assert "| c  ours" in (tmp_path / "throughput.md").read_text(encoding="utf-8")
    assert (tmp_path / "throughput.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("wish", "named"),
    [
        (["--images", "FOLDER"], "no image files"),
        (["--images", "FOLDER/missing"], "no such folder"),
        (["--size", "31"], "31 is below 32 pixels"),
        (["--repeats", "0"], "0 is below 1"),
    ],
)
def test_impossible_wishes_are_named(benchmarks, tmp_path, capsys, wish, named):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(SystemExit, match="2"):
        benchmarks("throughput").parse([word.replace("FOLDER", str(tmp_path)) for word in wish])
    assert named in capsys.readouterr().err


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


def test_the_device_floor_counts_bytes(benchmarks, tmp_path, capsys):
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


@needs_data
def test_baseline_segments_as_the_authors_do(per_image):
    recorded = np.load(GOLDEN / "segmentation.npz")
    masks = np.unpackbits(recorded["masks"], axis=1).reshape(-1, 256, 256).astype(bool)
    overlaps = []
    for name, theirs in list(zip(recorded["names"], masks, strict=True))[::10]:
        ours = per_image.segment(Image.open(IMAGES / f"{name}.png").convert("L"))
        overlaps.append((ours & theirs).sum() / (ours | theirs).sum())
    assert min(overlaps) > 0.96  # their code removes whole bounding boxes of small regions
    assert np.mean(overlaps) > 0.99


@needs_data
def test_baseline_pastes_as_the_authors_do(per_image):
    recorded = np.load(GOLDEN / "segmentation.npz")
    masks = np.unpackbits(recorded["masks"], axis=1).reshape(-1, 256, 256).astype(bool)
    masks = dict(zip(recorded["names"].tolist(), masks, strict=True))
    augmented = np.load(GOLDEN / "paste.npz")["augmented"]
    for record, theirs in zip(json.loads((GOLDEN / "paste.json").read_text()), augmented, strict=True):
        draw = per_image.Draw(
            height=record["cut_height"],
            width=record["cut_width"],
            source_top=record["source_top"],
            source_left=record["source_left"],
            center_y=record["center_y"],
            center_x=record["center_x"],
            ellipse=record["shape"] == "ellipse",
            margin=record["margin"],
            value=record["mask_value"],
            sigma=record["blur_radius"],
        )
        image = Image.open(IMAGES / f"{record['name']}.png").convert("L")
        ours = per_image.paste(image, masks[record["name"]], draw, lambda crop: crop)
        np.testing.assert_array_equal(np.asarray(ours), theirs)
