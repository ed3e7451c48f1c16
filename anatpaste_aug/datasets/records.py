"""Records of the images of every dataset, and the error for downloads and files that are not as expected."""

import re
from dataclasses import dataclass
from pathlib import Path

from anatpaste_aug.files import shown

__all__ = ["DatasetError", "Record", "Unreadable"]

_SHA256 = re.compile("[0-9a-f]{64}")


class DatasetError(ValueError):
    """A download, image or split file is invalid. The message names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An image that was left out because it cannot be read.

    Args:
        path: The path of its record.
        reason: The reason, to follow the file's name.

    Example:
        >>> print(Unreadable("train/a.png", "is empty (0 bytes)"))
        train/a.png is empty (0 bytes)
    """

    path: str
    reason: str

    def __post_init__(self) -> None:
        for name in ("path", "reason"):
            if not isinstance(value := getattr(self, name), str) or not value:
                raise DatasetError(f"{name}={value!r} of an unreadable image: expected a non-empty string")

    @classmethod
    def of(cls, root: Path, path: str, error: DatasetError) -> "Unreadable":
        """Make one from the error about the file, which need not name the file again."""
        return cls(path, str(error).removeprefix(f"{shown(root / path)} "))

    def __str__(self) -> str:
        return f"{shown(self.path)} {self.reason}"


@dataclass(frozen=True, slots=True)
class Record:
    """One image of a dataset: its path and what is known about it.

    Args:
        path: Relative to the dataset's root, with forward slashes on every system.
        label: 0 is normal, 1 abnormal.
        patient: Unique within the dataset; a split keeps records of the same patient together.
        source: The part of the download that contains it, such as ``"train"``.
        view: Projection such as ``"PA"`` or ``"AP"``; None if unknown.
        sex: As the dataset writes it, such as ``"F"`` or ``"M"``.
        age: In years.
        findings: Names of the findings, such as ``("bacteria",)``; empty if none are named.
        sha256: Hash of the file, 64 hexadecimal digits, if the record is from a saved split.
        mask: Path of the file that shows the finding, relative to the root; None without one.

    Raises:
        DatasetError: A path is empty, absolute or leaves the root, the label is invalid, patient or source is empty, or
            a field has the wrong type.

    Example:
        >>> record = Record("train/NORMAL/IM-0115-0001.jpeg", label=0, patient="train/IM-0115", source="train")
        >>> record.label, record.patient, record.view, record.findings
        (0, 'train/IM-0115', None, ())
    """

    path: str
    label: int
    patient: str
    source: str
    view: str | None = None
    sex: str | None = None
    age: int | None = None
    findings: tuple[str, ...] = ()
    sha256: str | None = None
    mask: str | None = None

    def __post_init__(self) -> None:
        # Split files may be edited or from others; records are checked here once for all uses.
        for path in (self.path,) if self.mask is None else (self.path, self.mask):
            if not isinstance(path, str) or not path or path[0] == "/" or "\\" in path or path[1:2] == ":":
                raise DatasetError(
                    f"path={path!r}: expected a path relative to the dataset's root, with forward slashes"
                )
            if ".." in path and ".." in path.split("/"):
                raise DatasetError(f"path={path!r} leaves the dataset's root: write it without '..'")
        path = self.path
        if type(self.label) is not int or self.label not in (0, 1):
            raise DatasetError(f"label={self.label!r} of {path}: expected 0 (normal) or 1 (abnormal)")
        for name in ("patient", "source"):
            if not isinstance(value := getattr(self, name), str) or not value:
                raise DatasetError(f"{name}={value!r} of {path}: expected a non-empty string")
        for name, kind in (("view", str), ("sex", str), ("age", int)):
            if (value := getattr(self, name)) is not None and type(value) is not kind:
                raise DatasetError(f"{name}={value!r} of {path}: expected {kind.__name__} or None")
        if type(self.findings) is not tuple or not all(isinstance(finding, str) for finding in self.findings):
            raise DatasetError(f"findings={self.findings!r} of {path}: expected a tuple of strings")
        if self.sha256 is not None and not (isinstance(self.sha256, str) and _SHA256.fullmatch(self.sha256)):
            raise DatasetError(f"sha256={self.sha256!r} of {path}: expected 64 hexadecimal digits or None")
