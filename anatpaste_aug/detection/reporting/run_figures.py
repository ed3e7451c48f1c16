"""Figures of a run: ROC curves, history, gallery of augmentations, best and worst scored images.

All are ``matplotlib.figure.Figure`` objects, without pyplot's global state or a display, and are written as PNG.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import roc_curve
from torch import Tensor

from anatpaste_aug.detection.evaluation.intervals import Interval
from anatpaste_aug.detection.evaluation.metrics import auroc, check_scored, to_numpy
from anatpaste_aug.detection.reporting.canvas import MUTED, NORMAL, THIRD, check_texts, new_single, plain, save
from anatpaste_aug.detection.training.result import Progress
from anatpaste_aug.inspection.drawing import ABNORMAL, TEXT, new_figure, shorten, show, tint


def roc_figure(
    path: str | os.PathLike[str],
    curves: Mapping[str, tuple[Any, Any]],
    *,
    title: str = "ROC, test images",
    note: str = "",
    intervals: Mapping[str, Interval] | None = None,
) -> Path:
    """Draw ROC curves with their areas, of one method or several (Figure 3 of the paper).

    Args:
        path: PNG to write.
        curves: Name of the curve -> (labels, scores), see `auroc`.
        title: Title of the axes.
        note: Small print at the bottom, for example that the data are synthetic.
        intervals: Name of the curve -> interval of its area, shown with it.

    Returns:
        ``path``.

    Raises:
        ValueError: There are no curves, or labels and scores are invalid, see `auroc`.
    """
    if not curves:
        raise ValueError("no curves to draw")
    long = max(map(len, curves)) > 20  # too wide for the axes: the legend is above them, with two lines per curve
    figure, axes = new_single(5.6, 5.0 + (0.36 if long else 0.2) * len(curves), title, note)
    between = "\n" if long else " "
    axes.plot([0, 1], [0, 1], color=MUTED, linestyle=":", linewidth=1)
    colors = [ABNORMAL, NORMAL, THIRD, "#8a5fb0", "#b58a1c", MUTED]
    for i, (name, (labels, scores)) in enumerate(curves.items()):
        area = auroc(labels, scores)  # also checks both
        false_positive_rate, sensitivity, _ = roc_curve(to_numpy(labels), to_numpy(scores))
        line: dict[str, Any] = {
            "color": colors[i % len(colors)],
            "linewidth": 2,
            "linestyle": ("-", "--", "-.", ":")[(i % 2 + 2 * (i // len(colors))) % 4],
        }
        area_text = intervals[name] if intervals and name in intervals else f"{area:.3f}"
        axes.plot(false_positive_rate, sensitivity, label=f"{name}:{between}AUROC {area_text}", **line)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set_xlabel("fraction of normal images called abnormal (1 − specificity)")
    axes.set_ylabel("fraction of abnormal images found (sensitivity)")
    if long:
        figure.legend(loc="outside upper left", frameon=False, fontsize=9)
    else:
        axes.legend(loc="lower right", frameon=False, fontsize=10 if len(curves) < 4 else 8)
    return save(figure, path)


def history_figure(
    path: str | os.PathLike[str], history: Sequence[Progress], *, best_update: int | None = None, note: str = ""
) -> Path:
    """Draw training loss and validation AUROC (or validation loss) over the updates, one above the other.

    Args:
        path: PNG to write.
        history: ``TrainResult.history``; not empty.
        best_update: Mark the update of the best weights.
        note: Small print at the bottom.
    """
    areas = [(step, step.val_auroc) for step in history if step.val_auroc is not None]
    validated = areas or [(step, step.val_loss) for step in history if step.val_loss is not None]
    if not validated:
        raise ValueError("the history contains no validation")
    figure = new_figure(7.2, 4.6, note)
    upper, lower = figure.subplots(2, 1, sharex=True)
    updates = [step.update for step, _ in validated]
    upper.plot(updates, [step.loss for step, _ in validated], color=NORMAL, marker="o", markersize=3)
    upper.set_ylabel("training loss")
    upper.set_ylim(0, 1.1 * max(step.loss for step, _ in validated))
    lower.plot(updates, [value for _, value in validated], color=ABNORMAL, marker="o", markersize=3)
    lower.set_ylabel("validation AUROC" if areas else "validation loss")
    lower.set_xlabel("update")
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (upper, lower):
        plain(axes)
    if best_update is not None:
        for axes in (upper, lower):
            axes.axvline(best_update, color=MUTED, linestyle="--", linewidth=1)
        upper.set_title(f"dashed: best weights, update {best_update}", loc="right", fontsize=9, color=MUTED)
    return save(figure, path)


def gallery_figure(
    path: str | os.PathLike[str],
    images: Tensor,
    lung_masks: Tensor | None,
    anomaly_masks: Tensor,
    augmented: Tensor,
    *,
    names: Sequence[str] | None = None,
    note: str = "",
) -> Path:
    """Draw one row per image: input, lung mask, anomaly mask (each over the input), augmented image.

    Args:
        path: PNG to write.
        images: R×1×H×W, uint8 or float in [0, 1].
        lung_masks: R×1×H×W, boolean; None leaves them out, for an augmentation without segmentation.
        anomaly_masks: R×1×H×W, boolean, or float in [0, 1] for soft masks.
        augmented: R×1×H×W, like ``images``.
        names: R file names, shown below the inputs.
        note: Small print at the bottom.

    Raises:
        ValueError: There are no images, the shapes differ, or the number of names differs.
    """
    given = [batch for batch in (images, lung_masks, anomaly_masks, augmented) if batch is not None]
    shapes = {tuple(batch.shape) for batch in given}
    if len(shapes) != 1 or images.ndim != 4 or images.shape[1] != 1 or not len(images):
        raise ValueError(f"the batches must have one non-empty shape R×1×H×W, got {sorted(shapes)}")
    check_texts(names, len(images), "names")
    panels: list[tuple[str, Tensor, Tensor | None, str]] = [
        ("input", images, None, ""),
        ("lung mask", images, lung_masks, NORMAL),
        ("anomaly mask", images, anomaly_masks, ABNORMAL),
        ("augmented", augmented, None, ""),
    ]
    if lung_masks is None:
        del panels[1]
    figure = new_figure(2.2 * len(panels), (2.35 if names else 2.2) * len(images) + 0.3, note)
    grid = figure.subplots(len(images), len(panels), squeeze=False)
    for column, (title, pictures, masks, color) in enumerate(panels):
        grid[0][column].set_title(title, fontsize=10, **TEXT)
        for row in range(len(images)):
            show(grid[row][column], pictures[row, 0])
            if masks is not None:
                tint(grid[row][column], masks[row, 0], color)
    for line, name in zip(grid, names or (), strict=False):
        line[0].set_xlabel(shorten(name, 34), fontsize=7, labelpad=2, **TEXT)
    return save(figure, path)


def extremes_figure(
    path: str | os.PathLike[str],
    images: Tensor,
    labels: Any,
    scores: Any,
    threshold: float,
    *,
    names: Sequence[str] | None = None,
    count: int = 6,
    note: str = "",
) -> Path:
    """Draw the best and the worst scored images of each class (Figure 4 of the paper).

    Four rows: the normal images with the lowest and the highest scores, and the abnormal ones, if any, with the highest
        and the lowest scores. A colored frame marks a wrong decision (``score >= threshold`` is abnormal).

    Args:
        path: PNG to write.
        images: M×1×H×W, uint8 or float in [0, 1].
        labels: M values, 0 (normal) or 1 (abnormal).
        scores: M finite values on the scale of ``threshold``, larger is more anomalous.
        threshold: Threshold from the validation images.
        names: File names, shown below the images.
        count: Images per row.
        note: Small print at the bottom.

    Raises:
        ValueError: The lengths differ, or labels and scores are invalid, see `auroc`.
    """
    check_scored(labels, scores, both=False)
    truth, values = to_numpy(labels), to_numpy(scores)
    if len(images) != len(values) or (names is not None and len(names) != len(values)):
        raise ValueError(f"{len(values)} scores need as many images and names, got {len(images)} images")
    normal, abnormal = (np.flatnonzero(truth == label) for label in (0, 1))
    normal, abnormal = (which[np.argsort(values[which], kind="stable")] for which in (normal, abnormal))
    rows: tuple[tuple[str, Any], ...] = (
        ("normal,\nlowest scores", normal[:count]),
        ("normal,\nhighest scores", normal[::-1][:count]),
        ("abnormal,\nhighest scores", abnormal[::-1][:count]),
        ("abnormal,\nlowest scores", abnormal[:count]),
    )
    rows = rows if len(abnormal) else rows[:2]
    figure = new_figure(1.65 * count + 1.0, 2.0 * len(rows) + 0.4, note)
    figure.suptitle(f"threshold {threshold:.3f}: abnormal where score ≥ threshold", fontsize=10, **TEXT)
    grid = figure.subplots(len(rows), count, squeeze=False)
    for line, (title, chosen) in zip(grid, rows, strict=True):
        line[0].set_ylabel(title, fontsize=9, rotation=0, ha="right", va="center", labelpad=8, **TEXT)
        for axes in line[len(chosen) :]:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        for axes, i in zip(line, chosen, strict=False):
            wrong = (values[i] >= threshold) != bool(truth[i])
            show(axes, images[int(i), 0])
            axes.spines[:].set(visible=wrong, color=ABNORMAL, linewidth=3)
            axes.set_title(f"{values[i]:.3f}{' wrong' if wrong else ''}", fontsize=9, pad=3, **TEXT)
            if names is not None:
                axes.set_xlabel(shorten(names[i]), fontsize=6, labelpad=2, **TEXT)
    return save(figure, path)
