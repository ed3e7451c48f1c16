"""The soak test: its figures on a short run, and that it detects growth, drift and repeats."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip("scipy", reason='needs SciPy: pip install "anatpaste_aug[tests]"')


@pytest.fixture
def soak(benchmarks, monkeypatch):
    module = benchmarks("soak")
    monkeypatch.setattr(module, "_SAMPLES", 4)  # each gives memory back to the system, which takes its time
    return module


def rows_of(soak, count=400, seed=0):
    return np.random.default_rng(seed).random((count, len(soak.columns())), dtype=np.float32)


@pytest.mark.slow
def test_a_short_run_writes_its_figures(soak, tmp_path, capsys):
    least = ["--batches", "40", "--batch", "2", "--size", "32", "--pool", "4", "--phantoms", "--growth", "1000"]
    assert soak.main([*least, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    result = json.loads((tmp_path / "soak.json").read_text())
    assert result["settings"]["hosts"] == ["augment", "kornia", "cached"]
    assert result["environment"]["versions"]["torch"]
    assert [done for done, _ in result["memory"]["samples"]] == [10, 20, 30, 40]
    assert min(taken for _, taken in result["memory"]["samples"]) > 2**20
    assert list(result["drift"]) == soak.columns()
    assert result["drift"]["apply"] is None  # p is 1
    assert 0 < result["smallest_p"] <= 1
    assert result["repeated"] == 0
    assert "KiB per 1,000 batches" in printed.out
    assert "40 of 40 batches" not in printed.err  # printed every 20 samples


@pytest.mark.slow
def test_draws_are_kept_by_name(soak):
    images = soak.load([], 3, 64)[0]
    chosen = torch.tensor([2, 0])
    for host in soak.HOSTS:
        torch.manual_seed(1)
        params, changed = soak.Hosts(images)(host, chosen)
        assert [len(field) for field in params] == [2] * len(params)
        assert ((changed > 0) & (changed < 1)).all()
    torch.manual_seed(1)
    args = soak.parse(
        ["--batches", "40", "--batch", "2", "--size", "64", "--hosts", "augment", "--seed", "1", "--phantoms"]
    )
    rows, _ = soak.soak(args, images)
    torch.manual_seed(1)
    first = soak.AnatPasteTransform().augment(
        images[torch.randint(3, (2,), generator=torch.Generator().manual_seed(1))]
    )
    for name in ("height", "source_left", "opacity", "hue"):
        assert rows[:2, soak.columns().index(name)].tolist() == getattr(first.params, name)[:, 0].tolist()
    assert rows[:2, soak.columns().index("jitter_order_3")].tolist() == first.params.jitter_order[:, 0, 3].tolist()
    assert np.isfinite(rows).all()


def test_growth_is_detected(soak):
    """A megabyte in 1,000 batches, beside noise of 0.1 MB; the warm-up does not count."""
    noise = np.random.default_rng(0).normal(0, 1e5, 100)
    samples = [(100 * (i + 1), int(5e8 + 1e5 * i + noise[i])) for i in range(100)]
    samples[:9] = [(done, 10**8) for done, _ in samples[:9]]
    found = soak.memory_figures(samples, 10_000)
    assert found["bytes_per_batch"] == pytest.approx(1000, rel=0.02)
    assert found["growth"] == pytest.approx(8.2e6, rel=0.05)
    flat = soak.memory_figures([(done, 7 * 10**8) for done, _ in samples], 10_000)
    assert (flat["growth"], flat["bytes_per_batch"]) == (0, pytest.approx(0, abs=1e-6))


def result_of(soak, rows, growth=0.0):
    drift = soak.drift_figures(rows)
    memory = {"growth": growth * 2**20}
    return {"drift": drift, "memory": memory, "settings": {"growth": 8.0}, "repeated": soak.repeated(rows)}


def test_drift_and_repeats_are_detected(soak):
    rows = rows_of(soak)
    rows[:, 0] = 1
    assert soak.drift_figures(rows)["apply"] is None
    assert soak.verdicts(result_of(soak, rows)) == []
    assert soak.verdicts(result_of(soak, rows, growth=9)) == ["the memory grew by 9.0 MiB"]
    drifting = rows.copy()
    drifting[-100:, soak.columns().index("sigma")] *= 0.5
    (found,) = soak.verdicts(result_of(soak, drifting))
    assert "distributed otherwise" in found
    repeating = rows.copy()
    repeating[200:205] = repeating[:5]
    assert soak.verdicts(result_of(soak, repeating)) == ["5 images got the draws of an earlier one"]


def test_impossible_wishes_are_named(soak, capsys):
    with pytest.raises(SystemExit, match="2"):
        soak.parse(["--batches", "39"])
    assert "--batches 39: must be at least 40" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        soak.parse(["--images", "/nowhere"])
    assert "--images /nowhere: no image files in this folder" in capsys.readouterr().err
