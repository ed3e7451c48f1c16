"""A detector keeps what a run found out: the same scores and decisions from its file as from the training."""

import numpy as np
import pytest
import torch

from anatpaste_aug.datasets import phantom_task
from anatpaste_aug.detection import (
    Detector,
    TrainConfig,
    TrainResult,
    best_f1_threshold,
    save_checkpoint,
    score_images,
    untrained_net,
)

TASK = phantom_task(64, train=12, val=10, test=8)
CONFIG = TrainConfig(image_size=64, backbone="test_byobnet", bandwidth=0.5)


@pytest.fixture(scope="module")
def result():
    best, last = (untrained_net("test_byobnet", seed=seed).state_dict() for seed in (1, 2))
    return TrainResult(CONFIG, best, last, 1, 0.5, [])


def fit(result, weights):
    return Detector.fit(result.model(weights), TASK.train.images, TASK.val.images, TASK.val.labels, bandwidth=0.5)


@pytest.fixture
def run(tmp_path, result):
    save_checkpoint(tmp_path / "checkpoint.pt", result, {w: fit(result, w).state() for w in ("best", "last")})
    return tmp_path


@pytest.mark.parametrize("weights", ["best", "last"])
def test_scores_from_the_file_are_those_of_the_training(run, result, weights):
    detector = Detector.load(run, weights)
    model = result.model(weights)
    expected = score_images(model, TASK.train.images, TASK.test.images, bandwidth=0.5)
    val = score_images(model, TASK.train.images, TASK.val.images, bandwidth=0.5)
    found = detector(TASK.test.images)
    assert torch.equal(detector.score(TASK.test.images), expected)
    np.testing.assert_array_equal(found.raw, expected.numpy())
    low, high = val.min().item(), val.max().item()
    np.testing.assert_allclose(found.scaled, ((expected.double() - low) / (high - low)).clamp(0, 1), rtol=0, atol=1e-12)
    threshold = best_f1_threshold(TASK.val.labels, val)
    assert detector.threshold == threshold
    np.testing.assert_array_equal(found.abnormal, expected.numpy() >= threshold)
    assert detector.scaled_threshold == pytest.approx((threshold - low) / (high - low))
    assert Detector.load(run / "checkpoint.pt", weights).threshold == threshold


@pytest.mark.parametrize("white", [None, 4095])
def test_the_white_of_the_training_images_is_kept(result, tmp_path, white):
    parts = (TASK.train.images, TASK.val.images, TASK.val.labels)
    detector = Detector.fit(result.model("best"), *parts, white=white)
    save_checkpoint(tmp_path / "checkpoint.pt", result, {"best": detector.state()})
    assert Detector.load(tmp_path).white == white


def test_best_and_last_differ(run):
    assert Detector.load(run).threshold != Detector.load(run, "last").threshold


def test_impossible_inputs(run, result, tmp_path):
    with pytest.raises(FileNotFoundError, match="give the run folder of a training"):
        Detector.load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"images must be N×1×64×64, as in training, got shape \(8, 1, 32, 64\)"):
        Detector.load(run)(TASK.test.images[:, :, ::2])
    with pytest.raises(ValueError, match="does not hold the normal features, scale and threshold of the first weights"):
        Detector.load(run, "first")
    save_checkpoint(run / "checkpoint.pt", result, {"best": {"threshold": 1.0, "low": 0.0, "high": 1.0}})
    with pytest.raises(ValueError, match=r"checkpoint\.pt does not hold the normal features.*train again"):
        Detector.load(run)
    (run / "checkpoint.pt").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a readable checkpoint"):
        Detector.load(run)
