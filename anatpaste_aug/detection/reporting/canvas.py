"""Drawing helpers of the figures: figures without a display, image panels, tinted masks, and saving.

Figures are ``matplotlib.figure.Figure`` objects, without pyplot's global state.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from anatpaste_aug.detection.evaluation.metrics import to_numpy
from anatpaste_aug.files import atomic_path, shown

NORMAL, ABNORMAL, THIRD, MUTED = "#2a78b5", "#c8442e", "#2f8f6b", "#8a939c"
TEXT: dict[str, Any] = {"color": "#26323c", "parse_math": False}  # file names may hold a $


def new_figure(width: float, height: float, note: str) -> Figure:
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    if note:
        figure.supxlabel(note, fontsize=8, color=ABNORMAL, parse_math=False, wrap=True)
    return figure


def new_single(width: float, height: float, title: str, note: str) -> tuple[Figure, Axes]:
    figure = new_figure(width, height, note)
    axes: Axes = figure.subplots()
    axes.set_title(title, fontsize=11, **TEXT)
    plain(axes)
    return figure, axes


def plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e4e8eb", linewidth=0.8)
    axes.set_axisbelow(True)


def show(axes: Axes, image: Tensor) -> None:
    top = 255 if not image.is_floating_point() else 1
    axes.imshow(to_numpy(image), cmap="gray", vmin=0, vmax=top, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def tint(axes: Axes, mask: Tensor, color: str) -> None:
    alpha = to_numpy(mask).astype(np.float64).clip(0, 1) * 0.55
    tint = np.ones((*alpha.shape, 4))
    tint[..., :3] = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    tint[..., 3] = alpha
    axes.imshow(tint, interpolation="nearest")


def shorten(name: str, length: int = 26) -> str:
    name = shown(name)
    return name if len(name) <= length else f"…{name[1 - length :]}"


def check_texts(texts: Sequence[str] | None, images: int, what: str) -> None:
    """Raise a ValueError unless there is one text per image, or None."""
    if texts is not None and len(texts) != images:
        raise ValueError(f"{images} images need as many {what}, got {len(texts)}")


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")
    return Path(path)
