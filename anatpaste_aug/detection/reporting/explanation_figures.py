"""Figures of augmented images (Figure 1 of the paper) and of Grad-CAM maps (Figure 5)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from scipy.ndimage import uniform_filter
from torch import Tensor

from anatpaste_aug.detection.evaluation.metrics import to_numpy
from anatpaste_aug.detection.reporting.canvas import ABNORMAL, TEXT, new_figure, save, shorten, show

_INSET = 0.46  # side of a magnified inset, as a fraction of the image's
_FRAME = (1 / 6, 0.3)  # smallest and largest side of what it shows: magnified at least 1.5 times


def augmentations_figure(
    path: str | os.PathLike[str],
    images: Tensor,
    augmented: Mapping[str, tuple[Tensor, Tensor]],
    *,
    note: str = "",
) -> Path:
    """Draw originals beside their augmentations, each with a magnified inset of the changed area (Figure 1).

    One row per image: the original, then each augmentation. The frame marks the anomaly, or the sharpest seams of a
    large one; the inset in the corner away from it shows the frame at least 1.5 times larger. An image without an
    anomaly has neither.

    Args:
        path: the PNG to write.
        images: R×1×H×W, uint8 or float in [0, 1].
        augmented: name, such as "CutPaste", to (augmented images, anomaly masks), both R×1×H×W.
        note: small print below.

    Raises:
        ValueError: no images or augmentations, or the shapes differ.
    """
    if images.ndim != 4 or images.shape[1] != 1 or not len(images) or not augmented:
        raise ValueError(f"R×1×H×W images and one augmentation or more are needed, got shape {tuple(images.shape)}")
    for name, pair in augmented.items():
        if any(part.shape != images.shape for part in pair):
            raise ValueError(f"{name} has shapes {[tuple(part.shape) for part in pair]}, not {tuple(images.shape)}")
    columns = len(augmented) + 1
    figure = new_figure(2.6 * columns, 2.6 * len(images) + 0.3, note)
    grid = figure.subplots(len(images), columns, squeeze=False)
    for axes, title in zip(grid[0], ("original", *augmented), strict=True):
        axes.set_title(title, fontsize=11, **TEXT)
    for row, line in enumerate(grid):
        show(line[0], images[row, 0])
        for axes, (results, masks) in zip(line[1:], augmented.values(), strict=True):
            show(axes, results[row, 0])
            _magnify(axes, images[row, 0], results[row, 0], masks[row, 0])
    return save(figure, path)


def cam_figure(
    path: str | os.PathLike[str],
    images: Tensor,
    maps: Tensor,
    *,
    titles: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    columns: int = 4,
    note: str = "",
) -> Path:
    """Draw images, each with its Grad-CAM map over it (Figure 5).

    Args:
        path: the PNG to write.
        images: N×1×H×W, uint8 or float in [0, 1].
        maps: N×1×H×W in [0, 1], as :func:`anatpaste_aug.detection.models.grad_cam.grad_cam` returns them.
        titles: shown above the images, such as their scores and decisions.
        names: file names, shown below.
        columns: pairs per row.
        note: small print below.

    Raises:
        ValueError: no images, or numbers or shapes that differ.
    """
    if images.ndim != 4 or images.shape[1] != 1 or images.shape != maps.shape or not len(images):
        raise ValueError(
            f"images and maps must have one non-empty shape N×1×H×W, got {tuple(images.shape)} and {tuple(maps.shape)}"
        )
    for what, texts in (("titles", titles), ("names", names)):
        if texts is not None and len(texts) != len(images):
            raise ValueError(f"{len(images)} images need as many {what}, got {len(texts)}")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure = new_figure(4.6 * columns, 2.75 * rows + 0.3, note)
    grid = figure.subplots(rows, 2 * columns, squeeze=False).reshape(rows * columns, 2)
    for i, (plain, heated) in enumerate(grid):
        if i >= len(images):
            plain.set_axis_off()
            heated.set_axis_off()
            continue
        show(plain, images[i, 0])
        show(heated, images[i, 0])
        heat = to_numpy(maps[i, 0])
        heated.imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=0.7 * heat, interpolation="nearest")
        if titles is not None:
            plain.set_title(titles[i], fontsize=9, loc="left", **TEXT)
        heated.set_title("Grad-CAM" if heat.any() else "Grad-CAM: empty", fontsize=9, loc="right", **TEXT)
        if names is not None:
            plain.set_xlabel(shorten(names[i]), fontsize=7, **TEXT)
    return save(figure, path)


def _magnify(axes: Axes, original: Tensor, image: Tensor, mask: Tensor) -> None:
    changed = to_numpy(mask) > 0
    if not changed.any():
        return
    height, width = changed.shape
    pixels = np.argwhere(changed)
    first, last = pixels.min(0), pixels.max(0)
    middle, wanted = (first + last) / 2, round(1.1 * int((last - first).max() + 1))
    smallest, largest = (round(fraction * min(height, width)) for fraction in _FRAME)
    side = min(max(wanted, smallest), largest)
    if wanted > largest:  # too large to be magnified as a whole: then where its seams show most
        change = to_numpy(image).astype(float) - to_numpy(original)
        seams = uniform_filter(np.hypot(*np.gradient(change)), side, mode="constant")
        middle = np.array(np.unravel_index(seams.argmax(), seams.shape))
    middle_row, middle_column = middle.tolist()
    top, left = (round(min(max(at - side / 2, 0), end - side)) for at, end in zip(middle, (height, width), strict=True))
    frame: dict[str, Any] = {"edgecolor": ABNORMAL, "linewidth": 1.3}
    axes.add_patch(Rectangle((left - 0.5, top - 0.5), side, side, fill=False, **frame))
    corner = (0.0 if middle_column > width / 2 else 1 - _INSET, 0.0 if middle_row < height / 2 else 1 - _INSET)
    inset = axes.inset_axes((*corner, _INSET, _INSET))
    show(inset, image[top : top + side, left : left + side])
    inset.spines[:].set(visible=True, color=ABNORMAL, linewidth=1.3)
