"""The benchmark of Poisson blending: what it compares, and that it runs."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("cv2", reason="needs OpenCV: pip install opencv-python-headless")


@pytest.fixture
def poisson(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module("poisson")


def test_boxes_are_those_of_anatpaste(poisson):
    targets, sources, boxes = poisson.drawn(200, 256)
    assert targets.shape == sources.shape == (200, 256, 256)
    share = boxes[:, 2] * boxes[:, 3] / 256**2
    assert 0.018 < share.min() < 0.04
    assert 0.13 < share.max() < 0.153
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= 256).all()


@pytest.mark.parametrize(("guidance", "mode"), [("source", 1), ("mixed", 2)])
def test_both_sides_blend_the_same_boxes(poisson, guidance, mode):
    """OpenCV keeps the target's differences within 4 px of a box's edge: the means of the changed parts are alike."""
    targets, sources, boxes = poisson.drawn(4, 128)
    tensors = (torch.from_numpy(array) for array in (targets[:, None], sources[:, None], boxes))
    ours = poisson.blend(*tensors, guidance)[:, 0].numpy()
    for i in range(4):
        theirs = poisson.clone(*(np.dstack([images[i]] * 3) for images in (targets, sources)), boxes[i], mode)[..., 0]
        top, left, height, width = boxes[i]
        inside = np.zeros(theirs.shape, bool)
        inside[top : top + height, left : left + width] = True
        for result in (ours[i], theirs):
            assert not (result != targets[i])[~inside].any()
            assert (result != targets[i])[inside].mean() > 0.4
        assert abs(ours[i][inside].mean() - theirs[inside].mean()) < 3


@pytest.mark.slow
def test_it_writes_its_figures(poisson, tmp_path, capsys):
    small = ["--count", "4", "--side", "64", "--rounds", "2", "--round-seconds", "0.01", "--threads", "1"]
    poisson.main([*small, "--out", str(tmp_path / "figures.json")])
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert len(figures["ratios"]) == capsys.readouterr().out.count("times OpenCV's") == 6
    assert all(0 < ratio["min"] <= ratio["median"] <= ratio["max"] for ratio in figures["ratios"].values())
