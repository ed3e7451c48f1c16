"""Shared helpers for pictures: figures without a display, panels, tinted masks. Only this module imports matplotlib."""

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LUNG", "TEXT", "new_figure", "show", "tint"]

LUNG = (0.16, 0.55, 0.85)
TEXT: dict[str, Any] = {"color": "#26323c", "parse_math": False}  # file names may hold a $


def new_figure(width: float, height: float) -> "Figure":
    """Make a figure of this size in inches, without pyplot's global state; a notebook shows it.

    Raises:
        ImportError: matplotlib is not installed.
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
    return figure


def show(axes: "Axes", image: Tensor, **options: Any) -> Any:
    """Draw a C×H×W or H×W image, in [0, 1] unless ``vmin`` and ``vmax`` are given, without ticks or frame."""
    pixels = pixels_of(image)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    settings: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 1} | options
    return axes.imshow(pixels, **settings)


def tint(axes: "Axes", mask: Tensor, color: tuple[float, float, float]) -> None:
    """Draw a boolean H×W mask as a transparent color."""
    values = pixels_of(mask).astype(np.float64)
    axes.imshow(np.dstack([*(np.full_like(values, part) for part in color), values * 0.45]), interpolation="nearest")


def pixels_of(image: Tensor) -> npt.NDArray[Any]:
    """Convert a tensor C×H×W or H×W to an array H×W×3 or H×W."""
    array: npt.NDArray[Any] = image.detach().cpu().numpy()
    if array.ndim == 3:
        array = array[0] if len(array) == 1 else array.transpose(1, 2, 0)
    return array
