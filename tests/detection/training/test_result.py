"""The file of a training result."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from helpers.tiny.task import CONFIG, TRAIN, VAL, VAL_LABELS, score_images, squares

from anatpaste_aug.detection import PretextConfig
from anatpaste_aug.detection.models.pretext_training import train_pretext_net, trained_net
from anatpaste_aug.detection.training.result import TrainResult, load_result, save_result


def test_checkpoint_round_trip(tmp_path):
    result = train_pretext_net(dataclasses.replace(CONFIG, updates=2), TRAIN, VAL, VAL_LABELS, squares)
    path = tmp_path / "checkpoint.pt"
    save_result(path, result, {"threshold": 0.5, "reference": torch.ones(2)})
    loaded, extra = load_result(path, PretextConfig)
    assert isinstance(loaded, TrainResult)
    assert (loaded.config, loaded.history) == (result.config, result.history)
    assert (loaded.best_update, loaded.best_auroc) == (result.best_update, result.best_auroc)
    for name in ("best_state", "last_state"):
        found, expected = getattr(loaded, name), getattr(result, name)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert extra["threshold"] == 0.5
    assert torch.equal(extra["reference"], torch.ones(2))
    scores = (score_images(trained_net(one), TRAIN, VAL) for one in (loaded, result))
    assert torch.equal(*scores)
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_damaged_and_foreign_files(tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_result(path, TrainResult(CONFIG, {"w": torch.arange(5000.0)}, {}, 1, 0.5, []))
    good = path.read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 0xFF
    for content in (good[: len(good) // 2], b"", b"not a checkpoint", bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"checkpoint\.pt is (not a readable checkpoint|damaged)"):
            load_result(path, PretextConfig)
    torch.save({"weight": torch.ones(2)}, path)
    with pytest.raises(ValueError, match="is not a checkpoint of this version"):
        load_result(path, PretextConfig)
    torch.save(SimpleNamespace(a=1), path)  # a pickle that would run code is refused, not run
    with pytest.raises(ValueError, match="not a readable checkpoint"):
        load_result(path, PretextConfig)
    torch.save({"format": "anatpaste_aug.detection.checkpoint/1", "config": {"colour": 1}}, path)
    with pytest.raises(ValueError, match="lacks or adds"):
        load_result(path, PretextConfig)
    with pytest.raises(FileNotFoundError):
        load_result(tmp_path / "missing.pt", PretextConfig)
