"""The threshold of a detector, with or without abnormal validation images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from anatpaste_aug.detection.evaluation.metrics import ScoreScaler, best_f1_threshold, check_scores, to_numpy

FALSE_POSITIVE_RATE = 0.05
"""Fraction of held-out normal images that may be called abnormal, if there are no abnormal ones."""


def has_both(labels: Any) -> bool:
    """Return whether both normal (0) and abnormal (1) labels occur.

    Example:
        >>> has_both([0, 1]), has_both([0, 0])
        (True, False)
    """
    truth = to_numpy(labels)
    return bool((truth == 0).any() and (truth == 1).any())


def false_positive_threshold(scores: Any, rate: float = FALSE_POSITIVE_RATE) -> float:
    """Return the smallest threshold that at most a given fraction of normal images reaches (``score >= threshold``).

    It is just above a score, so that images with equal scores are on the same side.

    Args:
        scores: Finite scores of held-out normal images.
        rate: The fraction, between 0 and 1. With fewer than 1 / ``rate`` images, none of them is called abnormal.

    Raises:
        ValueError: ``rate`` is out of range, or scores are not a vector, empty or not finite.

    Example:
        >>> import numpy as np
        >>> threshold = false_positive_threshold(np.arange(100.0), 0.05)
        >>> int((np.arange(100.0) >= threshold).sum())
        5
    """
    if not 0 < rate < 1:
        raise ValueError(f"false_positive_rate must be between 0 and 1, got {rate}")
    values = np.sort(check_scores(scores))
    allowed = math.floor(rate * len(values) + 1e-9)
    return float(np.nextafter(values[len(values) - 1 - allowed], math.inf))


def choose_threshold(labels: Any, scores: Any, false_positive_rate: float | None = None) -> float:
    """Choose a threshold by validation images: by a fraction of the normal ones, or by the best F1.

    Args:
        labels: M values, 0 (normal) or 1 (abnormal); the latter are optional.
        scores: M finite values, larger is more anomalous.
        false_positive_rate: See `false_positive_threshold`; None is the best F1 if both classes occur, else
            `FALSE_POSITIVE_RATE`.

    Raises:
        ValueError: There are no normal images; or see `best_f1_threshold`.

    Example:
        >>> choose_threshold([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.8])
        0.6
    """
    if false_positive_rate is None and has_both(labels):
        return best_f1_threshold(labels, scores)
    values, truth = check_scores(scores), to_numpy(labels)
    if truth.shape != values.shape or not (truth == 0).any():
        raise ValueError("the threshold needs the scores of normal validation images, and one label for each score")
    return false_positive_threshold(values[truth == 0], false_positive_rate or FALSE_POSITIVE_RATE)


def choose_scaler(labels: Any, scores: Any, threshold: float) -> ScoreScaler:
    """Return the scale of scores: 0 is the lowest and 1 the highest validation score.

    If all validation images are normal, 0 is the lowest score, and 1 lies as far above the threshold as 0 lies below,
    so that the threshold becomes 0.5.

    Args:
        labels: See `choose_threshold`.
        scores: See `choose_threshold`.
        threshold: Threshold on the scale of the scores.

    Example:
        >>> choose_scaler([0, 0], [1.0, 3.0], threshold=4.0)
        ScoreScaler(low=1.0, high=7.0)
    """
    if has_both(labels):
        return ScoreScaler.fit(scores)
    low = float(check_scores(scores).min())
    return ScoreScaler(low, 2 * threshold - low)
