"""What a table compares: a trained method with one detector per seed, or a baseline."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from anatpaste_aug.datasets import DetectionTask
from anatpaste_aug.detection.evaluation.matched import MatchedAuroc
from anatpaste_aug.detection.evaluation.one_number import one_number_scores
from anatpaste_aug.detection.evaluation.results import MethodScores, ResultRow, ensemble, result_row
from anatpaste_aug.detection.evaluation.thresholds import has_both
from anatpaste_aug.detection.models.base import Detector
from anatpaste_aug.detection.models.pretext_config import PretextConfig
from anatpaste_aug.detection.models.pretext_detector import PretextDetector
from anatpaste_aug.detection.models.pretrained import pretrained_net, untrained_net
from anatpaste_aug.detection.studies.methods import METHODS
from anatpaste_aug.detection.studies.runs import Run
from anatpaste_aug.detection.training.result import Weights


@dataclass(frozen=True, eq=False)
class EvaluatedMethod:
    """A method with its scores, one member per seed.

    Args:
        label: Name in results.
        members: Scores of the validation and test images; one or more.
        detectors: For each member, a function that loads its detector, to score other images; empty for baselines
            without a network.

    Example:
        >>> seeds = MethodScores("a, seed 0", [0.0, 2.0], [1.0]), MethodScores("a, seed 1", [1.0, 2.0], [1.5])
        >>> method = EvaluatedMethod("a", seeds)
        >>> method.scores.name, method.scores.test
        ('a, ensemble of 2 seeds', array([0.5]))
    """

    label: str
    members: tuple[MethodScores, ...]
    detectors: tuple[Callable[[], Detector], ...] = ()

    @property
    def scores(self) -> MethodScores:
        """Scores of the ensemble of all seeds, or of the only member."""
        if len(self.members) == 1:
            return self.members[0]
        return ensemble(self.members, f"{self.label}, ensemble of {len(self.members)} seeds")

    def scorer(self) -> Callable[[Tensor], Any]:
        """Load the detectors; return a function from N×1×S×S images to N scores on the scale of `scores`.

        Raises:
            ValueError: The method has no detectors.
        """
        if not self.detectors:
            raise ValueError(f"{self.label} has no detector to score other images with")
        detectors = [load() for load in self.detectors]
        if len(detectors) == 1:
            return detectors[0].score
        return lambda images: np.mean([np.clip(each.predict(images).scaled, 0, 1) for each in detectors], axis=0)

    @property
    def all_scores(self) -> list[MethodScores]:
        """Scores of each member, and of the ensemble of several."""
        return [*self.members, self.scores] if len(self.members) > 1 else list(self.members)

    def rows(self, task: DetectionTask, matched: Mapping[str, MatchedAuroc] | None = None) -> list[ResultRow]:
        """Return a row of results for each of `all_scores`; ``matched`` are their matched AUROCs."""
        val, test = task.val.labels, task.test.labels
        return [
            result_row(each, val, test, dataset=task.name, matched=(matched or {}).get(each.name))
            for each in self.all_scores
        ]


def trained_methods(runs: Iterable[Run], weights: Weights = "best") -> list[EvaluatedMethod]:
    """Return the methods of finished runs, in their order, each with all of its seeds."""
    runs_of: dict[str, list[Run]] = {}
    for run in runs:
        runs_of.setdefault(run.method, []).append(run)
    methods = []
    for method, seeds in runs_of.items():
        label = METHODS[method].label + (", last weights" if weights == "last" else "")
        members = tuple(run.best if weights == "best" else run.last for run in seeds)
        methods.append(EvaluatedMethod(label, members, tuple(partial(run.detector, weights) for run in seeds)))
    return methods


def baseline_methods(
    task: DetectionTask, config: PretextConfig, weights_file: str | os.PathLike[str] | None = None
) -> list[EvaluatedMethod]:
    """Return the baselines: features of the untrained backbone, pretrained ones from a file, and one-number scores.

    Args:
        task: The images.
        config: Backbone, seed, score and device.
        weights_file: See `pretrained_net`; None leaves pretrained features out.
    """
    size = config.image_size
    nets = {f"untrained {config.backbone} features": untrained_net(config.backbone, seed=config.seed, image_size=size)}
    if weights_file is not None:
        nets[f"pretrained {config.backbone} features"] = pretrained_net(weights_file, config.backbone, image_size=size)
    methods = []
    for label, net in nets.items():
        detector = PretextDetector.from_net(
            net.to(config.device), task.train.images, task.val.images, task.val.labels, config=config
        )
        val = detector.score_validation(task.val.images, task.val.labels)
        test = detector.score(task.test.images)
        scores = MethodScores(label, val, test, config.false_positive_rate, not has_both(task.val.labels))
        methods.append(EvaluatedMethod(label, (scores,), (partial(_identity, detector),)))
    # Labels determine which sign of a number is abnormal.
    numbers = one_number_scores(task) if has_both(task.val.labels) else []
    for number in numbers:
        scores = replace(number, false_positive_rate=config.false_positive_rate)
        methods.append(EvaluatedMethod(scores.name, (scores,)))
    return methods


def _identity(detector: Detector) -> Detector:
    return detector
