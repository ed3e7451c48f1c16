"""Writing pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

from anatpaste_aug.files import atomic_path, check_writable
from anatpaste_aug.inspection.drawing import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["check_picture_path", "save_figure"]


def check_picture_path(path: Path) -> None:
    """See before any work whether a picture can be written there.

    Raises:
        ValueError: A folder that does not exist, or a suffix that matplotlib doesn't write.
        OSError: A folder that cannot be written to.
        ImportError: Without matplotlib.
    """
    known = new_figure(1, 1).canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in known:
        raise ValueError(f"{path.name} has no suffix of a picture; use .png, or one of {', '.join(sorted(known))}")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{path.parent} is not a folder, so {path.name} cannot be written there; make it first")
    check_writable(path.absolute().parent)


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure in the format of the suffix, whole or not at all."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower())
