"""The search for a preset, on phantoms in place of a download: every setting for every method, and no test image."""

import dataclasses
import importlib
import json

import pytest
from test_benchmarks import ROOT

from anatpaste_aug import datasets


@pytest.fixture
def presets(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("presets")


@pytest.mark.slow
def test_every_setting_is_trained_for_every_method(presets, monkeypatch, tmp_path, capsys):
    def phantoms(root, size, cache):
        return dataclasses.replace(datasets.phantom_task(size, train=8, val=8, test=4), test=None)

    monkeypatch.setattr(datasets, "zhanglab_task", phantoms)
    out = tmp_path / "found.jsonl"
    words = f"--root {tmp_path} --settings 32x4x2 48x2x3 --seeds 0 1 --threads 1 --backbone test_byobnet --out {out}"
    words += " --methods anatpaste cutpaste-3way --amp --learning-rate 0.01"
    presets.main(words.split())
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    kinds = [(line["image_size"], line["batch_size"], line["updates"], line["method"], line["seed"]) for line in lines]
    methods = ("anatpaste", "cutpaste-3way")
    assert kinds == [(*own, method, seed) for own in ((32, 4, 2), (48, 2, 3)) for method in methods for seed in (0, 1)]
    for line in lines:
        assert [update for update, _, _ in line["history"]] == list(range(1, line["updates"] + 1))
        assert (line["amp"], line["learning_rate"]) == (True, 0.01)
        assert line["best"] == max(value for _, _, value in line["history"])
        assert line["last"] == line["history"][-1][2]
    mean = sum(line["best"] for line in lines[:4]) / 4
    printed = capsys.readouterr().out
    assert f"| 32 px, 2 updates of 4 + 4 | {mean:.3f} |" in printed
    assert "synthetic" in printed


@pytest.mark.parametrize("wrong", ["64x32", "64x32xmany", "16x32x600", "64x0x600"])
def test_impossible_settings_are_named(presets, wrong, tmp_path, capsys):
    with pytest.raises(SystemExit):
        presets.main(["--root", str(tmp_path), "--settings", wrong])
    assert f"{wrong}: SIZExBATCHxUPDATES, such as 64x32x600" in capsys.readouterr().err
