"""The paper's detector: a network trained on augmentations, and a score of its features among normal images."""

from __future__ import annotations

import copy
import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from torch import Tensor

from anatpaste_aug.detection.evaluation.metrics import ScoreScaler
from anatpaste_aug.detection.models.base import Calibration, Detector, find_checkpoint
from anatpaste_aug.detection.models.distances import FeatureScore, fit_score
from anatpaste_aug.detection.models.grad_cam import grad_cam
from anatpaste_aug.detection.models.pretext_net import PretextNet, extract_features
from anatpaste_aug.detection.models.pretext_training import Augment, train_pretext_net, trained_net
from anatpaste_aug.detection.training.config import TrainConfig
from anatpaste_aug.detection.training.result import Progress, TrainResult, Weights, load_result, save_result
from anatpaste_aug.transforms import AnatPasteTransform

_WEIGHTS: tuple[Weights, ...] = ("best", "last")


class PretextDetector(Detector):
    """A network that distinguishes normal images from their augmentations, and a score of its features.

    The score compares an image's features with those of the normal training images. By default it is minus the log
    density (Sato et al., arXiv 2205.04282, section III); `config.score`, `stages` and `average_views` choose
    others, see `SCORES`.

    Args:
        config: settings of the training; None is `TrainConfig` with its defaults, those of the paper.
        augment: the augmentation, or several, each a class of its own; None is `AnatPasteTransform().augment`.
        white: white level that 16-bit files are read with, kept for scoring.

    Example:
        >>> from anatpaste_aug.datasets import phantom_task
        >>> task = phantom_task(64, train=8, val=8, test=4)
        >>> config = TrainConfig(image_size=64, batch_size=4, updates=1, backbone="test_byobnet")
        >>> detector = PretextDetector(config).fit(task.train.images, task.val.images, task.val.labels)
        >>> detector.predict(task.test.images).abnormal.shape
        (4,)
    """

    def __init__(
        self,
        config: TrainConfig | None = None,
        augment: Augment | Sequence[Augment] | None = None,
        *,
        white: int | None = None,
    ) -> None:
        self.config = config or TrainConfig()
        self.augment = AnatPasteTransform().augment if augment is None else augment
        self.image_size, self.white = self.config.image_size, white
        self.result: TrainResult | None = None
        self._states: dict[str, dict[str, Any]] = {}
        self._net: PretextNet

    @classmethod
    def from_net(
        cls,
        net: PretextNet,
        images: Tensor,
        val_images: Tensor,
        val_labels: Any = None,
        *,
        config: TrainConfig | None = None,
        white: int | None = None,
    ) -> Self:
        """Return a detector of a given network, which is not trained any further; it cannot be saved.

        Args:
            net: the network.
            images, val_images, val_labels: see `Detector.fit`.
            config: of the score (`score`, `bandwidth`, `stages`, `average_views`) and of the threshold
                (`false_positive_rate`); None is the paper's.
            white: white level that 16-bit files were read with.
        """
        own = dataclasses.replace(config or TrainConfig(), image_size=int(images.shape[-1]))
        detector = cls(own, (), white=white)
        detector._use(net, detector._calibrate(net, images, val_images, val_labels))
        return detector

    @classmethod
    def from_result(
        cls, result: TrainResult, images: Tensor, val_images: Tensor, val_labels: Any, *, white: int | None = None
    ) -> Self:
        """Return a detector of the weights of a training, calibrated on the given images; see `fit`."""
        return cls(result.config, (), white=white)._finish(result, images, val_images, val_labels)

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
        lung_masks: Tensor | None = None,
        val_masks: Tensor | None = None,
    ) -> Self:
        """Train the network, and calibrate its best and its last weights.

        Args:
            images, val_images, val_labels: see `Detector.fit`.
            progress, checkpoint, checkpoint_every, resume: likewise.
            lung_masks: N×1×S×S boolean masks of the images, passed to the augmentation; None lets it find them.
            val_masks: the same of the validation images.

        Raises:
            TypeError, ValueError, OSError, FloatingPointError: see `train_pretext_net`.
            RuntimeError: the detector was loaded from a file, which holds no augmentation.
        """
        if not callable(self.augment) and not self.augment:
            raise RuntimeError("a loaded detector has no augmentation to train with: create a new PretextDetector")
        val_labels = _labels(val_images, val_labels)
        result = train_pretext_net(
            self.config,
            images,
            val_images,
            val_labels,
            self.augment,
            lung_masks=lung_masks,
            val_masks=val_masks,
            progress=progress,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            resume=resume,
        )
        return self._finish(result, images, val_images, val_labels)

    @classmethod
    def load(cls, path: str | os.PathLike[str], weights: Weights = "best", device: str = "cpu") -> Self:
        """Read a detector from its file or its run folder; no code in the file is run.

        Args:
            path: the run folder, or the file that `save` wrote.
            weights: `"best"` or `"last"`.
            device: of the network.

        Raises:
            FileNotFoundError: see `find_checkpoint`.
            ValueError: the file is damaged, of another kind, or lacks the features and the threshold of these weights.
        """
        file = find_checkpoint(path)
        result, states = load_result(file)
        detector = cls(result.config, ())
        detector.result, detector._states = result, states
        try:
            return detector._switch(weights, device)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{file} does not hold the normal features, scale and threshold of the {weights} weights; "
                "train again with this version"
            ) from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the detector with its best and its last weights, as tensors and plain types only.

        Raises:
            RuntimeError: the detector was not trained by `fit`.
            OSError: the file could not be written; an earlier one there is unchanged.
        """
        if self.result is None:
            raise RuntimeError("only a detector that fit has trained can be saved")
        save_result(path, self.result, self._states)

    def with_weights(self, weights: Weights) -> Self:
        """Return a detector with the best or the last weights of the same training, on the same device.

        Raises:
            RuntimeError: the detector was not trained.
            ValueError: another name of weights.
        """
        if self.result is None:
            raise RuntimeError("fit the detector first: it has no best and last weights yet")
        return self._switch(weights, str(self._reference.device))

    def score(self, images: Tensor) -> Tensor:
        """Return the score of the features, for a KDE without the normalizing constant; N float32 on the CPU.

        Args:
            images: N×1×S×S, uint8 or float in [0, 1].

        Raises:
            ValueError: another shape than in training.
        """
        self._check_size(images)
        features = self._features(self.net, images)
        return self._feature_score.score(features).cpu()

    def anomaly_map(self, images: Tensor) -> Tensor:
        """Return Grad-CAM maps, N×1×S×S float32 in [0, 1]: where the network sees an augmentation.

        They explain the pretext task, not the score of the features; see
        `grad_cam`.

        Raises:
            ImportError: pytorch-grad-cam is not installed.
            ValueError: the backbone has no convolution to explain (a vision transformer), or the shape is another.
        """
        self._check_size(images)
        return grad_cam(self.net, images)

    @property
    def net(self) -> PretextNet:
        """The network, in evaluation mode."""
        self._check_fitted()
        return self._net

    @property
    def calibration(self) -> Calibration:
        """Threshold and scale of the weights in use."""
        self._check_fitted()
        return self._calibration

    def _check_fitted(self) -> None:
        if not hasattr(self, "_net"):
            raise RuntimeError("the detector is not trained yet: call fit, or load a trained one")

    def _finish(self, result: TrainResult, images: Tensor, val_images: Tensor, val_labels: Any) -> Self:
        nets = {weights: trained_net(result, weights) for weights in _WEIGHTS}
        self.result = result
        self._states = {name: self._calibrate(net, images, val_images, val_labels) for name, net in nets.items()}
        self.weights = "best"
        self._use(nets["best"], self._states["best"])
        return self

    def _switch(self, weights: Weights, device: str) -> Self:
        assert self.result is not None
        state = self._states[weights]
        detector = copy.copy(self)
        detector.weights = weights
        detector.white = state["white"]
        detector._use(trained_net(self.result, weights, device), state)
        return detector

    def _use(self, net: PretextNet, state: dict[str, Any]) -> None:
        """Score with a network and what `_calibrate` found for it."""
        self._net = net.eval()
        self._reference = state["reference"].to(next(net.parameters()).device)
        self._feature_score = self._fit_score(self._reference)
        scaler = ScoreScaler(float(state["low"]), float(state["high"]))
        self._calibration = Calibration(float(state["threshold"]), scaler)

    def _features(self, net: PretextNet, images: Tensor) -> Tensor:
        return extract_features(net, images, stages=self.config.stages, average_views=self.config.average_views)

    def _fit_score(self, reference: Tensor) -> FeatureScore:
        return fit_score(self.config.score, reference, bandwidth=self.config.bandwidth)

    def _calibrate(self, net: PretextNet, images: Tensor, val_images: Tensor, val_labels: Any) -> dict[str, Any]:
        """Return what the file keeps beside a set of weights."""
        reference = self._features(net, images)
        scores = self._fit_score(reference).score(self._features(net, val_images))
        calibration = Calibration.fit(_labels(val_images, val_labels), scores, self.config.false_positive_rate)
        return {
            "threshold": calibration.threshold,
            "scaled_threshold": calibration.scaled_threshold,
            "low": calibration.scaler.low,
            "high": calibration.scaler.high,
            "white": self.white,
            "reference": reference.detach().to("cpu"),
        }


def _labels(val_images: Tensor, val_labels: Any) -> Any:
    """The labels of validation images; without any, all of them are normal."""
    return np.zeros(len(val_images), np.int64) if val_labels is None else val_labels
