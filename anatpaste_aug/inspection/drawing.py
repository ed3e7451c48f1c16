"""Drawing helpers: figures without a display, image panels, tinted masks.

matplotlib is imported when the first figure is made.
"""

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from anatpaste_aug.files import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ABNORMAL", "LUNG", "TEXT", "new_figure", "shorten", "show", "tint"]

LUNG, ABNORMAL = "#2a78b5", "#c8442e"
TEXT: dict[str, Any] = {"color": "#26323c", "parse_math": False}  # file names may hold a $


def new_figure(width: float, height: float, note: str = "") -> "Figure":
    """Make a figure of this size in inches, without pyplot's global state; a notebook shows it.

    Args:
        width: In inches.
        height: In inches.
        note: Small print at the bottom.

    Raises:
        ImportError: Matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('drawing needs matplotlib: pip install "anatpaste_aug[examples]"') from error

    class NotebookFigure(Figure):
        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png")
            return buffer.getvalue()

    figure = NotebookFigure(figsize=(width, height), dpi=110, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    if note:
        figure.supxlabel(note, fontsize=8, color=ABNORMAL, parse_math=False, wrap=True)
    return figure


def show(axes: "Axes", image: Tensor, **options: Any) -> Any:
    """Draw an image without ticks or frame.

    Args:
        axes: Where to draw.
        image: C×H×W or H×W, uint8 or float in [0, 1] (another range with ``vmin`` and ``vmax``).
        **options: For ``imshow``.
    """
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    top = 1 if image.is_floating_point() else 255
    settings: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": top, "interpolation": "nearest"} | options
    return axes.imshow(pixels_of(image), **settings)


def tint(axes: "Axes", mask: Tensor, color: str) -> None:
    """Draw an H×W mask, boolean or soft in [0, 1], as a transparent color such as ``"#2a78b5"``."""
    values = pixels_of(mask).astype(np.float64).clip(0, 1)
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    axes.imshow(np.dstack([*(np.full_like(values, part) for part in parts), values * 0.5]), interpolation="nearest")


def shorten(name: str, length: int = 26) -> str:
    """Return the end of a file name, printable and not longer than ``length``."""
    name = shown(name)
    return name if len(name) <= length else f"…{name[1 - length :]}"


def pixels_of(image: Tensor) -> npt.NDArray[Any]:
    """Convert a tensor C×H×W or H×W to an array H×W×3 or H×W."""
    array: npt.NDArray[Any] = image.detach().cpu().numpy()
    if array.ndim == 3:
        array = array[0] if len(array) == 1 else array.transpose(1, 2, 0)
    return array
