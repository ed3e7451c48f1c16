"""The interface of detectors, filled by the simplest one: the mean intensity."""

import numpy as np
import pytest
import torch
from helpers.tiny.task import TRAIN, VAL, VAL_LABELS
from sklearn.metrics import precision_recall_curve

from anatpaste_aug.detection import Calibration, Detector
from anatpaste_aug.detection.models.base import find_checkpoint
from anatpaste_aug.detection.training.checkpoints import read_content, write_content


class Brightness(Detector):
    """Scores an image by the distance of its mean from that of the normal images."""

    image_size = 32

    def fit(
        self, images, val_images, val_labels, *, progress=None, checkpoint=None, checkpoint_every=None, resume=False
    ):
        self.mean = images.float().mean().item()
        self.fitted = Calibration.fit(val_labels, self.score(val_images))
        return self

    def score(self, images):
        self._check_size(images)
        return (images.float().mean((1, 2, 3)) - self.mean).abs()

    @property
    def calibration(self):
        return self.fitted

    def with_weights(self, weights):
        return self

    def save(self, path):
        scaler = self.fitted.scaler
        content = {"mean": self.mean, "threshold": self.fitted.threshold, "low": scaler.low, "high": scaler.high}
        write_content(path, "brightness/1", content)

    @classmethod
    def load(cls, path, weights="best", device="cpu"):
        content = read_content(find_checkpoint(path), "brightness/1", "fit again")
        detector = cls()
        detector.mean = content["mean"]
        detector.fitted = Calibration(content["threshold"], Calibration.fit([0, 1], [0.0, 1.0]).scaler)
        return detector


def test_a_detector_needs_scores_alone_to_predict():
    detector = Brightness().fit(TRAIN, VAL, VAL_LABELS)
    raw = detector.score(VAL).numpy().astype(np.float64)
    precision, recall, thresholds = precision_recall_curve(VAL_LABELS, raw)
    best = thresholds[(2 * precision * recall / (precision + recall).clip(1e-12))[:-1].argmax()]
    predictions = detector.predict(VAL)
    np.testing.assert_array_equal(predictions.raw, raw)
    np.testing.assert_allclose(predictions.scaled, (raw - raw.min()) / (raw.max() - raw.min()), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(predictions.abnormal, raw >= best)


def test_it_is_loaded_from_its_run_folder(tmp_path):
    detector = Brightness().fit(TRAIN, VAL, VAL_LABELS)
    detector.save(tmp_path / "checkpoint.pt")
    assert torch.equal(Brightness.load(tmp_path).score(VAL), detector.score(VAL))


def test_a_detector_without_a_map_says_so():
    with pytest.raises(ValueError, match="Brightness has no anomaly map"):
        Brightness().fit(TRAIN, VAL, VAL_LABELS).anomaly_map(VAL)


def test_folders_without_a_trained_detector_are_named_with_the_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no checkpoint\.pt; give the run folder"):
        find_checkpoint(tmp_path)
    (tmp_path / "anatpaste-seed0").mkdir()
    (tmp_path / "anatpaste-seed0" / "checkpoint.pt").touch()
    with pytest.raises(FileNotFoundError, match="a study of 1 trainings; give one of its run folders: anatpaste-seed0"):
        find_checkpoint(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").touch()
    with pytest.raises(FileNotFoundError, match="is not finished"):
        find_checkpoint(tmp_path / "run")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        find_checkpoint(tmp_path / "nowhere")
