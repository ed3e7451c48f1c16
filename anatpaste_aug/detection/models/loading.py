"""Loading a trained detector of any kind from its file or its run folder."""

from __future__ import annotations

import os

from anatpaste_aug.detection.models.base import find_checkpoint
from anatpaste_aug.detection.models.f_anogan.detector import FAnoGanDetector
from anatpaste_aug.detection.models.ganomaly.detector import GanomalyDetector
from anatpaste_aug.detection.models.pretext_detector import PretextDetector
from anatpaste_aug.detection.models.squid.detector import SquidDetector
from anatpaste_aug.detection.models.trained import TrainedDetector
from anatpaste_aug.detection.training.result import Weights, load_result

_CLASSES: tuple[type[TrainedDetector], ...] = (PretextDetector, FAnoGanDetector, GanomalyDetector, SquidDetector)

DETECTORS = {each.config_type.kind: each for each in _CLASSES}
"""Kind of a detector, as its file stores it -> its class."""


def load_detector(path: str | os.PathLike[str], weights: Weights = "best", device: str = "cpu") -> TrainedDetector:
    """Read a detector of the kind that its file names; no code in the file is run.

    Args:
        path: The run folder, or the file that `TrainedDetector.save` wrote.
        weights: `"best"` or `"last"`.
        device: Device of the networks.

    Raises:
        FileNotFoundError: See `find_checkpoint`.
        ValueError: The file is damaged, of an unknown kind, or lacks the calibration of these weights.
    """
    file = find_checkpoint(path)
    result, states = load_result(file, *(each.config_type for each in DETECTORS.values()))
    return DETECTORS[result.config.kind]._restore(file, result, states, weights, device)
