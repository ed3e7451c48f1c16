"""AUROCs of parts of the test set: each disease against all normal images, and each view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anatpaste_aug.detection.evaluation.intervals import MIN_PER_CLASS, Interval, bootstrap_auroc
from anatpaste_aug.detection.evaluation.matched import MatchedAuroc, matched_aurocs
from anatpaste_aug.detection.evaluation.metrics import to_numpy


@dataclass(frozen=True)
class GroupAuroc:
    """Images per class in a group, and its AUROC with the 95 % interval; both None for too few images."""

    normal: int
    abnormal: int
    auroc: float | None
    interval: Interval | None

    def __str__(self) -> str:
        shown = "too few for an AUROC" if self.interval is None else f"AUROC {self.interval}"
        return f"{shown} ({self.normal} normal + {self.abnormal} abnormal)"


def group_aurocs(
    groups: Mapping[str, Any], labels: Any, scores: Any, *, min_per_class: int = MIN_PER_CLASS, resamples: int = 2000
) -> dict[str, GroupAuroc]:
    """Return each group's image counts and AUROC; a group with too few images of a class has counts alone.

    Args:
        groups: Name -> boolean mask over the M test images, as ``DetectionTask.groups()`` returns them.
        labels: M values, 0 (normal) or 1 (abnormal).
        scores: M values, larger is more anomalous.
        min_per_class: Images of a class that are needed for an AUROC; at least 2, which its interval takes.
        resamples: Of the intervals.

    Raises:
        ValueError: The lengths differ; the message names the group.

    Example:
        >>> print(group_aurocs({"edema": [True] * 4}, [0, 0, 1, 1], [1.0, 2.0, 3.0, 4.0])["edema"])
        too few for an AUROC (2 normal + 2 abnormal)
    """
    truth, values = to_numpy(labels), to_numpy(scores)
    results = {}
    for name, mask in groups.items():
        inside = to_numpy(mask).astype(bool)
        if not len(inside) == len(truth) == len(values):
            raise ValueError(f"{name} has {len(inside)} marks for {len(truth)} labels and {len(values)} scores")
        abnormal = int(truth[inside].sum())
        normal = int(inside.sum()) - abnormal
        interval = None
        if min(normal, abnormal) >= max(min_per_class, 2):
            interval = bootstrap_auroc(truth[inside], values[inside], resamples=resamples)
        results[name] = GroupAuroc(normal, abnormal, None if interval is None else interval.estimate, interval)
    return results


def matched_group_aurocs(
    groups: Mapping[str, Any], labels: Any, scores: Mapping[str, Any], nuisances: Mapping[str, Any]
) -> dict[str, dict[str, MatchedAuroc]]:
    """Return each method's AUROC at matched nuisance in each group; the images of a group are matched by themselves.

    Args:
        groups: As for `group_aurocs`.
        labels: likewise.
        scores, nuisances: As for `matched_aurocs`.

    Returns:
        Method -> group -> AUROC.

    Raises:
        ValueError: As `matched_aurocs`.

    Example:
        >>> found = matched_group_aurocs({"edema": [True] * 4}, [0, 0, 1, 1], {"a": range(4)}, {"size": range(4)})
        >>> print(found["a"]["edema"])
        too few images (2 normal, 2 abnormal)
    """
    truth = to_numpy(labels)
    results: dict[str, dict[str, MatchedAuroc]] = {name: {} for name in scores}
    for group, mask in groups.items():
        inside = to_numpy(mask).astype(bool)
        own, numbers = ({name: to_numpy(v)[inside] for name, v in part.items()} for part in (scores, nuisances))
        for name, found in matched_aurocs(truth[inside], own, numbers).items():
            results[name][group] = found
    return results
