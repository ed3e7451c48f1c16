"""A trained detector ready for use: network, normal features, scale and threshold, from and to a run folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from anatpaste_aug.detection.evaluation.metrics import ScoreScaler, best_f1_threshold
from anatpaste_aug.detection.models.kde import GaussianKDE
from anatpaste_aug.detection.models.pretext_net import PretextNet, extract_features
from anatpaste_aug.detection.training.result import TrainResult
from anatpaste_aug.detection.training.result_file import load_checkpoint

WARNING = "Research software, not a medical device: no diagnosis, and nothing to base the care of a patient on."
"""What goes with every score that is shown to somebody."""


_CHECKPOINT = "checkpoint.pt"


class Scored(NamedTuple):
    """Scores of N images: ``raw`` (minus the log density), ``scaled`` to [0, 1], and the decision of the threshold."""

    raw: NDArray[np.float64]
    scaled: NDArray[np.float64]
    abnormal: NDArray[np.bool_]


class Detector:
    """The detector of Sato et al. (arXiv 2205.04282) after its training, with all that a score needs.

    Args:
        model: the trained network.
        reference: N×D features of the normal training images.
        threshold: raw score from which on an image is called abnormal, chosen on validation images.
        scaler: of the raw scores, from the validation images.
        image_size: side of the square images that the network was trained on.
        bandwidth: of the kernel density estimate.
        white: of 16-bit files that don't tell it, as the training images were read with, see `read_gray`.

    Example:
        >>> from anatpaste_aug.datasets import phantom_task
        >>> task = phantom_task(64, train=8, val=8, test=4)
        >>> model = PretextNet("test_byobnet")  # or the one of a training: result.model()
        >>> detector = Detector.fit(model, task.train.images, task.val.images, task.val.labels)
        >>> detector(task.test.images).abnormal.shape
        (4,)
    """

    def __init__(
        self,
        model: PretextNet,
        reference: Tensor,
        threshold: float,
        scaler: ScoreScaler,
        image_size: int,
        bandwidth: float = 1.0,
        white: int | None = None,
    ) -> None:
        self.model = model.eval()
        self.reference = reference
        self.threshold = threshold
        self.scaler = scaler
        self.image_size = image_size
        self.white = white
        self._kde = GaussianKDE(reference, bandwidth)

    @classmethod
    def fit(
        cls,
        model: PretextNet,
        train_images: Tensor,
        val_images: Tensor,
        val_labels: Any,
        *,
        bandwidth: float = 1.0,
        white: int | None = None,
    ) -> Detector:
        """A detector from a trained network, the normal training images, and labelled validation images.

        Args:
            model: the trained network.
            train_images: normal images, N×1×S×S uint8.
            val_images: normal and abnormal images, M×1×S×S uint8.
            val_labels: M labels, 0 (normal) or 1 (abnormal); both must occur. The threshold has the best F1 on them.
            bandwidth: of the kernel density estimate.
            white: that the images were read with.
        """
        reference = extract_features(model, train_images)
        scores = GaussianKDE(reference, bandwidth).score(extract_features(model, val_images))
        threshold = best_f1_threshold(val_labels, scores)
        return cls(model, reference, threshold, ScoreScaler.fit(scores), int(train_images.shape[-1]), bandwidth, white)

    @classmethod
    def load(
        cls, run: str | os.PathLike[str], weights: Literal["best", "last"] = "best", device: str = "cpu"
    ) -> Detector:
        """The detector of a run folder, or of its ``checkpoint.pt``; no code in the file is run.

        Raises:
            FileNotFoundError: no such run, a run whose training is not finished, or a study, whose runs are then named.
            ValueError: a damaged or foreign file, or a checkpoint without what :meth:`state` tells of these weights.
        """
        path = Path(run)
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist; give the run folder of a training")
        if path.is_dir():
            path = path / _CHECKPOINT
            if not path.is_file():
                raise FileNotFoundError(_why_none(path.parent))
        result, extra = load_checkpoint(path)
        return cls.from_result(result, extra, weights, device, source=str(path))

    @classmethod
    def from_result(
        cls,
        result: TrainResult,
        extra: dict[str, Any],
        weights: Literal["best", "last"] = "best",
        device: str = "cpu",
        *,
        source: str = "the checkpoint",
    ) -> Detector:
        """The detector of what :func:`load_checkpoint` returned; ``source`` names it in errors."""
        try:
            state = extra[weights]
            reference, threshold = state["reference"].to(device), float(state["threshold"])
            scaler = ScoreScaler(float(state["low"]), float(state["high"]))
            white = state["white"]
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{source} does not hold the normal features, scale and threshold of the {weights} weights; "
                "train again with this version"
            ) from error
        config = result.config
        model = result.model(weights, device)
        return cls(model, reference, threshold, scaler, config.image_size, config.bandwidth, white)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps beside the weights: ``save_checkpoint(path, result, {"best": detector.state()})``."""
        return {
            "threshold": self.threshold,
            "scaled_threshold": self.scaled_threshold,
            "low": self.scaler.low,
            "high": self.scaler.high,
            "white": self.white,
            "reference": self.reference.detach().cpu(),
        }

    @property
    def scaled_threshold(self) -> float:
        """The threshold on the scale of the scaled scores."""
        return float(self.scaler.transform([self.threshold])[0])

    def score(self, images: Tensor) -> Tensor:
        """Raw scores: N×1×S×S uint8 (or float in [0, 1]) to N values on the CPU, larger is more anomalous."""
        side = self.image_size
        if images.ndim != 4 or tuple(images.shape[-2:]) != (side, side):
            raise ValueError(f"images must be N×1×{side}×{side}, as in training, got shape {tuple(images.shape)}")
        return self._kde.score(extract_features(self.model, images)).cpu()

    def __call__(self, images: Tensor) -> Scored:
        """Scores of images and what the threshold says of them; see :meth:`score` for the input."""
        raw = self.score(images).numpy().astype(np.float64)
        return Scored(raw, self.scaler.transform(raw), raw >= self.threshold)


def _why_none(folder: Path) -> str:
    """Why a folder has no checkpoint, and what to do."""
    if runs := sorted(path.parent.name for path in folder.glob(f"*/{_CHECKPOINT}")):
        return f"{folder} is a study of {len(runs)} trainings; give one of its run folders: {', '.join(runs)}"
    if (folder / "config.json").is_file():
        return f"the training in {folder} is not finished (no {_CHECKPOINT}); go on with it first (--resume)"
    return f"{folder} holds no {_CHECKPOINT}; give the run folder of a training"
