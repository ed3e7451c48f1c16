"""Anomaly detectors on top of the augmentation: train, score, evaluate, and report.

>>> from anatpaste_aug.datasets import phantom_task
>>> task = phantom_task(64, train=8, val=8, test=4)  # your own files: examples/train_detector.py
>>> config = PretextConfig(image_size=64, batch_size=4, updates=1, backbone="test_byobnet")
>>> detector = PretextDetector(config).fit(task.train.images, task.val.images, task.val.labels)
>>> detector.predict(task.test.images).abnormal.shape
(4,)

More is in the subpackages: ``models`` (detectors and their parts), ``training`` (loop, checkpoints, processes),
``evaluation`` (metrics, intervals, baselines), ``reporting`` (tables, figures, pages) and ``studies`` (run folders).
Needs the extra ``anatpaste_aug[examples]``; ``import anatpaste_aug`` alone does not load any of it.
"""

from importlib.util import find_spec

from anatpaste_aug import _OF_DETECTION

for _package in _OF_DETECTION:
    if find_spec(_package) is None:
        raise ImportError(
            f"anatpaste_aug.detection needs {_package}: pip install 'anatpaste_aug[examples]'", name=_package
        )

from anatpaste_aug.detection.evaluation.intervals import (
    Comparison,
    Interval,
    bootstrap_auroc,
    bootstrap_difference,
    delong_test,
)
from anatpaste_aug.detection.evaluation.metrics import Metrics, auroc, best_f1_threshold, evaluate
from anatpaste_aug.detection.evaluation.pixels import PixelMetrics, pixel_metrics
from anatpaste_aug.detection.models.base import DISCLAIMER, Calibration, Detector, Predictions
from anatpaste_aug.detection.models.loading import load_detector
from anatpaste_aug.detection.models.pretext_config import PRESETS, PretextConfig
from anatpaste_aug.detection.models.pretext_detector import PretextDetector
from anatpaste_aug.detection.studies.methods import METHODS, Method
from anatpaste_aug.detection.training.config import TrainConfig
from anatpaste_aug.detection.training.result import Progress
from anatpaste_aug.detection.training.tensorboard import TensorBoardLog
from anatpaste_aug.detection.training.workers import process_group

__all__ = [
    "DISCLAIMER",
    "METHODS",
    "PRESETS",
    "Calibration",
    "Comparison",
    "Detector",
    "Interval",
    "Method",
    "Metrics",
    "PixelMetrics",
    "Predictions",
    "PretextConfig",
    "PretextDetector",
    "Progress",
    "TensorBoardLog",
    "TrainConfig",
    "auroc",
    "best_f1_threshold",
    "bootstrap_auroc",
    "bootstrap_difference",
    "delong_test",
    "evaluate",
    "load_detector",
    "pixel_metrics",
    "process_group",
]
