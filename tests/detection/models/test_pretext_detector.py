"""A detector keeps what a run found out: the same scores and decisions from its file as from the training."""

import numpy as np
import pytest
import torch
from tiny_task import score_images

from anatpaste_aug.datasets import phantom_task
from anatpaste_aug.detection import PretextDetector, TrainConfig, best_f1_threshold
from anatpaste_aug.detection.models.pretext_training import trained_net
from anatpaste_aug.detection.models.pretrained import untrained_net
from anatpaste_aug.detection.training.result import TrainResult, save_result

TASK = phantom_task(64, train=12, val=10, test=8)
CONFIG = TrainConfig(image_size=64, backbone="test_byobnet", bandwidth=0.5)


@pytest.fixture(scope="module")
def result():
    best, last = (untrained_net("test_byobnet", seed=seed).state_dict() for seed in (1, 2))
    return TrainResult(CONFIG, best, last, 1, 0.5, [])


def fit(result, weights):
    return PretextDetector.from_net(
        trained_net(result, weights), TASK.train.images, TASK.val.images, TASK.val.labels, bandwidth=0.5
    )


@pytest.fixture
def run(tmp_path, result):
    save_result(tmp_path / "checkpoint.pt", result, {w: fit(result, w).state() for w in ("best", "last")})
    return tmp_path


@pytest.mark.parametrize("weights", ["best", "last"])
def test_scores_from_the_file_are_those_of_the_training(run, result, weights):
    detector = PretextDetector.load(run, weights)
    model = trained_net(result, weights)
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
    assert PretextDetector.load(run / "checkpoint.pt", weights).threshold == threshold


@pytest.mark.parametrize("white", [None, 4095])
def test_the_white_of_the_training_images_is_kept(result, tmp_path, white):
    parts = (TASK.train.images, TASK.val.images, TASK.val.labels)
    detector = PretextDetector.from_net(trained_net(result, "best"), *parts, white=white)
    save_result(tmp_path / "checkpoint.pt", result, {"best": detector.state()})
    assert PretextDetector.load(tmp_path).white == white


def test_best_and_last_differ(run):
    assert PretextDetector.load(run).threshold != PretextDetector.load(run, "last").threshold


def test_impossible_inputs(run, result, tmp_path):
    with pytest.raises(FileNotFoundError, match="give the run folder of a training"):
        PretextDetector.load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"images must be N×1×64×64, as in training, got shape \(8, 1, 32, 64\)"):
        PretextDetector.load(run)(TASK.test.images[:, :, ::2])
    with pytest.raises(ValueError, match="does not hold the normal features, scale and threshold of the first weights"):
        PretextDetector.load(run, "first")
    save_result(run / "checkpoint.pt", result, {"best": {"threshold": 1.0, "low": 0.0, "high": 1.0}})
    with pytest.raises(ValueError, match=r"checkpoint\.pt does not hold the normal features.*train again"):
        PretextDetector.load(run)
    (run / "checkpoint.pt").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a readable checkpoint"):
        PretextDetector.load(run)
