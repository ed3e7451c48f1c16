"""Colors, axes and files of the figures in reports; images are drawn by `anatpaste_aug.inspection.drawing`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anatpaste_aug.files import atomic_path
from anatpaste_aug.inspection.drawing import LUNG, TEXT, new_figure

NORMAL, THIRD, MUTED = LUNG, "#2f8f6b", "#8a939c"


def new_single(width: float, height: float, title: str, note: str) -> tuple[Figure, Axes]:
    """Make a figure of one pair of axes with a title."""
    figure = new_figure(width, height, note)
    axes: Axes = figure.subplots()
    axes.set_title(title, fontsize=11, **TEXT)
    plain(axes)
    return figure, axes


def plain(axes: Axes) -> None:
    """Draw a light grid, and no frame at the top and on the right."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e4e8eb", linewidth=0.8)
    axes.set_axisbelow(True)


def check_texts(texts: Sequence[str] | None, images: int, what: str) -> None:
    """Raise a ValueError unless there is one text per image, or None."""
    if texts is not None and len(texts) != images:
        raise ValueError(f"{images} images need as many {what}, got {len(texts)}")


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a PNG atomically."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")
    return Path(path)
