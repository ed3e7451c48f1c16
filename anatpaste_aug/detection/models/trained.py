"""The base of detectors that a training produces: best and last weights, their calibration, and their file."""

from __future__ import annotations

import copy
import os
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Generic, Self

import numpy as np
import torch
from torch import Tensor, nn

from anatpaste_aug.detection.evaluation.domain import Domain
from anatpaste_aug.detection.evaluation.metrics import ScoreScaler
from anatpaste_aug.detection.models.base import Calibration, Detector, find_checkpoint
from anatpaste_aug.detection.training.config import TrainConfig
from anatpaste_aug.detection.training.result import Config, Progress, TrainResult, Weights, load_result, save_result

_WEIGHTS: tuple[Weights, ...] = ("best", "last")


class TrainedDetector(Detector, Generic[Config]):
    """A detector whose weights come from a training of its own.

    A subclass names its settings (`config_type`) and implements `_train`, `_build` and `_score`; `_reference` where
    its score depends on the normal training images.

    Args:
        config: Settings of the training; None is `config_type` with its defaults.
        white: White level that 16-bit files are read with, kept for scoring.

    Attributes:
        config_type: Type of the settings; its `kind` tells the files of different detectors apart.
        config: The settings.
        result: Result of the training; None before `fit`.
    """

    config_type: ClassVar[type[TrainConfig]]
    config: Config
    result: TrainResult[Config] | None

    def __init__(self, config: Config | None = None, *, white: int | None = None) -> None:
        self.config = self.config_type() if config is None else config  # type: ignore[call-arg, assignment]
        self.image_size, self.white = self.config.image_size, white
        self.result = None
        self._states: dict[str, dict[str, Any]] = {}
        self._net: nn.Module
        self._calibration: Calibration

    @abstractmethod
    def _train(self, images: Tensor, val_images: Tensor, val_labels: Any, **options: Any) -> TrainResult[Config]:
        """Return the result of the training; `options` are those of `run_training`."""

    @abstractmethod
    def _build(self, result: TrainResult[Config], weights: Weights, device: str) -> nn.Module:
        """Return what scores the images, with these weights."""

    @abstractmethod
    def _score(self, images: Tensor) -> Tensor:
        """Return N scores by the module in use, on the CPU; the size of the images is checked."""

    def _reference(self, net: nn.Module, images: Tensor) -> dict[str, Tensor]:
        """Return what the score needs to know about normal images, by name."""
        return {}

    def _use_reference(self, reference: dict[str, Tensor]) -> None:
        """Score by what `_reference` returned, which is on the CPU now."""

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
        """Train the networks, and calibrate their best and their last weights; see `Detector.fit`."""
        labels = or_normal(val_images, val_labels)
        result = self._train(
            images,
            val_images,
            labels,
            progress=progress,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            resume=resume,
        )
        return self._finish(result, images, val_images, labels)

    @classmethod
    def from_result(
        cls,
        result: TrainResult[Config],
        images: Tensor,
        val_images: Tensor,
        val_labels: Any,
        *,
        white: int | None = None,
    ) -> Self:
        """Return a detector of the weights of a training, calibrated on the given images; see `fit`."""
        return cls._of(result.config, white)._finish(result, images, val_images, val_labels)

    @classmethod
    def _of(cls, config: Config, white: int | None) -> Self:
        """Return a detector that is not going to be trained."""
        return cls(config, white=white)

    @classmethod
    def load(cls, path: str | os.PathLike[str], weights: Weights = "best", device: str = "cpu") -> Self:
        """Read a detector from its file or its run folder; no code in the file is run.

        Args:
            path: The run folder, or the file that `save` wrote.
            weights: `"best"` or `"last"`.
            device: Device of the networks.

        Raises:
            FileNotFoundError: See `find_checkpoint`.
            ValueError: The file is damaged, of another detector, or lacks the calibration of these weights.
        """
        file = find_checkpoint(path)
        return cls._restore(file, *load_result(file, cls.config_type), weights, device)

    @classmethod
    def _restore(
        cls,
        file: os.PathLike[str],
        result: TrainResult[Config],
        states: dict[str, Any],
        weights: Weights,
        device: str,
    ) -> Self:
        """Return the detector whose file this is, given what `load_result` read from it."""
        if weights not in _WEIGHTS:
            raise ValueError(f"weights must be 'best' or 'last', got {weights!r}")
        detector = cls._of(result.config, None)
        detector.result, detector._states = result, states
        try:
            return detector._switch(weights, device)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{os.fspath(file)} does not hold the networks and the calibration of the {weights} weights; "
                "train again with this version"
            ) from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the detector with its best and its last weights, as tensors and plain types only.

        Raises:
            RuntimeError: The detector was not trained by `fit`.
            OSError: The file could not be written; an earlier one there is unchanged.
        """
        if self.result is None:
            raise RuntimeError("only a detector that fit has trained can be saved")
        save_result(path, self.result, self._states)

    def with_weights(self, weights: Weights) -> Self:
        """Return a detector with the best or the last weights of the same training, on the same device.

        Raises:
            RuntimeError: The detector was not trained.
            ValueError: Another name of weights.
        """
        if self.result is None:
            raise RuntimeError("fit the detector first: it has no best and last weights yet")
        if weights not in _WEIGHTS:
            raise ValueError(f"weights must be 'best' or 'last', got {weights!r}")
        return self._switch(weights, str(next(self._net.parameters()).device))

    def score(self, images: Tensor) -> Tensor:
        """Return N raw scores on the CPU; see the class for what they measure.

        Args:
            images: N×1×S×S, uint8 or float in [0, 1].

        Raises:
            RuntimeError: The detector was not trained.
            ValueError: Another shape than in training.
        """
        self._check_fitted()
        self._check_size(images)
        return self._score(images)

    @property
    def calibration(self) -> Calibration:
        """Threshold and scale of the weights in use."""
        self._check_fitted()
        return self._calibration

    def _check_fitted(self) -> None:
        if not hasattr(self, "_net"):
            raise RuntimeError("the detector is not trained yet: call fit, or load a trained one")

    def _finish(self, result: TrainResult[Config], images: Tensor, val_images: Tensor, val_labels: Any) -> Self:
        self.result = result
        self.domain = Domain.fit(images, val_images)
        # The best weights come last, so that they are the ones in use.
        for weights in reversed(_WEIGHTS):
            net = self._built(result, weights, result.config.device)
            self._states[weights] = self._calibrate(net, images, val_images, val_labels)
        self.weights = "best"
        return self

    def _switch(self, weights: Weights, device: str) -> Self:
        assert self.result is not None
        state = self._states[weights]
        detector = copy.copy(self)
        detector.weights = weights
        detector.white = state["white"]
        detector.domain = Domain.read(state["domain"]) if state.get("domain") else None
        scaler = ScoreScaler(float(state["low"]), float(state["high"]))
        calibration = Calibration(float(state["threshold"]), scaler)
        reference = {name: value for name, value in state.items() if isinstance(value, Tensor)}
        detector._use(self._built(self.result, weights, device), reference, calibration)
        return detector

    def _built(self, result: TrainResult[Config], weights: Weights, device: str) -> nn.Module:
        # The random weights of a new network, which are replaced at once, are none of the caller's random numbers.
        with torch.random.fork_rng(devices=[]):
            return self._build(result, weights, device)

    def _use(self, net: nn.Module, reference: dict[str, Tensor], calibration: Calibration | None = None) -> None:
        self._net = net.eval()
        self._use_reference(reference)
        if calibration is not None:
            self._calibration = calibration

    def _calibrate(self, net: nn.Module, images: Tensor, val_images: Tensor, val_labels: Any) -> dict[str, Any]:
        """Use a module from now on; return what the file keeps beside its weights."""
        labels = or_normal(val_images, val_labels)
        reference = {name: value.detach().to("cpu") for name, value in self._reference(net, images).items()}
        self._use(net, reference)
        scores = self.score_validation(val_images, labels)
        calibration = Calibration.fit(labels, scores, self.config.false_positive_rate)
        self._calibration = calibration
        return {
            "threshold": calibration.threshold,
            "scaled_threshold": calibration.scaled_threshold,
            "low": calibration.scaler.low,
            "high": calibration.scaler.high,
            "white": self.white,
            "domain": None if self.domain is None else self.domain._asdict(),
            **reference,
        }


def or_normal(val_images: Tensor, val_labels: Any) -> Any:
    """Return the labels of validation images; without any, all of them are normal."""
    return np.zeros(len(val_images), np.int64) if val_labels is None else val_labels


def state_copy(net: nn.Module) -> dict[str, Tensor]:
    """Return a CPU copy of the weights of a network."""
    return {name: value.detach().to("cpu", copy=True) for name, value in net.state_dict().items()}
