"""The interface of all detectors, and what they share: calibrated scores and the place of their files."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from anatpaste_aug.detection.evaluation.domain import Domain
from anatpaste_aug.detection.evaluation.metrics import ScoreScaler
from anatpaste_aug.detection.evaluation.thresholds import choose_scaler, choose_threshold
from anatpaste_aug.detection.training.result import Progress, Weights

DISCLAIMER = "Research software, not a medical device: no diagnosis, and nothing to base the care of a patient on."
"""The sentence that is shown with every score."""

CHECKPOINT = "checkpoint.pt"
"""Name of a trained detector's file in a run folder."""


class Predictions(NamedTuple):
    """Scores of N images: as the detector gives them, scaled by the validation images, and compared with the threshold.

    On the scale, 0 and 1 are the lowest and the highest validation score; if all validation images are normal, see
    `choose_scaler`. Scaled scores are not clipped.

    Attributes:
        raw: N scores of the detector.
        scaled: N scores on the scale.
        abnormal: N booleans, True if the raw score is at least the threshold.
    """

    raw: NDArray[np.float64]
    scaled: NDArray[np.float64]
    abnormal: NDArray[np.bool_]


@dataclass(frozen=True)
class Calibration:
    """Threshold and scale of a detector's raw scores, both from validation images.

    Args:
        threshold: An image is called abnormal if its raw score is at least this.
        scaler: Converts raw scores to scaled scores.

    Example:
        >>> calibration = Calibration.fit([0, 0, 1, 1], [1.0, 2.0, 3.0, 5.0])
        >>> calibration.threshold, calibration.scaled_threshold
        (3.0, 0.5)
    """

    threshold: float
    scaler: ScoreScaler

    @classmethod
    def fit(cls, labels: Any, scores: Any, false_positive_rate: float | None = None) -> Calibration:
        """Choose the threshold and the scale on validation images.

        Args:
            labels: M values, 0 (normal) or 1 (abnormal); all may be 0.
            scores: M raw scores of the validation images.
            false_positive_rate: Fraction of the normal ones that may be called abnormal; None takes the threshold
                with the best F1 if both classes occur, else 0.05.

        Raises:
            ValueError: See `choose_threshold`.
        """
        threshold = choose_threshold(labels, scores, false_positive_rate)
        return cls(threshold, choose_scaler(labels, scores, threshold))

    @property
    def scaled_threshold(self) -> float:
        """The threshold for scaled scores."""
        return float(self.scaler.transform([self.threshold])[0])


class Detector(ABC):
    """An anomaly detector that learns from normal images.

    A new detector implements the abstract methods. Its `fit` usually runs a `Trainer` of its own by `run_training`,
    which seeds it, writes checkpoints and chooses the best weights.

    Convention:
        - Images are N×1×S×S, uint8 or float in [0, 1]; `fit` takes uint8. Larger scores are more anomalous.
        - Methods that need a fitted detector raise a RuntimeError before `fit` or `load`.

    Attributes:
        image_size: Side S of the square images.
        white: White level that 16-bit files were read with, see `read_gray`; None if the files specify it.
        map_name: What the anomaly maps show, for captions.
        weights: The weights in use, `"best"` (chosen on validation images) or `"last"`.
        domain: What the training images look like; None if unknown.
    """

    image_size: int
    white: int | None = None
    weights: Weights = "best"
    map_name: str = "anomaly map"
    domain: Domain | None = None

    @abstractmethod
    def fit(
        self,
        images: Tensor,
        val_images: Tensor,
        val_labels: Any = None,
        *,
        progress: Callable[[Progress], None] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | None = None,
        resume: bool = False,
    ) -> Self:
        """Learn from normal images; choose weights and threshold on validation images.

        Args:
            images: N×1×S×S uint8 normal images.
            val_images: M×1×S×S uint8 images that are not among `images`.
            val_labels: M values, 0 (normal) or 1 (abnormal); None if all are normal.
            progress: Called with the `Progress` every few updates and after each validation.
            checkpoint: File to resume from after an interruption.
            checkpoint_every: Updates between further checkpoints, besides those at validations; None writes no others.
            resume: Continue from `checkpoint`, or start if there is none yet.

        Returns:
            This detector, with the best weights.
        """

    @abstractmethod
    def score(self, images: Tensor) -> Tensor:
        """Return N raw scores on the CPU.

        Raises:
            ValueError: The images have another shape than those of the training.
        """

    def score_validation(self, val_images: Tensor, val_labels: Any = None) -> Tensor:
        """Return the raw scores of the validation images that the detector was fitted with, M on the CPU.

        They differ from those of `score` where the detector compares with these images themselves.

        Args:
            val_images: See `fit`.
            val_labels: See `fit`.
        """
        return self.score(val_images)

    def anomaly_map(self, images: Tensor) -> Tensor:
        """Return N×1×S×S float32 maps in [0, 1] on the CPU that show where an image is abnormal.

        Raises:
            ValueError: This detector has no such map.
        """
        raise ValueError(f"{type(self).__name__} has no anomaly map")

    @property
    @abstractmethod
    def calibration(self) -> Calibration:
        """Threshold and scale of the weights in use."""

    @abstractmethod
    def with_weights(self, weights: Weights) -> Self:
        """Return a detector that uses the best or the last weights of the same training."""

    @abstractmethod
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the detector with its best and last weights, as tensors and plain types only.

        Raises:
            OSError: The file could not be written.
        """

    @classmethod
    @abstractmethod
    def load(cls, path: str | os.PathLike[str], weights: Weights = "best", device: str = "cpu") -> Self:
        """Read the file of a detector, or that in a run folder; no code in the file is run.

        Raises:
            FileNotFoundError: There is no such file, or no finished training in the folder.
            ValueError: The file is damaged or of another kind.
        """

    def predict(self, images: Tensor) -> Predictions:
        """Score images, scale the scores, and compare them with the threshold; see `score`."""
        raw = self.score(images).numpy().astype(np.float64)
        calibration = self.calibration
        return Predictions(raw, calibration.scaler.transform(raw), raw >= calibration.threshold)

    def _check_size(self, images: Tensor) -> None:
        side = self.image_size
        if images.ndim != 4 or tuple(images.shape[1:]) != (1, side, side):
            raise ValueError(f"images must be N×1×{side}×{side}, as in training, got shape {tuple(images.shape)}")


def find_checkpoint(run: str | os.PathLike[str]) -> Path:
    """Return the file of a trained detector, given the file itself or its run folder.

    Raises:
        FileNotFoundError: The path does not exist, the training in the folder is not finished, or the folder is a
            study, whose run folders are then listed.
    """
    path = Path(run)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; give the run folder of a training")
    if not path.is_dir() or (path / CHECKPOINT).is_file():
        return path / CHECKPOINT if path.is_dir() else path
    if runs := sorted(each.parent.name for each in path.glob(f"*/{CHECKPOINT}")):
        raise FileNotFoundError(
            f"{path} is a study of {len(runs)} trainings; give one of its run folders: {', '.join(runs)}"
        )
    if (path / "config.json").is_file():
        raise FileNotFoundError(f"the training in {path} is not finished (no {CHECKPOINT}); continue it (--resume)")
    raise FileNotFoundError(f"{path} holds no {CHECKPOINT}; give the run folder of a training")
