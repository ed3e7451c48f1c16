"""The paper's figures: augmentations (1), ROC curves (3), scored test images (4), Grad-CAM (5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from anatpaste_aug.datasets import DetectionTask
from anatpaste_aug.detection.evaluation.intervals import bootstrap_auroc
from anatpaste_aug.detection.reporting.explanation_figures import augmentations_figure, cam_figure
from anatpaste_aug.detection.reporting.run_figures import extremes_figure, roc_figure
from anatpaste_aug.detection.studies.evaluated_methods import EvaluatedMethod
from anatpaste_aug.detection.studies.methods import METHODS
from anatpaste_aug.detection.studies.runs import Run


def draw_augmentations(
    path: Path, task: DetectionTask, methods: Sequence[str], *, count: int = 4, seed: int = 0
) -> Path:
    """Draw Figure 1: normal training images beside their augmentations, with magnified insets.

    Args:
        path: PNG to write.
        task: The images.
        methods: Names of `METHODS`.
        count: Number of images.
        seed: Seed of the augmentations; torch's global generator is restored.
    """
    images = task.train.images[:count]
    regions = None if task.train.regions is None else task.train.regions[:count]
    augmented = {}
    with torch.random.fork_rng(devices=[]):
        for method in methods:
            torch.manual_seed(seed)
            result = METHODS[method].augment(images, regions)
            augmented[METHODS[method].label] = (result.image, result.mask > 0)
    return augmentations_figure(path, images, augmented, names=task.train.names[:count], note=task.note)


def draw_roc_curves(path: Path, task: DetectionTask, methods: Iterable[EvaluatedMethod]) -> Path:
    """Draw Figure 3: the ROC curve of each method, for several seeds that of their ensemble."""
    labels = task.test.labels
    scores = {method.scores.name: method.scores.test for method in methods}
    intervals = {name: bootstrap_auroc(labels, values) for name, values in scores.items()}
    curves = {name: (labels, values) for name, values in scores.items()}
    return roc_figure(path, curves, note=task.note, intervals=intervals)


def draw_scored_images(path: Path, task: DetectionTask, method: EvaluatedMethod) -> Path:
    """Draw Figure 4: test images with their scaled scores, and the decision of the threshold."""
    scores, threshold = _scaled(method, task)
    return extremes_figure(
        path, task.test.images, task.test.labels, scores, threshold, names=task.test.names, note=task.note
    )


def draw_grad_cam(path: Path, task: DetectionTask, method: EvaluatedMethod, run: Run) -> Path:
    """Draw Figure 5: Grad-CAM of the highest and lowest scored abnormal test images, and the highest normal ones.

    Args:
        path: PNG to write.
        task: The images.
        method: Its scores choose the images and are shown above them.
        run: Its network is explained, since Grad-CAM is of one network, not of an ensemble.
    """
    scores, threshold = _scaled(method, task)
    labels = task.test.labels.numpy()
    order = np.argsort(-scores, kind="stable")
    abnormal, normal = order[labels[order] == 1], order[labels[order] == 0]
    chosen = np.array(list(dict.fromkeys([*abnormal[:4], *abnormal[-2:], *normal[:2]])))
    images = task.test.images[torch.from_numpy(chosen)]
    titles = [
        f"{'abnormal' if labels[i] else 'normal'}: score {scores[i]:.3f} {'≥' if scores[i] >= threshold else '<'} "
        f"threshold {threshold:.3f}"
        for i in chosen
    ]
    names = [task.test.names[i] for i in chosen]
    return cam_figure(path, images, run.detector().anomaly_map(images), titles=titles, names=names, note=task.note)


def _scaled(method: EvaluatedMethod, task: DetectionTask) -> tuple[NDArray[np.float64], float]:
    """Return scaled test scores, and the threshold on their scale."""
    scores = method.scores
    return scores.scaler.transform(scores.test), scores.scaled_threshold(task.val.labels)
