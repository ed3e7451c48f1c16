"""The script for a machine with a GPU: its error without one, and its figures on the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


@pytest.fixture
def on_gpu(benchmarks):
    return benchmarks("on_gpu")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a script for bash")
def test_without_a_gpu_it_ends_in_one_line(tmp_path):
    hidden = os.environ | {"PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""}
    command = [ROOT / "benchmarks" / "on_gpu.sh", tmp_path / "out"]
    done = subprocess.run(command, env=hidden, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 11):
        assert line == f"on_gpu.sh: nothing was run: needs torch 2.11 or newer, found {torch.__version__}"
    else:
        assert line.startswith(f"on_gpu.sh: nothing was run: torch {torch.__version__} sees no CUDA device")
        assert all(word in line for word in ("CUDA tests", "captured graphs", "throughput", "training"))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_on_the_cpu_it_writes_its_figures(on_gpu, tmp_path, capsys):
    small = "--device cpu --batch 4 --training-batch 2 --size 64 --repeats 2 --round-seconds 0 --no-tests"
    assert on_gpu.main([*small.split(), "--out", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "on_gpu.json").read_text())
    names = ["AnatPaste", "AnatPaste, masks given", "CutPaste", "FPI", "PII", "NSA", "no augmentation"]
    assert set(names) < result["rows"].keys()
    for name, row in result["rows"].items():
        assert row["step"]["images_per_s"]["median"] > 0
        assert name == "no augmentation" or row["eager"]["images_per_s"]["median"] > 0
    page = (tmp_path / "on_gpu.md").read_text(encoding="utf-8")
    assert page == capsys.readouterr().out
    assert "CUDA tests: NOT RUN: left out by --no-tests" in page
    assert page.count("failed") == 7  # no graph without a device
    assert page.count("- FAILED: ") == 7


@pytest.mark.slow
def test_the_cuda_tests_are_found_and_counted(on_gpu):
    """Without a GPU all of them are skipped."""
    if torch.cuda.is_available():
        pytest.skip("with a CUDA device this would run them all")
    found = on_gpu.cuda_tests(120)
    assert found["passed"] == found["failed"] == []
    assert len(found["skipped"]) >= 10
    assert any("captured_in_a_graph" in name for name in found["skipped"])


@pytest.mark.slow
def test_a_row_that_fails_is_named_and_the_others_are_measured(on_gpu, monkeypatch):
    def broken(images):
        raise RuntimeError("out of paint\nmore")

    found = on_gpu.recipes
    monkeypatch.setattr(on_gpu, "recipes", lambda images: {"CutPaste": found(images)["CutPaste"], "broken": broken})
    images = on_gpu.phantom_batch(2, size=64).images
    rows = on_gpu.measure(images, images, 1, 0.0, float("inf"))
    assert rows["broken"]["eager"] == {"error": "RuntimeError: out of paint"}
    assert rows["CutPaste"]["eager"]["images_per_s"]["median"] > 0
    result = {"tests": {"failed": ["tests.test_device::test_x"]}, "rows": rows}
    assert "test failed: tests.test_device::test_x" in on_gpu.failures(result)
    assert "broken, step: RuntimeError: out of paint" in on_gpu.failures(result)
    late = on_gpu.measure(images, images, 1, 0.0, 0.0)
    assert late["CutPaste"]["eager"] == {"error": "no time was left"}
