"""The paper's detector: a network trained on augmentations, and a score of its features among normal images."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from anatpaste_aug.detection.evaluation.domain import Domain
from anatpaste_aug.detection.models.distances import (
    LEAST_REFERENCE,
    FeatureScore,
    check_reference,
    fit_score,
    validation_scores,
)
from anatpaste_aug.detection.models.grad_cam import grad_cam
from anatpaste_aug.detection.models.pretext_config import PretextConfig
from anatpaste_aug.detection.models.pretext_net import PretextNet, extract_features
from anatpaste_aug.detection.models.pretext_training import Augment, train_pretext_net, trained_net
from anatpaste_aug.detection.models.trained import TrainedDetector, or_normal
from anatpaste_aug.detection.training.result import Progress, TrainResult, Weights
from anatpaste_aug.transforms import AnatPasteTransform


class PretextDetector(TrainedDetector[PretextConfig]):
    """A network that distinguishes normal images from their augmentations, and a score of its features.

    The score compares an image's features with those of the normal training images. By default it is minus the log
    density (Sato et al., arXiv 2205.04282, section III), without the normalizing constant; `config.score`,
    `config.stages` and `config.average_views` choose others, see `SCORES`.

    Args:
        config: Settings of the training; None is `PretextConfig` with its defaults, those of the paper.
        augment: The augmentation, or several, each a class of its own; None is `AnatPasteTransform().augment`.
        white: White level that 16-bit files are read with, kept for scoring.

    Example:
        >>> from anatpaste_aug.datasets import phantom_task
        >>> task = phantom_task(64, train=8, val=8, test=4)
        >>> config = PretextConfig(image_size=64, batch_size=4, updates=1, backbone="test_byobnet")
        >>> detector = PretextDetector(config).fit(task.train.images, task.val.images, task.val.labels)
        >>> detector.predict(task.test.images).abnormal.shape
        (4,)
    """

    config_type: ClassVar = PretextConfig
    map_name = "Grad-CAM"
    _net: PretextNet

    def __init__(
        self,
        config: PretextConfig | None = None,
        augment: Augment | Sequence[Augment] | None = None,
        *,
        white: int | None = None,
    ) -> None:
        super().__init__(config, white=white)
        self.augment = AnatPasteTransform().augment if augment is None else augment

    @classmethod
    def from_net(
        cls,
        net: PretextNet,
        images: Tensor,
        val_images: Tensor,
        val_labels: Any = None,
        *,
        config: PretextConfig | None = None,
        white: int | None = None,
    ) -> Self:
        """Return a detector with a given network, which is not trained further; it cannot be saved.

        Args:
            net: The network.
            images: N×1×S×S uint8 normal training images, with whose features the score compares.
            val_images: M×1×S×S uint8, for threshold and scale.
            val_labels: M values, 0 (normal) or 1 (abnormal); None if all are normal.
            config: Settings of the score (`score`, `bandwidth`, `reference`, `stages`, `average_views`) and of the
                threshold (`false_positive_rate`); None is the paper's.
            white: White level that 16-bit files were read with.
        """
        own = dataclasses.replace(config or PretextConfig(), image_size=int(images.shape[-1]))
        detector = cls(own, (), white=white)
        detector.domain = Domain.fit(images, val_images)
        detector._calibrate(net, images, val_images, val_labels)
        return detector

    def adapt(self, images: Tensor) -> Self:
        """Return a detector with this network whose score compares with the normal images of another source.

        Radiographs of another hospital differ from the training images in more than their findings. If a few dozen
        normal ones are at hand, the score should compare with these. The threshold is the score that a fraction of them
        (`config.false_positive_rate`, or 0.05) reaches, see `validation_scores`; with fewer than 1 / fraction images,
        none reaches it.

        Args:
            images: N×1×S×S uint8 normal images, at least 10, with those of the same patient next to each other. They
                must not be scored later: they would look more normal than others.

        Returns:
            A detector that cannot be saved, trained, or switched to other weights; for the last weights, call
            ``detector.with_weights("last").adapt(images)``.

        Raises:
            RuntimeError: The detector was not trained.
            ValueError: There are too few images, or they have another shape than in training.
        """
        self._check_size(images)
        if len(images) < LEAST_REFERENCE:
            raise ValueError(f"adapt needs at least {LEAST_REFERENCE} normal images, got {len(images)}")
        config = dataclasses.replace(self.config, reference="val")
        detector = self.from_net(self.net, images, images, config=config, white=self.white)
        detector.weights = self.weights
        detector.domain = Domain.of(images)
        return detector

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
            images: See `Detector.fit`.
            val_images: Likewise.
            val_labels: Likewise.
            progress: Likewise.
            checkpoint: Likewise.
            checkpoint_every: Likewise.
            resume: Likewise.
            lung_masks: N×1×S×S boolean masks of the images, passed to the augmentation; None lets it find them.
            val_masks: The same of the validation images.

        Raises:
            TypeError, ValueError, OSError, FloatingPointError: See `train_pretext_net`.
            RuntimeError: The detector was loaded from a file, which holds no augmentation.
        """
        labels = or_normal(val_images, val_labels)
        result = self._train(
            images,
            val_images,
            labels,
            lung_masks=lung_masks,
            val_masks=val_masks,
            progress=progress,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            resume=resume,
        )
        return self._finish(result, images, val_images, labels)

    @classmethod
    def _of(cls, config: PretextConfig, white: int | None) -> Self:
        return cls(config, (), white=white)

    def anomaly_map(self, images: Tensor) -> Tensor:
        """Return Grad-CAM maps, N×1×S×S float32 in [0, 1]: where the network sees an augmentation.

        They explain the pretext task, not the score of the features; see `grad_cam`.

        Raises:
            ImportError: pytorch-grad-cam is not installed.
            ValueError: The backbone has no convolution to explain (a vision transformer), or the shape is another.
        """
        self._check_size(images)
        return grad_cam(self.net, images)

    @property
    def net(self) -> PretextNet:
        """The network, in evaluation mode."""
        self._check_fitted()
        return self._net

    def _train(self, images: Tensor, val_images: Tensor, val_labels: Any, **options: Any) -> TrainResult[PretextConfig]:
        if not callable(self.augment) and not self.augment:
            raise RuntimeError("a loaded detector has no augmentation to train with: create a new PretextDetector")
        return train_pretext_net(self.config, images, val_images, val_labels, self.augment, **options)

    def _build(self, result: TrainResult[PretextConfig], weights: Weights, device: str) -> nn.Module:
        return trained_net(result, weights, device)

    def score_validation(self, val_images: Tensor, val_labels: Any = None) -> Tensor:
        """Return the raw scores of the validation images, see `validation_scores`; M float32 on the CPU."""
        if self.config.reference == "train":
            return self.score(val_images)
        self._check_fitted()
        self._check_size(val_images)
        labels = torch.as_tensor(or_normal(val_images, val_labels))
        features = self._features(self._net, val_images)
        return validation_scores(self.config.score, None, features, labels, bandwidth=self.config.bandwidth).cpu()

    def _calibrate(self, net: nn.Module, images: Tensor, val_images: Tensor, val_labels: Any) -> dict[str, Any]:
        if self.config.reference == "val":
            labels = or_normal(val_images, val_labels)
            check_reference(labels)
            images = val_images[torch.as_tensor(labels, device=val_images.device) == 0]
        return super()._calibrate(net, images, val_images, val_labels)

    def _reference(self, net: nn.Module, images: Tensor) -> dict[str, Tensor]:
        return {"reference": self._features(net, images)}

    def _use_reference(self, reference: dict[str, Tensor]) -> None:
        features = reference["reference"].to(next(self._net.parameters()).device)
        self._feature_score: FeatureScore = fit_score(self.config.score, features, bandwidth=self.config.bandwidth)

    def _score(self, images: Tensor) -> Tensor:
        return self._feature_score.score(self._features(self._net, images)).cpu()

    def _features(self, net: nn.Module, images: Tensor) -> Tensor:
        assert isinstance(net, PretextNet)
        return extract_features(net, images, stages=self.config.stages, average_views=self.config.average_views)
