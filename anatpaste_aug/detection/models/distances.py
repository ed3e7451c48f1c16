"""Anomaly scores of features: the paper's density, and the distances to normal training features."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from anatpaste_aug.detection.models.kde import GaussianKDE, check_features, check_queries
from anatpaste_aug.validation import check_count

NEIGHBORS = 5
"""Training features whose distances are averaged."""

SCORES = {
    "kde": "how unlikely its features are among those of the normal {reference} images (minus the log of a Gaussian "
    "kernel density)",
    "knn": f"the mean distance of its features to the {NEIGHBORS} nearest of the normal {{reference}} images",
    "mahalanobis": "the Mahalanobis distance of its features to the mean of the normal {reference} images (covariance "
    "shrunk as Ledoit and Wolf propose)",
}
"""Name on the command line -> what the score of an image is."""

LEAST_REFERENCE = 10
"""Normal validation images that a score can compare with, and the parts that `validation_scores` divides them into."""

# Relative to the largest: the shrunk covariance of two images is still singular.
_LEAST_VARIANCE = 1e-10

# Elements of one block of the query-by-training distance matrix; 32 MiB in float64.
_BLOCK_ELEMENTS = 2**22


class FeatureScore(Protocol):
    """A score of M×D features, fitted to those of the normal training images; larger is more anomalous."""

    def score(self, x: Tensor, /) -> Tensor: ...


def fit_score(name: str, features: Tensor, *, bandwidth: float = 1.0) -> FeatureScore:
    """Return the score of this name, fitted to the features of the normal training images.

    Args:
        name: One of `SCORES`.
        features: N×D floating tensor of finite values.
        bandwidth: Bandwidth of the KDE.

    Raises:
        TypeError, ValueError: See the classes; or an unknown name.

    Example:
        >>> fit_score("knn", torch.tensor([[0.0], [2.0]])).score(torch.tensor([[1.0], [4.0]]))
        tensor([1., 3.])
    """
    if name not in SCORES:
        raise ValueError(f"score must be one of {', '.join(SCORES)}, got {name!r}")
    if name == "kde":
        return GaussianKDE(features, bandwidth)
    return NeighborDistance(features) if name == "knn" else MahalanobisDistance(features)


def validation_scores(
    name: str, features: Tensor | None, val_features: Tensor, val_labels: Tensor, *, bandwidth: float = 1.0
) -> Tensor:
    """Score validation images the way the fitted score will rate other images.

    Without training features, the score compares with the normal validation images. Each of them is then scored by
    others: they are divided into ten contiguous parts, and each part is compared with the other nine. Images of the
    same patient should follow each other, so that few patients are in two parts.

    Args:
        name: One of `SCORES`.
        features: N×D floating tensor of the normal training images; None compares with the normal validation images.
        val_features: M×D floating tensor.
        val_labels: M values, 0 (normal) or 1 (abnormal).
        bandwidth: Bandwidth of the KDE.

    Raises:
        ValueError: There are no training features, and fewer than ten normal validation images.

    Example:
        >>> val, labels = torch.tensor([[0.0]] * 10 + [[7.0]]), torch.tensor([0] * 10 + [1])
        >>> validation_scores("knn", None, val, labels)[-2:]
        tensor([0., 7.])
    """
    if features is not None:
        return fit_score(name, features, bandwidth=bandwidth).score(val_features)
    check_reference(val_labels)
    normal = torch.as_tensor(val_labels, device=val_features.device) == 0
    own = val_features[normal]
    scores = fit_score(name, own, bandwidth=bandwidth).score(val_features)
    edges = [len(own) * i // LEAST_REFERENCE for i in range(LEAST_REFERENCE + 1)]
    parts = [
        fit_score(name, torch.cat([own[:begin], own[end:]]), bandwidth=bandwidth).score(own[begin:end])
        for begin, end in pairwise(edges)
    ]
    scores[normal] = torch.cat(parts)
    return scores


def check_reference(val_labels: Any) -> None:
    """Check that there are enough normal validation images to compare with.

    Raises:
        ValueError: There are fewer than ten.
    """
    if (count := int((torch.as_tensor(val_labels) == 0).sum())) < LEAST_REFERENCE:
        raise ValueError(
            f"reference='val' compares with the normal validation images and needs at least {LEAST_REFERENCE}, got "
            f"{count}; add some, or compare with the training images (reference='train')"
        )


class NeighborDistance:
    """Mean Euclidean distance to the nearest training features, on the device where they live.

    As scikit-learn's `NearestNeighbors`, by one matrix product per block of queries. The arithmetic is float64
    (float32 on a device without it), about the training mean.

    Args:
        features: N×D floating tensor of finite values, within ±1e70. It is copied.
        neighbors: How many distances are averaged; all N where there are fewer.

    Raises:
        TypeError: `features` is not a floating tensor.
        ValueError: Empty, not two-dimensional, not finite, or out of range.

    Example:
        >>> nearest = NeighborDistance(torch.tensor([[0.0], [2.0], [9.0]]), neighbors=2)
        >>> nearest.score(torch.tensor([[1.0], [9.0]]))
        tensor([1.0000, 3.5000])
    """

    def __init__(self, features: Tensor, neighbors: int = NEIGHBORS) -> None:
        check_features(features, "training features")
        self.neighbors = min(check_count("neighbors", neighbors, 1), len(features))
        rows = features.detach().to(_work_dtype(features.device))
        self._center = rows.mean(dim=0)
        self._rows = rows - self._center
        self._squares = self._rows.square().sum(dim=1)

    def score(self, x: Tensor) -> Tensor:
        """Return the mean distance of each query, M×D to M, in the dtype of `x` (at least float32).

        Raises:
            TypeError, ValueError: As `GaussianKDE.log_density`.
        """
        check_queries(x, self._rows)
        blocks = x.detach().split(max(1, _BLOCK_ELEMENTS // len(self._rows)))
        distances = torch.cat([self._mean_distance(block) for block in blocks])
        return distances.to(torch.promote_types(x.dtype, torch.float32))

    def _mean_distance(self, block: Tensor) -> Tensor:
        queries = block.to(self._rows.dtype) - self._center
        squares = queries.square().sum(dim=1, keepdim=True) + self._squares
        # Rounding can leave the distance of a row to itself slightly below zero.
        squares = squares.addmm(queries, self._rows.T, alpha=-2).clamp_(min=0)
        return squares.topk(self.neighbors, dim=1, largest=False).values.sqrt().mean(dim=1)


class MahalanobisDistance:
    """Mahalanobis distance to the mean of the training features, on the device where they live.

    The covariance is shrunk toward a multiple of the identity by scikit-learn's `LedoitWolf`, so that it can be
    inverted where there are fewer images than features. Training features that are all equal have no covariance; the
    distance is then Euclidean.

    Args:
        features: N×D floating tensor of finite values, within ±1e70. It is copied.

    Raises:
        TypeError: `features` is not a floating tensor.
        ValueError: Empty, not two-dimensional, not finite, or out of range.

    Example:
        >>> corners = torch.tensor([[1.0, 3.0], [1.0, -3.0], [-1.0, 3.0], [-1.0, -3.0]])
        >>> across, along = MahalanobisDistance(corners).score(torch.tensor([[2.0, 0.0], [0.0, 2.0]]))
        >>> bool(across > along)
        True
    """

    def __init__(self, features: Tensor) -> None:
        from sklearn.covariance import ledoit_wolf

        check_features(features, "training features")
        rows = features.detach().to("cpu", torch.float64).numpy()
        center = rows.mean(axis=0)
        # The shrinkage takes fourth powers, which the sizes of features must not drive out of range.
        scale = float(np.abs(rows - center).max()) or 1.0
        whitening = np.eye(rows.shape[1])
        if len(rows) > 1 and bool((rows != rows[0]).any()):
            covariance = ledoit_wolf((rows - center) / scale, assume_centered=True)[0]
            variances, axes = np.linalg.eigh(covariance)
            whitening = axes.T / (np.sqrt(np.maximum(variances, _LEAST_VARIANCE * variances[-1])) * scale)[:, None]
        dtype = _work_dtype(features.device)
        self._center, self._whitening = (
            torch.from_numpy(array).to(features.device, dtype) for array in (center[None], whitening)
        )

    def score(self, x: Tensor) -> Tensor:
        """Return the distance of each query, M×D to M, in the dtype of `x` (at least float32).

        Raises:
            TypeError, ValueError: As `GaussianKDE.log_density`.
        """
        check_queries(x, self._center)
        white = (x.detach().to(self._center.dtype) - self._center) @ self._whitening.T
        distances: Tensor = torch.linalg.vector_norm(white, dim=1)
        return distances.to(torch.promote_types(x.dtype, torch.float32))


def _work_dtype(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64
