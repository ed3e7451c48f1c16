"""Write figures to files."""

from pathlib import Path
from typing import TYPE_CHECKING

from anatpaste_aug.files import atomic_path, check_writable
from anatpaste_aug.inspection.drawing import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["check_picture_path", "save_figure"]


def check_picture_path(path: Path) -> None:
    """Check before any work that a figure can be written to a path.

    Raises:
        ValueError: The folder does not exist, or matplotlib does not support the suffix.
        OSError: The folder is not writable.
        ImportError: matplotlib is not installed.
    """
    known = new_figure(1, 1).canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in known:
        raise ValueError(f"{path.name} has an unsupported suffix; use .png, or one of {', '.join(sorted(known))}")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{path.parent} is not a folder, so {path.name} cannot be written there; create it first")
    check_writable(path.absolute().parent)


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure in the format of the suffix, atomically."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower())
