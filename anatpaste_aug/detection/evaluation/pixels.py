"""Metrics of anomaly maps against masks of findings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from anatpaste_aug.detection.evaluation.metrics import to_numpy


@dataclass(frozen=True)
class PixelMetrics:
    """Metrics over all pixels of some images.

    Attributes:
        auroc: Area under the ROC curve, in [0, 1].
        average_precision: In [0, 1]; random maps have ``share``.
        share: Fraction of the pixels that are abnormal.
        images: Number of images.
    """

    auroc: float
    average_precision: float
    share: float
    images: int

    def __str__(self) -> str:
        return (
            f"pixel AUROC {self.auroc:.3f}, average precision {self.average_precision:.3f} "
            f"({100 * self.share:.2g} % of the pixels of {self.images} images are abnormal)"
        )


def pixel_metrics(masks: Tensor, maps: Tensor) -> PixelMetrics:
    """Compare anomaly maps with masks by pixel (scikit-learn's metrics).

    Args:
        masks: N×1×H×W boolean, True inside the finding; False everywhere for normal images.
        maps: N×1×H×W finite, larger is more anomalous.

    Raises:
        ValueError: The shapes differ, a value is not finite, or all pixels are of one class.

    Example:
        >>> import torch
        >>> masks = torch.tensor([[[[True, False], [False, False]]]])
        >>> pixel_metrics(masks, torch.tensor([[[[0.8, 0.9], [0.1, 0.2]]]])).average_precision
        0.5
    """
    truth, values = to_numpy(masks).astype(bool), to_numpy(maps)
    if truth.shape != values.shape:
        raise ValueError(f"masks and maps must have one shape, got {truth.shape} and {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("the maps contain NaN or infinite values")
    if not truth.any() or truth.all():
        raise ValueError("normal and abnormal pixels are needed")
    flat, scores = truth.ravel(), values.ravel()
    return PixelMetrics(
        float(roc_auc_score(flat, scores)),
        float(average_precision_score(flat, scores)),
        float(flat.mean()),
        len(truth),
    )
