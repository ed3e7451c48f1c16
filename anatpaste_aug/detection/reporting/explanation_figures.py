"""Figures of augmented images (Figure 1 of the paper) and of Grad-CAM maps (Figure 5)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle
from scipy.ndimage import uniform_filter
from torch import Tensor

from anatpaste_aug.detection.evaluation.metrics import to_numpy
from anatpaste_aug.detection.reporting.canvas import check_texts, save
from anatpaste_aug.inspection.drawing import ABNORMAL, TEXT, new_figure, shorten, show

_HEAT: dict[str, Any] = {"cmap": "inferno", "vmin": 0, "vmax": 1}
_INSET = 0.46  # side of a magnified inset, as a fraction of the image's
_FRAME = (1 / 6, 0.3)  # smallest and largest side of the magnified area, so at least 1.5 times


def augmentations_figure(
    path: str | os.PathLike[str],
    images: Tensor,
    augmented: Mapping[str, tuple[Tensor, Tensor]],
    *,
    names: Sequence[str] | None = None,
    note: str = "",
) -> Path:
    """Draw originals beside their augmentations, each with a magnified inset of the changed area (Figure 1).

    One row per image: the original, then each augmentation. The frame marks the anomaly, or the sharpest seams of a
    large one; the inset in the corner away from it shows the frame at least 1.5 times larger. An image without an
    anomaly has neither.

    Args:
        path: PNG to write.
        images: R×1×H×W, uint8 or float in [0, 1].
        augmented: Name, such as "CutPaste", to (augmented images, anomaly masks), both R×1×H×W.
        names: R file names, shown below the originals.
        note: Small print at the bottom.

    Raises:
        ValueError: No images or augmentations, the shapes differ, or there is another number of names.
    """
    if images.ndim != 4 or images.shape[1] != 1 or not len(images) or not augmented:
        raise ValueError(f"expected R×1×H×W images and at least one augmentation, got shape {tuple(images.shape)}")
    for name, pair in augmented.items():
        if any(part.shape != images.shape for part in pair):
            raise ValueError(f"{name} has shapes {[tuple(part.shape) for part in pair]}, not {tuple(images.shape)}")
    check_texts(names, len(images), "names")
    columns = len(augmented) + 1
    figure = new_figure(2.6 * columns, (2.75 if names else 2.6) * len(images) + 0.3, note)
    grid = figure.subplots(len(images), columns, squeeze=False)
    for axes, title in zip(grid[0], ("original", *augmented), strict=True):
        axes.set_title(title, fontsize=11, **TEXT)
    for row, line in enumerate(grid):
        show(line[0], images[row, 0])
        for axes, (results, masks) in zip(line[1:], augmented.values(), strict=True):
            show(axes, results[row, 0])
            _magnify(axes, images[row, 0], results[row, 0], masks[row, 0])
        if names is not None:
            line[0].set_xlabel(shorten(names[row], 40), fontsize=7, labelpad=2, **TEXT)
    return save(figure, path)


def cam_figure(
    path: str | os.PathLike[str],
    images: Sequence[Tensor] | Tensor,
    maps: Tensor,
    *,
    titles: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    map_name: str = "Grad-CAM",
    columns: int = 2,
    side: float = 2.4,
    note: str = "",
) -> Path:
    """Draw images, each with its anomaly map over it, and a key of the map's colors (Figure 5).

    Args:
        path: PNG to write.
        images: N images, each 1×H×W of its own size, uint8 or float in [0, 1].
        maps: N×1×h×w, not negative; each is stretched over its image, and scaled to its own maximum.
        titles: Shown above the images, such as their scores and decisions.
        names: File names, shown below.
        map_name: What the maps are, for the key.
        columns: Pairs per row.
        side: Width of an image in inches.
        note: Small print at the bottom.

    Raises:
        ValueError: No images, or numbers or shapes that differ.
    """
    if not len(images) or maps.ndim != 4 or len(maps) != len(images) or any(each.ndim != 3 for each in images):
        shapes = [tuple(each.shape) for each in images]
        raise ValueError(f"expected N images 1×H×W and N×1×h×w maps, got {shapes} and {tuple(maps.shape)}")
    check_texts(titles, len(images), "titles")
    check_texts(names, len(images), "names")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    height = side * max(each.shape[-2] / each.shape[-1] for each in images)
    figure = new_figure(2 * side * columns + 0.7, (height + 0.45) * rows + 0.3, note)
    grid = figure.subplots(rows, 2 * columns, squeeze=False).reshape(rows * columns, 2)
    for axes in grid[len(images) :].flat:
        axes.set_axis_off()
    for i, (plain, heated) in enumerate(grid[: len(images)]):
        show(plain, images[i][0])
        show(heated, images[i][0])
        image_height, image_width = images[i].shape[-2:]
        heat = to_numpy(maps[i, 0] / maps[i].max().clamp_min(1e-12))
        extent = (-0.5, image_width - 0.5, image_height - 0.5, -0.5)
        heated.imshow(heat, alpha=0.7 * heat, extent=extent, interpolation="bilinear", **_HEAT)
        if titles is not None:
            plain.set_title(titles[i], fontsize=8, loc="left", **TEXT)
        if not heat.any():
            heated.set_xlabel("empty map", fontsize=7, **TEXT)
        if names is not None:
            plain.set_xlabel(shorten(names[i], 40), fontsize=7, **TEXT)
    key = ScalarMappable(Normalize(0, 1), _HEAT["cmap"])
    length = min(0.9, 4 / figure.get_figheight())
    bar = figure.colorbar(key, ax=grid.ravel().tolist(), shrink=length, aspect=30, pad=0.01)
    bar.set_label(f"{map_name}, relative to the image's maximum", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    bar.outline.set_visible(False)
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
    if wanted > largest:  # too large to magnify as a whole: choose the area with the sharpest seams
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
