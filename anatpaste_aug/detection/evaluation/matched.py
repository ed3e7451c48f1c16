"""The matched AUROC: what a score measures beyond sharpness, brightness and other one-number scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anatpaste_aug.detection.evaluation.intervals import MIN_PER_CLASS, Interval, check_level
from anatpaste_aug.detection.evaluation.metrics import check_scored, to_numpy
from anatpaste_aug.detection.evaluation.overlap import (
    design_matrix,
    effective_number,
    overlap_weights,
    weighted_auroc,
)
from anatpaste_aug.validation import check_count

# Number of elements of a block of resamples × images; 8 MiB in float64.
_BLOCK_ELEMENTS = 2**20
# The largest fraction of resamples in which the nuisances may separate the classes. These have no weights, so the
# interval is computed from the others.
_MAX_SEPARATED = 0.05


@dataclass(frozen=True)
class MatchedAuroc:
    """An AUROC under overlap weights, or the reason why there is none.

    Attributes:
        interval: The AUROC with its confidence interval; None if the images cannot be matched.
        normal: Effective number of normal images (Kish): the number of equally weighted ones with the same information.
        abnormal: Effective number of abnormal images.
        note: Why there is no AUROC; empty if there is one.
    """

    interval: Interval | None
    normal: float = 0.0
    abnormal: float = 0.0
    note: str = ""

    @property
    def effective(self) -> float:
        """The effective number of images of the smaller class, which limits the precision of the AUROC."""
        return min(self.normal, self.abnormal)

    def __str__(self) -> str:
        return self.note if self.interval is None else str(self.interval)


def matched_aurocs(
    labels: Any,
    scores: Mapping[str, Any],
    nuisances: Mapping[str, Any],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, MatchedAuroc]:
    """Return the matched AUROC of each method: that after matching the classes in all nuisances.

    A nuisance is a number of an image that a detector should not depend on, such as its sharpness. The images have the
    overlap weights of a logistic regression of the labels on the nuisances, see `overlap_weights`. A method that only
    repeats a mixture of the nuisances has an AUROC near 0.5; a method that does not depend on them keeps its AUROC.
    Matching removes linear effects of the nuisances only: a method may still benefit from nonlinear ones, or from a
    shortcut that is not among them.

    The interval is that of the stratified percentile bootstrap. The regression is fitted again in each resample.

    Args:
        labels: M values, 0 (normal) or 1 (abnormal).
        scores: Name -> M finite values, larger is more anomalous.
        nuisances: Name -> M finite values, such as the test scores of `one_number_scores`. Constant ones are ignored.
        level: Confidence, between 0 and 1.
        resamples: Number of resamples, at least 100.
        seed: Seed of the resampling.

    Returns:
        Name -> AUROC. All have a note instead if a class has fewer than ``MIN_PER_CLASS`` images, or if the nuisances
        separate the classes, for all images or in more than 5 % of the resamples.

    Raises:
        ValueError: There are no nuisances, lengths differ, a value is not finite, or a label is neither 0 nor 1.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> labels, sharpness = np.repeat([0, 1], 200), rng.normal(size=400)
        >>> sharpness[200:] += 1
        >>> aurocs = matched_aurocs(labels, {"detector": 2 * sharpness + 3}, {"mean gradient": sharpness})
        >>> bool(abs(aurocs["detector"].interval.estimate - 0.5) < 0.05)
        True
    """
    check_level(level)
    check_count("resamples", resamples, 100)
    truth = to_numpy(labels).astype(np.int64)
    counts = [int((truth == label).sum()) for label in (0, 1)]
    if min(counts) < MIN_PER_CLASS:
        note = f"too few images ({counts[0]} normal, {counts[1]} abnormal)"
        return {name: MatchedAuroc(None, note=note) for name in scores}
    checked = {name: check_scored(labels, values)[1] for name, values in scores.items()}
    design = design_matrix([check_scored(labels, values)[1] for values in nuisances.values()])
    (weights,), (separated,) = overlap_weights(truth, design)
    if separated:
        note = "cannot be matched: the one-number scores separate the classes"
        return {name: MatchedAuroc(None, note=note) for name in scores}
    normal, abnormal = (effective_number(weights[truth == label]) for label in (0, 1))
    estimates = {name: float(weighted_auroc(truth, values, weights[None])[0]) for name, values in checked.items()}
    resampled, dropped = _bootstrap(truth, design, checked, resamples, seed)
    if dropped > _MAX_SEPARATED:
        note = f"cannot be matched: the one-number scores separate the classes in {dropped:.0%} of the resamples"
        return {name: MatchedAuroc(None, normal, abnormal, note) for name in scores}
    tails = [(1 - level) / 2, (1 + level) / 2]
    limits = {name: np.quantile(areas, tails) for name, areas in resampled.items()}
    return {
        name: MatchedAuroc(Interval(estimates[name], float(low), float(high), level), normal, abnormal)
        for name, (low, high) in limits.items()
    }


def _bootstrap(
    truth: NDArray[np.int64],
    design: NDArray[np.float64],
    scores: Mapping[str, NDArray[np.float64]],
    resamples: int,
    seed: int,
) -> tuple[dict[str, NDArray[np.float64]], float]:
    """Return the AUROCs of each method in the resamples that can be matched, and the fraction that cannot."""
    rng = np.random.default_rng(seed)
    classes = [np.flatnonzero(truth == label) for label in (0, 1)]
    areas: dict[str, list[NDArray[np.float64]]] = {name: [] for name in scores}
    left, dropped = resamples, 0
    while left:
        size = min(left, max(1, _BLOCK_ELEMENTS // len(truth)))
        counts = np.zeros((size, len(truth)))
        for members in classes:
            counts[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), size=size)
        weights, separated = overlap_weights(truth, design, counts)
        weights = (weights * counts)[~separated]
        dropped += int(separated.sum())
        left -= size
        for name, values in scores.items():
            areas[name].append(weighted_auroc(truth, values, weights))
    return {name: np.concatenate(parts) for name, parts in areas.items()}, dropped / resamples
