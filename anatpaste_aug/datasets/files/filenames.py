"""Tell images from files that operating systems and programs leave, by their names."""

from pathlib import PurePath

__all__ = ["SUFFIXES", "is_image_name", "is_leftover", "is_leftover_folder"]

SUFFIXES = (".bmp", ".dcm", ".dicom", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".tif", ".tiff", ".webp")
"""File name suffixes of images, in lower case."""

_LEFTOVERS = {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r"}
_FOLDERS = {"__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "ipynb_checkpoints"}


def is_image_name(name: str) -> bool:
    """Return whether a file of this name is expected to be an image.

    >>> is_image_name("IM-0115-0001.JPG"), is_image_name("IM-0115-0001.jpeg.part"), is_image_name("._IM-0115-0001.jpeg")
    (True, False, False)
    """
    return not is_leftover(name) and PurePath(name).suffix.lower() in SUFFIXES


def is_leftover(name: str) -> bool:
    """Return whether a file of this name was left by a system or program: hidden, a thumbnail database, and the like.

    Windows marks downloads by ``NAME:Zone.Identifier``, without the colon on file systems that do not allow it.

    >>> is_leftover("Thumbs.db"), is_leftover("a.png:Zone.Identifier"), is_leftover("a.png")
    (True, True, False)
    """
    lower = name.lower()
    return name.startswith((".", "~$")) or lower in _LEFTOVERS or lower.endswith("zone.identifier")


def is_leftover_folder(name: str) -> bool:
    """Return whether a folder of this name was left by a system or program, such as ``.ipynb_checkpoints``.

    >>> is_leftover_folder("__MACOSX"), is_leftover_folder(".ipynb_checkpoints"), is_leftover_folder("NORMAL")
    (True, True, False)
    """
    return name.startswith(".") or name.lower() in _FOLDERS
