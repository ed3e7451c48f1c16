"""Methods side by side: scores of the same validation and test images, their ensemble, and one line of results each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anatpaste_aug.detection.evaluation.intervals import bootstrap_auroc
from anatpaste_aug.detection.evaluation.metrics import ScoreScaler, auroc, best_f1_threshold, check_scores, evaluate
from anatpaste_aug.detection.reporting.report import ResultRow


@dataclass(frozen=True, eq=False)
class MethodScores:
    """What one method says of the validation and of the test images.

    Args:
        name: how results name the method, such as "AnatPaste, seed 0".
        val: one finite score per validation image, larger is more anomalous; array, tensor or sequence.
        test: the same for the test images. Both are kept as float64 vectors.

    Raises:
        ValueError: scores that are no vector, empty or not finite.

    Example:
        >>> MethodScores("mean intensity", [0.1, 0.4], [0.2, 0.3]).test
        array([0.2, 0.3])
    """

    name: str
    val: Any
    test: Any

    def __post_init__(self) -> None:
        for part in ("val", "test"):
            object.__setattr__(self, part, check_scores(getattr(self, part)))


def ensemble(members: Sequence[MethodScores], name: str = "ensemble") -> MethodScores:
    """The mean of the members' scores, each scaled to [0, 1] by its own validation minimum and maximum.

    So do Sato et al. (arXiv 2205.04282) with the networks of five seeds. The threshold of the ensemble is its own, see
    :func:`judge`.

    Args:
        members: methods, or one method's seeds, on the same images in the same order; one or more.
        name: how results name it.

    Raises:
        ValueError: no members, or members with another number of images.

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
    scalers = [ScoreScaler.fit(member.val) for member in members]
    val, test = (
        np.mean([scaler.transform(getattr(each, part)) for scaler, each in zip(scalers, members, strict=True)], axis=0)
        for part in ("val", "test")
    )
    return MethodScores(name, val, test)


def judge(
    method: MethodScores,
    val_labels: Any,
    test_labels: Any,
    *,
    dataset: str,
    update: int | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> ResultRow:
    """One line of the results: test figures at the method's own best validation threshold, with the AUROC's interval.

    Args:
        method: what is judged; its name becomes the line's.
        val_labels: one per validation image, 0 (normal) or 1 (abnormal); both must occur.
        test_labels: one per test image, at least two of each class.
        dataset: how the reader must see the data named.
        update: where the weights come from, if from a training.
        resamples, seed: of :func:`anatpaste_aug.detection.bootstrap_auroc`.

    Raises:
        ValueError: the lengths differ, or a class is missing.

    Example:
        >>> method = MethodScores("mean intensity", [0.1, 0.2, 0.3, 0.4], [0.1, 0.3, 0.2, 0.4])
        >>> row = judge(method, [0, 0, 1, 1], [0, 0, 1, 1], dataset="phantoms (synthetic)")
        >>> row.metrics.auroc, row.metrics.threshold, row.val_auroc
        (0.75, 0.3, 1.0)
    """
    return ResultRow(
        dataset,
        method.name,
        evaluate(test_labels, method.test, best_f1_threshold(val_labels, method.val)),
        update,
        auroc(val_labels, method.val),
        bootstrap_auroc(test_labels, method.test, resamples=resamples, seed=seed),
    )
