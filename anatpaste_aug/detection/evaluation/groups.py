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
    """The AUROC of a group with its 95 % interval, and its numbers of images; None for too few images."""

    normal: int
    abnormal: int
    auroc: float | None
    interval: Interval | None

    def __str__(self) -> str:
        auroc = "too few for an AUROC" if self.interval is None else f"AUROC {self.interval}"
        return f"{auroc} ({self.normal} normal + {self.abnormal} abnormal)"


def group_aurocs(
    groups: Mapping[str, Any], labels: Any, scores: Any, *, min_per_class: int = MIN_PER_CLASS, resamples: int = 2000
) -> dict[str, GroupAuroc]:
    """Return the numbers of images and the AUROC of each group; groups with too few images of a class have no AUROC.

    Args:
        groups: Name -> boolean mask over the M test images, as ``DetectionTask.groups()`` returns them.
        labels: M values, 0 (normal) or 1 (abnormal).
        scores: M values, larger is more anomalous.
        min_per_class: Number of images of a class that an AUROC needs; at least 2, for the interval.
        resamples: Number of bootstrap resamples.

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
            raise ValueError(f"{name} has {len(inside)} values for {len(truth)} labels and {len(values)} scores")
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
    """Return the matched AUROC of each method in each group; the images of a group are matched separately.

    Args:
        groups: See `group_aurocs`.
        labels: See `group_aurocs`.
        scores: See `matched_aurocs`.
        nuisances: See `matched_aurocs`.

    Returns:
        Method -> group -> AUROC.

    Raises:
        ValueError: See `matched_aurocs`.

    Example:
        >>> aurocs = matched_group_aurocs({"edema": [True] * 4}, [0, 0, 1, 1], {"a": range(4)}, {"size": range(4)})
        >>> print(aurocs["a"]["edema"])
        too few images (2 normal, 2 abnormal)
    """
    truth = to_numpy(labels)
    results: dict[str, dict[str, MatchedAuroc]] = {name: {} for name in scores}
    for group, mask in groups.items():
        inside = to_numpy(mask).astype(bool)
        scores_inside, nuisances_inside = (
            {name: to_numpy(v)[inside] for name, v in part.items()} for part in (scores, nuisances)
        )
        for name, auroc in matched_aurocs(truth[inside], scores_inside, nuisances_inside).items():
            results[name][group] = auroc
    return results
