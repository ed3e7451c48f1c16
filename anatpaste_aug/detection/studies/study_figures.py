"""The paper's figures of a study: what is pasted (1), ROC curves (3), scored test images (4), Grad-CAM (5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from anatpaste_aug.datasets.tasks import DetectionTask
from anatpaste_aug.detection.evaluation.intervals import bootstrap_auroc
from anatpaste_aug.detection.evaluation.metrics import ScoreScaler, best_f1_threshold
from anatpaste_aug.detection.models.grad_cam import grad_cam
from anatpaste_aug.detection.reporting.explanation_figures import augmentations_figure, cam_figure
from anatpaste_aug.detection.reporting.run_figures import extremes_figure, roc_figure
from anatpaste_aug.detection.studies.evaluated_methods import Entrant
from anatpaste_aug.detection.studies.methods import METHODS
from anatpaste_aug.detection.studies.runs import Run


def pasted_figure(path: Path, task: DetectionTask, methods: Sequence[str], *, count: int = 4, seed: int = 0) -> Path:
    """Figure 1: normal training images beside what the methods make of them, with magnified insets.

    Args:
        path: the PNG to write.
        task: the images.
        methods: names of :data:`anatpaste_aug.detection.studies.methods.METHODS`.
        count: images.
        seed: of the augmentations; the caller's random numbers are left alone.
    """
    images = task.train.images[:count]
    augmented = {}
    with torch.random.fork_rng(devices=[]):
        for method in methods:
            torch.manual_seed(seed)
            pasted = METHODS[method].paste(images)
            augmented[METHODS[method].label] = (pasted.image, pasted.mask > 0)
    return augmentations_figure(path, images, augmented, note=task.note)


def curves_figure(path: Path, task: DetectionTask, entrants: Iterable[Entrant]) -> Path:
    """Figure 3: the ROC curves of the methods, of several seeds that of their ensemble."""
    labels = task.test.labels
    scores = {entrant.scores.name: entrant.scores.test for entrant in entrants}
    intervals = {name: bootstrap_auroc(labels, values) for name, values in scores.items()}
    curves = {name: (labels, values) for name, values in scores.items()}
    return roc_figure(path, curves, note=task.note, intervals=intervals)


def scored_figure(path: Path, task: DetectionTask, entrant: Entrant) -> Path:
    """Figure 4: test images with their scores, scaled to [0, 1], and what the threshold says of them."""
    scores, threshold = _scaled(entrant, task)
    return extremes_figure(
        path, task.test.images, task.test.labels, scores, threshold, names=task.test.names, note=task.note
    )


def attention_figure(path: Path, task: DetectionTask, entrant: Entrant, run: Run) -> Path:
    """Figure 5: Grad-CAM of the highest and the lowest scored abnormal test images, and of the highest normal ones.

    Args:
        path: the PNG to write.
        task: the images.
        entrant: whose scores choose the images and stand above them.
        run: whose network is explained: Grad-CAM is of one network, not of an ensemble.
    """
    scores, threshold = _scaled(entrant, task)
    labels = task.test.labels.numpy()
    order = np.argsort(-scores, kind="stable")
    abnormal, normal = order[labels[order] == 1], order[labels[order] == 0]
    chosen = np.array(list(dict.fromkeys([*abnormal[:4], *abnormal[-2:], *normal[:2]])))
    images = task.test.images[torch.from_numpy(chosen)]
    titles = [
        f"{'abnormal' if labels[i] else 'normal'}: score {scores[i]:.3f} {'≥' if scores[i] >= threshold else '<'} "
        f"{threshold:.3f}"
        for i in chosen
    ]
    names = [task.test.names[i] for i in chosen]
    return cam_figure(path, images, grad_cam(run.detector().model, images), titles=titles, names=names, note=task.note)


def _scaled(entrant: Entrant, task: DetectionTask) -> tuple[NDArray[np.float64], float]:
    """Test scores and threshold; those of an ensemble are in [0, 1] already, and stay as they are."""
    found: Any = entrant.scores
    threshold = best_f1_threshold(task.val.labels, found.val)
    if len(entrant.members) > 1:
        return found.test, threshold
    scaler = ScoreScaler.fit(found.val)
    return scaler.transform(found.test), float(scaler.transform([threshold])[0])
