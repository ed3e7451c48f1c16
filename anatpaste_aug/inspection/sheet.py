"""The contact sheet: suspicious images in a square, with the reason under each."""

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from anatpaste_aug.inspection.drawing import ABNORMAL, LUNG, TEXT, new_figure, shorten, show, tint
from anatpaste_aug.inspection.report import ImageCheck

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["contact_sheet"]

_MUTED = "#5c6770"


def contact_sheet(rows: Sequence[ImageCheck], images: Tensor, lung_masks: Tensor) -> "Figure":
    """Draw images with their lung masks tinted, each with its name and what is suspicious about it.

    Args:
        rows: N rows of a report, such as ``report.suspicious[:16]``.
        images: The N×C×H×W images of these rows, uint8 or float in [0, 1].
        lung_masks: Their boolean N×1×H×W masks.

    Returns:
        A matplotlib figure, which a notebook shows.

    Raises:
        ValueError: There are no rows, or the numbers of images and masks differ from that of rows.
        ImportError: Matplotlib is not installed.

    Example:
        >>> rows = report.suspicious[:16]  # doctest: +SKIP
        >>> some = images[[row.index for row in rows]]  # doctest: +SKIP
        >>> contact_sheet(rows, some, LungSegmenter()(some)).savefig("sheet.png")  # doctest: +SKIP
    """
    if not rows or len(images) != len(rows) or len(lung_masks) != len(rows):
        raise ValueError(f"{len(rows)} rows need as many images and masks, got {len(images)} and {len(lung_masks)}")
    columns = min(4, len(rows))
    lines = math.ceil(len(rows) / columns)
    figure = new_figure(2.7 * columns, 3.35 * lines)
    grid = figure.subplots(lines, columns, squeeze=False).flatten()
    for axes, row, image, mask in zip(grid, rows, images, lung_masks, strict=False):
        show(axes, image)
        tint(axes, mask[0], LUNG)
        reasons = [each.reason for each in row.suspicions] or [f"nothing suspicious; lungs {row.lung_fraction:.1%}"]
        # At most four lines of reasons, so that the images stay aligned.
        words = [line for reason in reasons for line in textwrap.wrap(reason, 40)][:4]
        axes.set_title(shorten(row.name, 38), fontsize=7.5, pad=3, **TEXT)
        color = ABNORMAL if row.suspicions else _MUTED
        axes.set_xlabel("\n".join(words), fontsize=7.5, labelpad=3, color=color, parse_math=False)
    for axes in grid[len(rows) :]:
        axes.set_axis_off()
    return figure
