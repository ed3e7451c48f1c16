"""The metrics of the paper: AUROC, accuracy, F1, a threshold from validation images, and scaled scores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, roc_auc_score, roc_curve
from torch import Tensor


@dataclass(frozen=True)
class Metrics:
    """Metrics of a set of scores at a threshold; rates are in [0, 1], abnormal is the positive class.

    ``auroc``, ``f1`` and ``sensitivity`` are None without abnormal images.
    """

    auroc: float | None
    accuracy: float
    f1: float | None
    threshold: float
    sensitivity: float | None
    specificity: float
    normal: int
    abnormal: int


def auroc(labels: Any, scores: Any) -> float:
    """Return the area under the ROC curve (scikit-learn's ``roc_auc_score``).

    Args:
        labels: M values, 0 (normal) or 1 (abnormal); array, tensor or sequence. Both must occur.
        scores: M finite values, larger is more anomalous.

    Returns:
        The area, in [0, 1].

    Raises:
        ValueError: The lengths differ, a label is neither 0 nor 1, a class is missing, or a score is not finite.

    Example:
        >>> auroc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        0.75
    """
    truth, values = check_scored(labels, scores)
    return float(roc_auc_score(truth, values))


def best_f1_threshold(labels: Any, scores: Any) -> float:
    """Return the score with the best F1 as a threshold (``score >= threshold`` is abnormal).

    Of several thresholds with the same F1, the largest is returned: the one with the fewest false alarms.

    Args:
        labels: See `auroc`.
        scores: See `auroc`.

    Raises:
        ValueError: See `auroc`.

    Example:
        >>> best_f1_threshold([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.8])
        0.6
    """
    truth, values = check_scored(labels, scores)
    false_alarms, sensitivity, thresholds = roc_curve(truth, values, drop_intermediate=False)
    abnormal = truth.sum()
    # Computed from counts, so that ties are exact.
    true_positives, false_positives = np.rint(sensitivity * abnormal), np.rint(false_alarms * (len(truth) - abnormal))
    f1 = 2 * true_positives / (true_positives + false_positives + abnormal)
    return float(thresholds[f1 == f1.max()].max())


def evaluate(labels: Any, scores: Any, threshold: float) -> Metrics:
    """Compute all metrics of a set of scores; an image is called abnormal if ``score >= threshold``.

    Args:
        labels: See `auroc`; abnormal images are optional.
        scores: See `auroc`.
        threshold: Finite, on the scale of ``scores``; chosen by validation images, never by test images.

    Raises:
        ValueError: See `auroc`; or ``threshold`` is not finite.

    Example:
        >>> evaluate([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.8], threshold=0.7).sensitivity
        0.5
    """
    truth, values = check_scored(labels, scores, both=False)
    if not math.isfinite(threshold):
        raise ValueError(f"threshold must be finite, got {threshold}")
    predicted = values >= threshold
    true_neg, false_pos, false_neg, true_pos = (int(n) for n in confusion_matrix(truth, predicted, labels=[0, 1]).flat)
    both = bool(truth.any())
    return Metrics(
        auroc=float(roc_auc_score(truth, values)) if both else None,
        accuracy=float(accuracy_score(truth, predicted)),
        f1=float(f1_score(truth, predicted, zero_division=0)) if both else None,
        threshold=float(threshold),
        sensitivity=true_pos / (true_pos + false_neg) if both else None,
        specificity=true_neg / (true_neg + false_pos),
        normal=true_neg + false_pos,
        abnormal=true_pos + false_neg,
    )


@dataclass(frozen=True)
class ScoreScaler:
    """Scale scores so that ``low`` becomes 0 and ``high`` becomes 1; they are not clipped.

    `fit` takes the lowest and the highest validation score; see `choose_scaler` if all validation images are normal.
    If ``low`` and ``high`` are equal, scores equal to them become 0, lower ones −1 and higher ones 1.

    Example:
        >>> scaler = ScoreScaler.fit([2.0, 4.0])
        >>> scaler.transform([1.0, 3.0, 9.0]).tolist()
        [-0.5, 0.5, 3.5]
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        try:
            valid = math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high
        except OverflowError:  # an integer that is too large for a float
            valid = False
        if not valid:
            raise ValueError(f"need finite low <= high, got low={self.low}, high={self.high}")

    @classmethod
    def fit(cls, scores: Any) -> ScoreScaler:
        """Return the scaler of validation scores.

        Args:
            scores: A non-empty vector of finite values.

        Raises:
            ValueError: The scores are not such a vector.
        """
        values = check_scores(scores)
        return cls(low=float(values.min()), high=float(values.max()))

    def transform(self, scores: Any) -> NDArray[np.float64]:
        """Return scaled scores as finite float64.

        Args:
            scores: A vector of finite values.

        Raises:
            ValueError: The scores are not such a vector.
        """
        values = check_scores(scores)
        if self.low == self.high:
            return np.sign(values - self.high)
        # The distance of two finite numbers may be infinite; that of their halves is not.
        part = 1.0 if math.isfinite(self.high - self.low) else 0.5
        low, high = part * self.low, part * self.high
        with np.errstate(over="ignore"):
            return np.nan_to_num((part * values - low) / (high - low))


def to_numpy(values: Any) -> NDArray[Any]:
    """Convert a tensor of any device, an array or a sequence to an array."""
    if not isinstance(values, Tensor):
        return np.asarray(values)
    values = values.detach().cpu()
    return np.asarray(values.float() if values.dtype == torch.bfloat16 else values)  # which NumPy does not have


def check_scores(scores: Any) -> NDArray[np.float64]:
    """Return scores as a non-empty float64 vector of finite values; raise a ValueError for others."""
    try:
        given = to_numpy(scores)
        values = given.astype(np.float64, casting="unsafe" if given.dtype == object else "same_kind")
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"scores must be a non-empty vector of numbers, got {scores!r:.60}") from error
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"scores must be a non-empty vector, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{int((~np.isfinite(values)).sum())} of {values.size} scores are NaN or infinite")
    return values


def check_scored(labels: Any, scores: Any, *, both: bool = True) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return labels and scores as int64 and float64 vectors.

    Args:
        labels: M values, 0 or 1.
        scores: M finite values.
        both: Whether abnormal images must occur.

    Raises:
        ValueError: See `auroc`.
    """
    values = check_scores(scores)
    truth = to_numpy(labels)
    if truth.shape != values.shape:
        raise ValueError(f"one label per score is needed, got shapes {truth.shape} and {values.shape}")
    if truth.dtype.kind not in "biufO" or not np.isin(truth, (0, 1)).all():
        others = [label for label in truth.tolist() if label not in (0, 1)]
        raise ValueError(f"labels must be 0 (normal) or 1 (abnormal), got {others[:5]}")
    truth = truth.astype(np.int64)
    if truth.min() == truth.max() and (both or truth[0]):
        kind = "abnormal" if truth[0] else "normal"
        raise ValueError(f"both classes are needed, but all {truth.size} labels are {kind}")
    return truth, values
