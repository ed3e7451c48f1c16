"""Overlap weights, which give normal and abnormal images the same mean of every nuisance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from anatpaste_aug.detection.evaluation.metrics import check_scored, check_scores

_MAX_ITERATIONS = 40
_CONVERGED = 1e-10  # relative change of the log likelihood
# A value that varies by less than this fraction of its size is constant except for rounding.
_CONSTANT = 1e-9
# Added to the diagonal of the Hessian, relative to its mean, so that collinear nuisances do not make it singular.
_RIDGE = 1e-9
# The classes are separated if the sum of weights of one is below this number of images.
_LEAST_WEIGHT = 1e-3


def design_matrix(nuisances: Sequence[Any]) -> NDArray[np.float64]:
    """Return a column of ones and the standardized nuisances, without constant ones.

    Args:
        nuisances: Vectors of M finite values.

    Returns:
        M×(K+1) float64, where K is the number of nuisances that vary.

    Raises:
        ValueError: There are no nuisances, or vectors differ in length, are empty or not finite.

    Example:
        >>> design_matrix([[1.0, 3.0], [5.0, 5.0]]).tolist()
        [[1.0, -1.0], [1.0, 1.0]]
    """
    vectors = [check_scores(nuisance) for nuisance in nuisances]
    lengths = {len(values) for values in vectors}
    if len(lengths) != 1:
        raise ValueError(f"one or more nuisances of the same length are needed, got lengths {sorted(lengths)}")
    varying = [values for values in vectors if np.ptp(values) > _CONSTANT * np.abs(values).max()]
    columns = [np.ones(lengths.pop()), *((values - values.mean()) / values.std() for values in varying)]
    return np.stack(columns, axis=1)


def overlap_weights(
    labels: Any, design: NDArray[np.float64], counts: NDArray[Any] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Weight images by the probability of the other class, from an unpenalized logistic regression on the nuisances.

    An abnormal image with predicted probability p has the weight 1 - p, a normal one p (Li, Morgan and Zaslavsky, JASA
    2018). Under these weights both classes have exactly the same mean of every nuisance, and images without a
    counterpart in the other class have small weights. The regression is fitted by Newton's method, for all resamples at
    once.

    Args:
        labels: M values, 0 (normal) or 1 (abnormal); both must occur.
        design: M×(K+1), see `design_matrix`.
        counts: B×M, how often each of B resamples contains an image, with both classes in each; None is once each.

    Returns:
        B×M weights in [0, 1], to be multiplied by ``counts``, and B flags: whether the nuisances separate the classes
        of the resample perfectly, in which case the regression has no solution and the weights are meaningless.

    Raises:
        ValueError: See `auroc`; or the number of rows differs.

    Example:
        >>> weights, separated = overlap_weights([0, 1, 0, 1], design_matrix([[0.0, 1.0, 2.0, 3.0]]))
        >>> weights.round(2).tolist(), separated.tolist()
        ([[0.2, 0.61, 0.61, 0.2]], [False])
    """
    truth, _ = check_scored(labels, design[:, 0])
    repeats = np.ones((1, len(truth))) if counts is None else np.asarray(counts, dtype=np.float64)
    sign = np.where(truth == 1, 1.0, -1.0)
    size, width = len(repeats), design.shape[1]
    products = (design[:, :, None] * design[:, None, :]).reshape(len(truth), -1)
    coefficients = np.zeros((size, width))
    likelihood = _log_likelihood(coefficients, design, sign, repeats)
    active = np.arange(size)  # resamples whose fit has not converged
    separated = np.zeros(size, dtype=bool)
    for _ in range(_MAX_ITERATIONS):
        number, beta = repeats[active], coefficients[active]
        predicted = expit(beta @ design.T)
        gradient = (number * (truth - predicted)) @ design
        hessian = ((number * predicted * (1 - predicted)) @ products).reshape(-1, width, width)
        ridge = _RIDGE * np.trace(hessian, axis1=1, axis2=2) / width + np.finfo(float).tiny
        hessian += ridge[:, None, None] * np.eye(width)
        step = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        before = likelihood[active]
        coefficients[active], likelihood[active] = _line_search(beta, step, before, design, sign, number)
        margins = np.where(number > 0, sign * (coefficients[active] @ design.T), np.inf)
        separated[active] = margins.min(1) > 0
        change = likelihood[active] - before
        done = separated[active] | (change <= _CONVERGED * (np.abs(before) + 1))
        active = active[~done]
        if not len(active):
            break
    weights = expit(-sign * (coefficients @ design.T))
    totals = [(weights * repeats * (truth == label)).sum(1) for label in (0, 1)]
    return weights, separated | (np.minimum(*totals) < _LEAST_WEIGHT)


def effective_number(weights: NDArray[np.float64]) -> float:
    """Return the number of equally weighted images with the same information: Kish's (Σw)² / Σw².

    Example:
        >>> effective_number(np.array([1.0, 1.0, 0.0]))
        2.0
    """
    squares = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def weighted_auroc(labels: Any, scores: Any, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the AUROC under each of B sets of weights, as ``roc_auc_score(sample_weight=)`` defines it.

    Args:
        labels: M values, 0 (normal) or 1 (abnormal); both must occur.
        scores: M finite values, larger is more anomalous; ties count half.
        weights: B×M, not negative, with a positive sum for each class.

    Returns:
        B areas in [0, 1].

    Raises:
        ValueError: See `auroc`.

    Example:
        >>> weighted_auroc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], np.array([[1.0, 1, 1, 1], [1, 0, 1, 1]])).tolist()
        [0.75, 1.0]
    """
    truth, values = check_scored(labels, scores)
    normal, abnormal = values[truth == 0], values[truth == 1]
    order = np.argsort(normal, kind="stable")
    normals, abnormals = weights[:, truth == 0][:, order], weights[:, truth == 1]
    below = np.concatenate([np.zeros((len(weights), 1)), np.cumsum(normals, axis=1)], axis=1)
    left, right = (np.searchsorted(normal[order], abnormal, side) for side in ("left", "right"))
    areas = (abnormals * (below[:, left] + below[:, right])).sum(1) / 2
    return np.asarray(areas / (below[:, -1] * abnormals.sum(1)))


def _log_likelihood(
    coefficients: NDArray[np.float64],
    design: NDArray[np.float64],
    sign: NDArray[np.float64],
    counts: NDArray[np.float64],
) -> NDArray[np.float64]:
    return -np.asarray((counts * np.logaddexp(0, -sign * (coefficients @ design.T))).sum(1))


def _line_search(
    beta: NDArray[np.float64],
    step: NDArray[np.float64],
    before: NDArray[np.float64],
    design: NDArray[np.float64],
    sign: NDArray[np.float64],
    counts: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Take Newton steps, halved until the likelihood does not decrease."""
    length = np.ones(len(beta))
    for _ in range(20):
        candidate = beta + length[:, None] * step
        likelihood = _log_likelihood(candidate, design, sign, counts)
        worse = ~(likelihood >= before - 1e-12 * (np.abs(before) + 1))  # NaN included
        if not worse.any():
            return candidate, likelihood
        length[worse] /= 2
    return np.where(worse[:, None], beta, candidate), np.where(worse, before, likelihood)
