"""Scores of methods on the same images, their ensemble, and a row of results for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from anatpaste_aug.detection.evaluation.intervals import Interval, bootstrap_auroc
from anatpaste_aug.detection.evaluation.matched import MatchedAuroc
from anatpaste_aug.detection.evaluation.metrics import (
    Metrics,
    ScoreScaler,
    auroc,
    check_scores,
    evaluate,
)
from anatpaste_aug.detection.evaluation.thresholds import choose_scaler, choose_threshold, has_both

_ABOUT_DATA = ("dataset", "update", "effective images")  # columns that are left out if all rows have the same text


@dataclass(frozen=True)
class ResultRow:
    """One row of results: the metrics of a set of scores on a test set.

    Attributes:
        dataset: Name of the data as shown to a reader, such as "phantoms (synthetic)".
        weights: "best" (chosen on validation images) or "last", or the name of another method.
        metrics: On the test images. The threshold is on the scale of the scaled scores, see `ScoreScaler`.
        update: The update of these weights, if they are from a training.
        val_auroc: AUROC on the validation images; None if a class is missing.
        interval: Confidence interval of the test AUROC; None without abnormal test images.
        matched: Matched AUROC, see `matched_aurocs`.
    """

    dataset: str
    weights: str
    metrics: Metrics
    update: int | None = None
    val_auroc: float | None = None
    interval: Interval | None = None
    matched: MatchedAuroc | None = None

    @property
    def label(self) -> str:
        """The name of the row for a reader."""
        return f"{self.weights} weights" if self.weights in ("best", "last") else self.weights

    def cells(self) -> dict[str, str]:
        """Return the text of each column, in the order of the table."""
        metrics, matched = self.metrics, self.matched
        is_matched = matched is not None and matched.interval is not None
        return {
            "dataset": self.dataset,
            "method": self.label,
            "update": "–" if self.update is None else str(self.update),
            "val. AUROC": _format(self.val_auroc),
            "AUROC": _format(metrics.auroc) if self.interval is None else str(self.interval),
            "matched AUROC": str(matched) if is_matched else "–",
            "effective images": f"{matched.normal:.0f} + {matched.abnormal:.0f}" if matched and is_matched else "–",
            "accuracy": _format(metrics.accuracy),
            "F1": _format(metrics.f1),
            "sensitivity": _format(metrics.sensitivity),
            "specificity": _format(metrics.specificity),
            "threshold": f"{metrics.threshold:.3f}",
        }


@dataclass(frozen=True, eq=False)
class MethodScores:
    """Scores of a method for the validation and test images.

    Args:
        name: Name of the method in results, such as "AnatPaste, seed 0".
        val: One finite score per validation image, larger is more anomalous; array, tensor or sequence.
        test: One finite score per test image. Both are stored as float64 vectors.
        false_positive_rate: For the threshold, see `choose_threshold`.
        normals_only: Whether all validation images are normal, which changes the scale, see `choose_scaler`.
        scaled: Whether the scores are already scaled, as those of an ensemble are.

    Raises:
        ValueError: Scores are not vectors, are empty, or not finite.

    Example:
        >>> MethodScores("mean intensity", [0.1, 0.4], [0.2, 0.3]).test
        array([0.2, 0.3])
    """

    name: str
    val: Any
    test: Any
    false_positive_rate: float | None = None
    normals_only: bool = False
    scaled: bool = False

    def __post_init__(self) -> None:
        for part in ("val", "test"):
            object.__setattr__(self, part, check_scores(getattr(self, part)))

    @property
    def scaler(self) -> ScoreScaler:
        """The scale of the scores, from the validation images."""
        if self.scaled:
            return ScoreScaler(0.0, 1.0)
        if not self.normals_only:
            return ScoreScaler.fit(self.val)
        labels = np.zeros(self.val.size, np.int64)
        return choose_scaler(labels, self.val, self.threshold(labels))

    def threshold(self, val_labels: Any) -> float:
        """Return the threshold that is chosen by the validation images."""
        return choose_threshold(val_labels, self.val, self.false_positive_rate)

    def scaled_threshold(self, val_labels: Any) -> float:
        """Return the threshold on the scale of `scaler`."""
        return float(self.scaler.transform([self.threshold(val_labels)])[0])


def ensemble(members: Sequence[MethodScores], name: str = "ensemble") -> MethodScores:
    """Average the members' scores, each on its own scale (see `choose_scaler`) and clipped to [0, 1].

    Sato et al. (arXiv 2205.04282) do so with the networks of five seeds. The ensemble has its own threshold, see
    `result_row`.

    Args:
        members: Methods, or seeds of one method, on the same images in the same order; at least one.
        name: Name of the ensemble in results.

    Raises:
        ValueError: There are no members, or their numbers of images differ.

    Example:
        >>> one, other = MethodScores("a", [0.0, 2.0], [1.0, 4.0]), MethodScores("b", [10.0, 20.0], [15.0, 5.0])
        >>> ensemble([one, other]).test
        array([0.5, 0.5])
    """
    if not members:
        raise ValueError("an ensemble needs one member or more")
    sizes = {(member.val.size, member.test.size) for member in members}
    if len(sizes) > 1:
        raise ValueError(f"the members scored different images: {sorted(sizes)} for validation and test")
    val, test = (
        np.mean([np.clip(each.scaler.transform(getattr(each, part)), 0, 1) for each in members], axis=0)
        for part in ("val", "test")
    )
    return MethodScores(name, val, test, members[0].false_positive_rate, members[0].normals_only, scaled=True)


def result_row(
    method: MethodScores,
    val_labels: Any,
    test_labels: Any,
    *,
    dataset: str,
    update: int | None = None,
    matched: MatchedAuroc | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> ResultRow:
    """Compute test metrics at the validation threshold of a method, with the interval of the AUROC.

    Args:
        method: The scores; the row has the name of the method.
        val_labels: One per validation image, 0 (normal) or 1 (abnormal); the latter are optional.
        test_labels: One per test image; at least two of each class, or only normal ones.
        dataset: Name of the data as shown to a reader.
        update: The update of the weights, if they are from a training.
        matched: Matched AUROC of the method.
        resamples: See `bootstrap_auroc`.
        seed: See `bootstrap_auroc`.

    Raises:
        ValueError: The lengths differ, or a class is missing.

    Example:
        >>> method = MethodScores("mean intensity", [0.1, 0.2, 0.3, 0.4], [0.1, 0.3, 0.2, 0.4])
        >>> row = result_row(method, [0, 0, 1, 1], [0, 0, 1, 1], dataset="phantoms (synthetic)")
        >>> row.metrics.auroc, round(row.metrics.threshold, 3), row.val_auroc
        (0.75, 0.667, 1.0)
    """
    metrics = evaluate(test_labels, method.test, method.threshold(val_labels))
    return ResultRow(
        dataset,
        method.name,
        replace(metrics, threshold=method.scaled_threshold(val_labels)),
        update,
        auroc(val_labels, method.val) if has_both(val_labels) else None,
        bootstrap_auroc(test_labels, method.test, resamples=resamples, seed=seed) if has_both(test_labels) else None,
        matched,
    )


def result_cells(rows: Sequence[ResultRow]) -> list[dict[str, str]]:
    """Return the cells of each row, without columns that are empty, or that repeat one text about the data.

    Args:
        rows: The rows of one table.

    Example:
        >>> metrics = evaluate([0, 1], [0.1, 0.4], 0.4)
        >>> rows = [ResultRow("phantoms", weights, metrics) for weights in ("best", "last")]
        >>> list(result_cells(rows)[0])
        ['method', 'AUROC', 'accuracy', 'F1', 'sensitivity', 'specificity', 'threshold']
    """
    cells = [row.cells() for row in rows]
    columns = {name: {row[name] for row in cells} for name in (cells[0] if cells else ())}
    dropped = {
        name
        for name, texts in columns.items()
        if texts == {"–"} or (name in _ABOUT_DATA and len(rows) > 1 and len(texts) == 1)
    }
    return [{name: text for name, text in row.items() if name not in dropped} for row in cells]


def _format(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
