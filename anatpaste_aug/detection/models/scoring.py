"""Scoring images with a trained network."""

from __future__ import annotations

from torch import Tensor

from anatpaste_aug.detection.models.kde import GaussianKDE
from anatpaste_aug.detection.models.pretext_net import PretextNet, extract_features


def score_images(
    model: PretextNet,
    reference_images: Tensor,
    images: Tensor,
    *,
    bandwidth: float = 1.0,
    batch_size: int = 128,
) -> Tensor:
    """Anomaly scores: minus the log density of each image's features among those of the normal training images.

    Args:
        model: a trained network; it is used in evaluation mode on its own device.
        reference_images: N×C×H×W normal training images, uint8 or float in [0, 1].
        images: M×C×H×W images to score, likewise.
        bandwidth: of the KDE.
        batch_size: images per forward pass.

    Returns:
        M float32 scores on the CPU, without the density's normalising constant; larger is more anomalous.

    Raises:
        TypeError, ValueError: an input has the wrong dtype or shape, or is empty.
    """
    kde = GaussianKDE(extract_features(model, reference_images, batch_size=batch_size), bandwidth)
    return kde.score(extract_features(model, images, batch_size=batch_size)).cpu()
