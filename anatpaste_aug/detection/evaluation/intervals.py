"""Uncertainty of an AUROC: bootstrap intervals, and DeLong's test of two methods on the same images."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, norm, rankdata

from anatpaste_aug.detection.evaluation.metrics import auroc, check_scored
from anatpaste_aug.validation import check_count

MIN_PER_CLASS = 10
"""Number of images of each class that a part of the test set needs for an AUROC."""

# Number of scores that are resampled at once; 32 MiB in float64.
_BATCH_ELEMENTS = 2**22

# SciPy 1.15 renamed the argument.
_GENERATOR = "rng" if "rng" in inspect.signature(bootstrap).parameters else "random_state"


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence limits.

    Attributes:
        estimate: An AUROC, or the difference of two.
        low: Lower limit.
        high: Upper limit.
        level: Confidence, such as 0.95.
    """

    estimate: float
    low: float
    high: float
    level: float = 0.95

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Comparison:
    """DeLong's comparison of two AUROCs on the same images.

    Attributes:
        difference: The first minus the second, with a symmetric normal interval.
        standard_error: Standard error of the difference.
        p_value: Two-sided, for the hypothesis that both AUROCs are equal.
    """

    difference: Interval
    standard_error: float
    p_value: float


def bootstrap_auroc(labels: Any, scores: Any, *, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Interval:
    """Return the confidence interval of an AUROC by the stratified percentile bootstrap (``scipy.stats.bootstrap``).

    Normal and abnormal images are resampled separately, each to their own number. The interval describes the sampling
    of the test images, not the variation between training seeds. If all abnormal images score higher than all normal
    ones, its width is 0, because no resample contains an error.

    Args:
        labels: See `auroc`.
        scores: See `auroc`.
        level: Confidence, between 0 and 1.
        resamples: Number of resamples, at least 100.
        seed: Seed of the resampling.

    Raises:
        ValueError: See `auroc`; or a class has fewer than two images, or ``level`` or ``resamples`` is out of range.

    Example:
        >>> print(bootstrap_auroc([0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.6, 0.4, 0.7, 0.9]))
        0.889 [0.556, 1.000]
    """
    truth, values = check_scored(labels, scores)
    areas = _bootstrap(truth, [values], lambda areas: areas[0], level, resamples, seed)
    return Interval(auroc(truth, values), *areas, level)


def bootstrap_difference(
    labels: Any, first: Any, second: Any, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Return the interval of the first AUROC minus the second, by the paired stratified percentile bootstrap.

    Both methods are evaluated on the same resampled images, so that images that are difficult for both cancel.

    Args:
        labels: See `auroc`.
        first: Scores of one method, one per label.
        second: Scores of the other method, for the same images in the same order.
        level: See `bootstrap_auroc`.
        resamples: See `bootstrap_auroc`.
        seed: See `bootstrap_auroc`.

    Raises:
        ValueError: See `bootstrap_auroc`.

    Example:
        >>> labels = [0, 0, 0, 1, 1, 1]
        >>> print(bootstrap_difference(labels, [1, 2, 3, 4, 5, 6], [1, 2, 6, 4, 7, 9]))
        0.111 [0.000, 0.444]
    """
    truth, one = check_scored(labels, first)
    _, other = check_scored(labels, second)
    limits = _bootstrap(truth, [one, other], lambda areas: areas[0] - areas[1], level, resamples, seed)
    return Interval(auroc(truth, one) - auroc(truth, other), *limits, level)


def delong_covariance(labels: Any, *scores: Any) -> NDArray[np.float64]:
    """Return the covariance of the AUROCs of K methods on the same images.

    DeLong, DeLong and Clarke-Pearson (Biometrics 1988), computed from midranks in O(N log N) as in Sun and Xu (IEEE
    Signal Processing Letters 2014).

    Args:
        labels: See `auroc`.
        *scores: K vectors of scores, one per method.

    Returns:
        K×K float64; the diagonal has the variances.

    Raises:
        ValueError: See `bootstrap_auroc`; or there are no scores.

    Example:
        >>> delong_covariance([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).round(4).tolist()
        [[0.125]]
    """
    if not scores:
        raise ValueError("the scores of one method or more are needed")
    truth = _check_two_each(check_scored(labels, scores[0])[0])
    values = np.stack([check_scored(labels, each)[1] for each in scores])
    normal, abnormal = values[:, truth == 0], values[:, truth == 1]
    ranks = rankdata(values, axis=1)
    # For each abnormal image the fraction of normal ones below it, for each normal image of abnormal ones above it.
    below = (ranks[:, truth == 1] - rankdata(abnormal, axis=1)) / normal.shape[1]
    above = 1 - (ranks[:, truth == 0] - rankdata(normal, axis=1)) / abnormal.shape[1]
    covariance = sum(np.atleast_2d(np.cov(part)) / part.shape[1] for part in (below, above))
    return np.asarray(covariance)


def delong_test(labels: Any, first: Any, second: Any, *, level: float = 0.95) -> Comparison:
    """Test whether two methods differ in AUROC on the same images (DeLong).

    Methods with the same ranking differ by 0 with a p-value of 1. If neither AUROC has a variance and they differ (a
    perfect method and a perfectly wrong one), the p-value is the limit, 0.

    Args:
        labels: See `auroc`.
        first: Scores of one method, one per label.
        second: Scores of the other method, for the same images in the same order.
        level: Confidence of the interval of the difference.

    Raises:
        ValueError: See `bootstrap_auroc`.

    Example:
        >>> labels = [0, 0, 0, 1, 1, 1]
        >>> test = delong_test(labels, [1, 2, 3, 4, 5, 6], [1, 2, 6, 4, 7, 9])
        >>> round(test.difference.estimate, 3), round(test.p_value, 3)
        (0.111, 0.48)
    """
    check_level(level)
    difference = auroc(labels, first) - auroc(labels, second)
    covariance = delong_covariance(labels, first, second)
    # Rounding errors of equal rankings may be negative.
    error = math.sqrt(max(float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]), 0.0))
    if error < 1e-12:
        p_value = 1.0 if abs(difference) < 1e-12 else 0.0
    else:
        p_value = float(2 * norm.sf(abs(difference) / error))
    reach = float(norm.ppf(0.5 + level / 2)) * error
    return Comparison(Interval(difference, difference - reach, difference + reach, level), error, p_value)


def _bootstrap(
    truth: NDArray[np.int64],
    methods: list[NDArray[np.float64]],
    statistic: Any,
    level: float,
    resamples: int,
    seed: int,
) -> tuple[float, float]:
    check_level(level)
    check_count("resamples", resamples, 100)
    normal, abnormal = (np.flatnonzero(_check_two_each(truth) == label) for label in (0, 1))

    def resampled(one: NDArray[np.int64], other: NDArray[np.int64], axis: int) -> NDArray[np.float64]:
        order = np.concatenate([one, other], axis=axis)
        return np.asarray(statistic([_auroc_along(values[order], one.shape[axis], axis) for values in methods]))

    interval = bootstrap(
        (normal, abnormal),  # indices, so that all methods are resampled alike
        resampled,
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, _BATCH_ELEMENTS // truth.size),
        confidence_level=level,
        method="percentile",
        **{_GENERATOR: np.random.default_rng(seed)},
    ).confidence_interval
    return float(interval.low), float(interval.high)


def _auroc_along(values: NDArray[np.float64], normals: int, axis: int) -> NDArray[np.float64]:
    """Return the AUROCs along an axis whose first ``normals`` values are normal (scaled Mann-Whitney U)."""
    ranks = np.moveaxis(rankdata(values, axis=axis), axis, -1)[..., normals:]
    count = ranks.shape[-1]
    area: NDArray[np.float64] = (ranks.sum(-1) - count * (count + 1) / 2) / (normals * count)
    return area


def _check_two_each(truth: NDArray[np.int64]) -> NDArray[np.int64]:
    smaller = int(min((truth == 0).sum(), (truth == 1).sum()))
    if smaller < 2:
        raise ValueError("expected at least two images of each class, got only one of a class")
    return truth


def check_level(level: float) -> None:
    """Raise a ValueError unless this is a confidence level, between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
