"""What a table compares: a trained method with its seeds, or a baseline that nobody trained for the task."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from anatpaste_aug.datasets.tasks import DetectionTask
from anatpaste_aug.detection.evaluation.one_number import one_number_scores, pretrained_net, untrained_net
from anatpaste_aug.detection.evaluation.results import MethodScores, ensemble, judge
from anatpaste_aug.detection.models.pretext_detector import Detector
from anatpaste_aug.detection.reporting.report import ResultRow
from anatpaste_aug.detection.studies.methods import METHODS
from anatpaste_aug.detection.studies.runs import Run, Weights
from anatpaste_aug.detection.training.config import TrainConfig


@dataclass(frozen=True, eq=False)
class Entrant:
    """A method, with one member for each seed.

    Args:
        label: how results name it.
        members: scores of the validation and test images, one or more.
        detectors: for each member what loads its detector, to score other images; none for what needs no network.

    Example:
        >>> entrant = Entrant("a", (MethodScores("a, seed 0", [0.0, 2.0], [1.0]), MethodScores("b", [1.0, 2.0], [1.5])))
        >>> entrant.scores.name, entrant.scores.test
        ('a, ensemble of 2 seeds', array([0.5]))
    """

    label: str
    members: tuple[MethodScores, ...]
    detectors: tuple[Callable[[], Detector], ...] = ()

    @property
    def scores(self) -> MethodScores:
        """Those of the ensemble of all seeds; of a single member its own."""
        if len(self.members) == 1:
            return self.members[0]
        return ensemble(self.members, f"{self.label}, ensemble of {len(self.members)} seeds")

    def scorer(self) -> Callable[[Tensor], Any]:
        """Loads the detectors, and gives what scores other images, N×1×S×S to N values on the scale of :attr:`scores`.

        Raises:
            ValueError: this entrant has no detectors.
        """
        if not self.detectors:
            raise ValueError(f"{self.label} has no detector that could score other images")
        detectors = [load() for load in self.detectors]
        if len(detectors) == 1:
            return detectors[0].score
        return lambda images: np.mean([detector(images).scaled for detector in detectors], axis=0)

    def rows(self, task: DetectionTask) -> list[ResultRow]:
        """A line of results for each member, and for the ensemble of several."""
        judged = [*self.members, self.scores] if len(self.members) > 1 else list(self.members)
        return [judge(each, task.val.labels, task.test.labels, dataset=task.name) for each in judged]


def trained(runs: Iterable[Run], weights: Weights = "best") -> list[Entrant]:
    """The methods of finished runs, in their order, each with all of its seeds."""
    families: dict[str, list[Run]] = {}
    for run in runs:
        families.setdefault(run.method, []).append(run)
    entrants = []
    for method, family in families.items():
        label = METHODS[method].label + (", last weights" if weights == "last" else "")
        members = tuple(run.best if weights == "best" else run.last for run in family)
        entrants.append(Entrant(label, members, tuple(partial(run.detector, weights) for run in family)))
    return entrants


def untrained(
    task: DetectionTask, config: TrainConfig, weights_file: str | os.PathLike[str] | None = None
) -> list[Entrant]:
    """Baselines: features of the backbone as it is before training, pretrained ones from a file, and one-number scores.

    Args:
        task: the images.
        config: names the backbone, its seed, the bandwidth and the device.
        weights_file: see :func:`anatpaste_aug.detection.pretrained_net`.
    """
    size = config.image_size
    nets = {f"untrained {config.backbone} features": untrained_net(config.backbone, seed=config.seed, image_size=size)}
    if weights_file is not None:
        nets[f"pretrained {config.backbone} features"] = pretrained_net(weights_file, config.backbone, image_size=size)
    entrants = []
    for label, net in nets.items():
        detector = Detector.fit(
            net.to(config.device), task.train.images, task.val.images, task.val.labels, bandwidth=config.bandwidth
        )
        scores = MethodScores(label, detector.score(task.val.images), detector.score(task.test.images))
        entrants.append(Entrant(label, (scores,), (partial(_same, detector),)))
    return entrants + [Entrant(each.name, (each,)) for each in one_number_scores(task)]


def _same(detector: Detector) -> Detector:
    return detector
