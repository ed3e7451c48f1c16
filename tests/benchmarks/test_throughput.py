"""The benchmarks: what they write and count."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("skimage", reason='needs scikit-image: pip install "anatpaste_aug[tests]"')

ROOT = Path(__file__).parents[2]


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
    pytest.importorskip("cv2", reason="needs OpenCV: pip install opencv-python-headless")
    least = "--batch 2 --size 64 --count 4 --repeats 1 --round-seconds 0 --threads 1 --processes 1"
    printed = run(
        "throughput.py", f"{least} --methods a b c d e f g i j k1 k2 n1 n2 p1 p2 p3 p4 r1 r2 r3 s1 s3", tmp_path
    )
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
    expected |= {"ours_plain", "ours_plain_masks", "per_image_nsa", "nsa", "cutpaste", "fpi", "pii"}
    expected |= {"clone_normal", "poisson_normal", "clone_mixed", "poisson_mixed"}
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
def test_updates_of_detectors_are_measured(tmp_path):
    pytest.importorskip("timm", reason='needs timm: pip install "anatpaste_aug[examples]"')
    least = "--size 32 --batch 2 --rounds 2 --threads 1 --processes 1 --gpu-tflops 2"
    printed = run("training_step.py", f"{least} --method cutpaste-3way ganomaly f-anogan", tmp_path)
    assert "f-AnoGAN, encoder" in printed
    result = json.loads((tmp_path / "training_update.json").read_text())
    cases = {case["label"]: case for case in result["updates"]}
    assert cases.keys() == {"CutPaste (3-way)", "GANomaly", "f-AnoGAN", "f-AnoGAN, encoder"}
    for case in cases.values():
        assert (case["size"], case["batch"], len(case["seconds"]["rounds"])) == (32, 2, 2)
        assert case["estimated_gpu_seconds"] == pytest.approx(case["operations"] / 2e12)
    # Two operations per weight and place: three encoders or decoders forward, of 32 px with width 64.
    assert cases["GANomaly"]["operations"] > 2 * 3 * 2 * 16 * (64 * 256 + 3 * 8192 * 64)
    assert cases["f-AnoGAN"]["operations"] > 5 * cases["f-AnoGAN, encoder"]["operations"]
    assert "s/update on a GPU (estimate)" in (tmp_path / "training_update.md").read_text(encoding="utf-8")


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


def test_what_a_case_cannot_measure_is_left_out(benchmarks):
    throughput = benchmarks("throughput")
    args = throughput.parse(["--phantoms", "--methods", "all"])
    assert {"n2", "p2", "r2", "i"} <= throughput.letters((64, 256, 1), args)
    assert not {"n2", "p2"} & throughput.letters((64, 256, 3), args)  # OpenCV's baseline is for gray images
    assert not {"n2", "r2", "r3"} & throughput.letters((1, 256, 1), args)  # no other image to cut from
    args.device = "cuda"
    assert not {"i", "j"} & throughput.letters((64, 256, 1), args)


def test_without_numba_the_torch_code_runs(benchmarks, monkeypatch):
    from anatpaste_aug.functional import _numba, segment_lungs

    pytest.importorskip("numba", reason="needs Numba: pip install numba")
    images, called = torch.zeros(1, 1, 32, 32, dtype=torch.uint8), []
    monkeypatch.setattr(_numba, "segment", lambda gray, smallest: (called.append(True), gray[:, None] > 0)[1])
    segment_lungs(images)
    with benchmarks("measuring").without_numba():
        segment_lungs(images)
    segment_lungs(images)
    assert len(called) == 2


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
def test_two_checkouts_take_turns(benchmarks, tmp_path, capsys):
    """The other one is this one under another name."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "anatpaste_aug").symlink_to(ROOT / "anatpaste_aug")
    compare = benchmarks("compare")
    words = f"--with {other} --batch 2 --size 32 --repeats 2 --round-seconds 0 --threads 1 --phantoms --out {tmp_path}"
    compare.main(words.split())
    rates = json.loads((tmp_path / "compare.json").read_text())["images_per_s"]
    assert list(rates) == ["masks not given", "masks given"]
    assert all(len(rounds) == 2 and min(rounds) > 0 for case in rates.values() for rounds in case)
    assert "ratio of the medians" in capsys.readouterr().out


def test_a_folder_without_the_package_is_named(benchmarks, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        benchmarks("compare").parse(["--with", str(tmp_path)])
    assert f"--with {tmp_path}: no checkout of anatpaste_aug in this folder" in capsys.readouterr().err


@pytest.mark.slow
def test_the_search_keeps_every_score_and_the_validations(benchmarks, monkeypatch):
    pytest.importorskip("timm", reason='needs timm: pip install "anatpaste_aug[examples]"')
    from anatpaste_aug.datasets import phantom_task

    search = benchmarks("detector_search")
    transform, paste, training = search.SETTINGS["donors-resnet10t"]
    tiny = training | {"batch_size": 4, "updates": 20}
    monkeypatch.setitem(search.SETTINGS, "tiny", (transform, paste, tiny))
    line = search.train("tiny", phantom_task(64, train=8, val=20, test=2), 0)
    assert {"kde", "knn", "mahalanobis", "knn-views", "knn-34", "knn-234-views", "knn-val"} <= line["val_auroc"].keys()
    assert [at["update"] for at in line["history"]] == list(range(2, 21, 2))
    assert line["history"][-1]["val_auroc"] == line["val_auroc"]["knn"]
    assert all(at["val_loss"] > 0 for at in line["history"])
