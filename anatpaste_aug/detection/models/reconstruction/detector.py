"""Detectors that reconstruct an image: their scores batch by batch, and the reconstruction error as anomaly map."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from anatpaste_aug.detection.models.reconstruction.networks import ReconstructionNet, map_batches
from anatpaste_aug.detection.models.reconstruction.training import Config, ReconstructionTrainer, train_reconstruction
from anatpaste_aug.detection.models.trained import TrainedDetector
from anatpaste_aug.detection.training.result import TrainResult, Weights, load_weights


class ReconstructionDetector(TrainedDetector[Config]):
    """A detector whose networks reconstruct the image.

    A subclass names its settings, its trainer and how its networks are made; what its score measures is its own
    matter, but all of them have the absolute difference of image and reconstruction as anomaly map.
    """

    map_name = "reconstruction error"
    trainer_type: ClassVar[type[ReconstructionTrainer]]
    _net: ReconstructionNet

    @staticmethod
    @abstractmethod
    def make_net(config: Any) -> ReconstructionNet:
        """Return the untrained networks that score, on the CPU."""

    def anomaly_map(self, images: Tensor) -> Tensor:
        """Return the absolute difference of images and their reconstructions, N×1×S×S float32 in [0, 1].

        Raises:
            RuntimeError: The detector was not trained.
            ValueError: Another shape than in training.
        """
        self._check_fitted()
        self._check_size(images)
        reduction, side = self.config.reduction, self.image_size
        maps = map_batches(
            self._net, lambda net, batch: (batch - net.reconstruct(batch)).abs(), images, reduction=reduction
        )
        return F.interpolate(maps, (side, side), mode="bilinear") if reduction > 1 else maps

    def _train(self, images: Tensor, val_images: Tensor, val_labels: Any, **options: Any) -> TrainResult[Config]:
        return train_reconstruction(self.trainer_type, self.config, images, val_images, val_labels, **options)

    def _build(self, result: TrainResult[Config], weights: Weights, device: str) -> nn.Module:
        net = self.make_net(result.config)
        load_weights(net, result.state(weights))
        return net.to(device).eval()

    def _score(self, images: Tensor) -> Tensor:
        return map_batches(self._net, lambda net, batch: net.errors(batch), images, reduction=self.config.reduction)
