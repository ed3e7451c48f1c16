"""The threshold of a detector, with or without abnormal validation images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from anatpaste_aug.detection.evaluation.metrics import ScoreScaler, best_f1_threshold, check_scores, to_numpy

FALSE_POSITIVE_RATE = 0.05
"""Share of held-out normal images that may be called abnormal, where there are no abnormal ones to choose by."""


def has_both(labels: Any) -> bool:
    """Return whether there are normal (0) and abnormal (1) images.

    Example:
        >>> has_both([0, 1]), has_both([0, 0])
        (True, False)
    """
    truth = to_numpy(labels)
    return bool((truth == 0).any() and (truth == 1).any())


def false_positive_threshold(scores: Any, rate: float = FALSE_POSITIVE_RATE) -> float:
    """Return the smallest threshold from which on at most a share of normal images lies (``score >= threshold``).

    It lies directly above a score, so that the images of equal scores are on one side.

    Args:
        scores: Finite scores of held-out normal images.
        rate: The share, between 0 and 1. Fewer than 1 / ``rate`` images cannot show such a share: none of them is then
            called abnormal.

    Raises:
        ValueError: ``rate`` is out of range, or scores that are no vector, empty or not finite.

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
    """Return a threshold from validation images: by a share of the normal ones, or by the best F1.

    Args:
        labels: M values, 0 (normal) or 1 (abnormal); the latter need not occur.
        scores: M finite values, larger is more anomalous.
        false_positive_rate: See `false_positive_threshold`; None is the best F1 where both classes occur, else
            `FALSE_POSITIVE_RATE`.

    Raises:
        ValueError: No normal images, or as `best_f1_threshold`.

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
    """Return the scale of scores: from the smallest to the largest validation score.

    Of normal images alone the largest score is no end of the scale. It then ends as far above the threshold as the
    smallest score lies below, so that the threshold becomes 0.5.

    Args:
        labels, scores: As `choose_threshold` takes them.
        threshold: On the scale of the scores.

    Example:
        >>> choose_scaler([0, 0], [1.0, 3.0], threshold=4.0)
        ScoreScaler(low=1.0, high=7.0)
    """
    if has_both(labels):
        return ScoreScaler.fit(scores)
    low = float(check_scores(scores).min())
    return ScoreScaler(low, 2 * threshold - low)
