"""Find methods that are not significantly better than the best one-number score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from anatpaste_aug.detection.evaluation.intervals import bootstrap_auroc, bootstrap_difference
from anatpaste_aug.detection.evaluation.matched import MatchedAuroc
from anatpaste_aug.detection.evaluation.metrics import auroc
from anatpaste_aug.detection.evaluation.results import MethodScores


def best_one_number(labels: Any, one_numbers: Sequence[MethodScores]) -> MethodScores:
    """Return the one-number score with the highest test AUROC.

    Args:
        labels: One per test image, 0 (normal) or 1 (abnormal); both must occur.
        one_numbers: See `one_number_scores`; at least one.

    Raises:
        ValueError: See `auroc`.

    Example:
        >>> scores = [MethodScores("a", [0.0], [1.0, 2.0]), MethodScores("b", [0.0], [2.0, 1.0])]
        >>> best_one_number([1, 0], scores).name
        'b'
    """
    return max(one_numbers, key=lambda each: auroc(labels, each.test))


def shortcut_findings(
    labels: Any,
    methods: Iterable[MethodScores],
    one_numbers: Sequence[MethodScores],
    matched: MatchedAuroc | None = None,
    *,
    resamples: int = 2000,
) -> list[str]:
    """Name the best one-number score, and each method that is not significantly better.

    A method is significantly better if the 95 % interval of the difference of the AUROCs (paired bootstrap) is above 0.

    Args:
        labels: One per test image, 0 (normal) or 1 (abnormal); at least two of each.
        methods: Detectors.
        one_numbers: One-number scores of the same images; at least one.
        matched: The result of any method; if the images cannot be matched, a finding says why.
        resamples: Number of bootstrap resamples.

    Returns:
        One sentence per finding.

    Raises:
        ValueError: See `bootstrap_difference`.

    Example:
        >>> number = MethodScores("mean gradient (low)", [0.0], [1.0, 3.0, 2.0, 4.0])
        >>> lines = shortcut_findings([0, 0, 1, 1], [MethodScores("detector", [0.0], [1.0, 4.0, 2.0, 3.0])], [number])
        >>> for part in lines[1].split(": "):
        ...     print(part)
        detector is not significantly better than mean gradient (low)
        AUROC 0.500 against 0.750, difference -0.250 [-1.000, 0.000].
    """
    best = best_one_number(labels, one_numbers)
    interval = bootstrap_auroc(labels, best.test, resamples=resamples)
    lines = [f"Best one-number score: {best.name}, AUROC {interval}."]
    for method in methods:
        difference = bootstrap_difference(labels, method.test, best.test, resamples=resamples)
        if difference.low <= 0:
            lines.append(
                f"{method.name} is not significantly better than {best.name}: AUROC {auroc(labels, method.test):.3f} "
                f"against {interval.estimate:.3f}, difference {difference}."
            )
    if matched is not None and matched.note:
        lines.append(f"No matched AUROC: {matched.note}.")
    return lines
