"""Scores, results and figures of a run, for the tests of reports."""

import dataclasses

import numpy as np
import torch

from anatpaste_aug.detection import Progress, evaluate
from anatpaste_aug.detection.evaluation.results import ResultRow
from anatpaste_aug.detection.reporting.run_figures import extremes_figure, gallery_figure, history_figure, roc_figure

LABELS = np.array([0, 0, 0, 1, 1, 1, 1])
SCORES = np.array([0.1, 0.2, 0.7, 0.3, 0.6, 0.8, 0.9])
METRICS = evaluate(LABELS, SCORES, 0.5)
ROWS = [ResultRow("phantoms", "best", METRICS, 8, 0.9), ResultRow("phantoms", "last", METRICS)]
STEP = Progress(4, 8, 0.6, 0.03, 0.8, 0.8, 1.0, 1.0, True)
HISTORY = [STEP, dataclasses.replace(STEP, update=8, loss=0.4, val_auroc=0.9, eta=0.0)]
NASTY = "<script>alert('$1')</script> & $\\frac{.png"


def draw(name, path, note=""):
    """Draw the figure of this name, with file names that are not plain text."""
    images = torch.randint(0, 256, (7, 1, 40, 32), dtype=torch.uint8)
    if name == "roc":
        return roc_figure(path, {"best": (LABELS, SCORES), NASTY.replace("$", "€"): (LABELS, -SCORES)}, note=note)
    if name == "history":
        return history_figure(path, HISTORY, best_update=8, note=note)
    if name == "gallery":
        masks = images[:3] > 128
        augmented = images[:3].flip(-1)
        return gallery_figure(path, images[:3], masks, masks.float() * 0.7, augmented, names=[NASTY] * 3, note=note)
    return extremes_figure(path, images, LABELS, SCORES, 0.5, names=[NASTY] * 7, count=4, note=note)
