"""The result of a check: one row per image, suspicions with remedies, and a printable summary."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from anatpaste_aug.datasets.files.white import White
from anatpaste_aug.files import shown

__all__ = ["CheckReport", "ImageCheck", "Suspicion"]

VISIBLE_LEVELS = 8
"""A pixel has visibly changed if it differs by at least this many gray levels (of 255)."""
VISIBLE_SHARE = 0.001
"""An augmentation is hardly visible if less than this fraction of the image's pixels has visibly changed."""

_INVERTED, _UNLIKE, _SIDEWAYS = -0.15, 0.15, 0.1  # see heuristics.py for the rates
_BAND, _BRIGHT_SIDES = 0.15, 2


@dataclass(frozen=True)
class Suspicion:
    """Something that is probably wrong with an image.

    Attributes:
        kind: One of the keys of `REMEDIES`.
        reason: What was detected, with the measured value.
        remedy: What to do about it.
    """

    kind: str
    reason: str
    remedy: str


REMEDIES = {
    "inverted": "invert it (255 − image); read_gray does so for DICOM files with MONOCHROME1",
    "on its side": "load it upright (MONAI's LoadImage transposes PNG and JPEG: reverse_indexing=False), or rotate it",
    "bright border": "crop it to the exposed field: with a bright frame, dark background is mistaken for lung",
    "no lungs": "look at it; pass your own region_mask, or skip_without_region=True",
    "not frontal": "leave it out if it is a lateral view or not a chest",
    "border": "crop the flat bands, so that sizes and places refer to the radiograph",
}
"""Kind of suspicion → remedy; the most serious first."""


def view_suspicion(frontal: float, sideways: float) -> Suspicion | None:
    """Return what is wrong with the view: on its side, inverted, or not frontal; None if nothing is.

    Args:
        frontal: See `ImageCheck`.
        sideways: See `ImageCheck`.

    Example:
        >>> view_suspicion(frontal=-0.8, sideways=0.0).reason
        'likely inverted (MONOCHROME1): similarity to a frontal radiograph -0.80'
    """
    if sideways > _SIDEWAYS:
        kind = "on its side"
        reason = f"likely on its side: similarity to a frontal radiograph higher by {sideways:.2f} when turned"
    elif frontal < _INVERTED:
        kind, reason = "inverted", f"likely inverted (MONOCHROME1): similarity to a frontal radiograph {frontal:.2f}"
    elif frontal < _UNLIKE:
        kind, reason = "not frontal", f"possibly lateral or no chest: similarity to a frontal radiograph {frontal:.2f}"
    else:
        return None
    return Suspicion(kind, reason, REMEDIES[kind])


@dataclass(frozen=True)
class ImageCheck:
    """The measurements of one image.

    Attributes:
        index: Its index in the batch, or in the sorted list of the folder's images.
        name: File name relative to the folder, or the index in the batch.
        lung_fraction: Fraction of the image that the lung mask covers.
        components: Number of 8-connected components of the lung mask.
        fallback: Whether no lung was found, so that the augmentation pastes anywhere.
        hidden: Fraction of the tried augmentations that are hardly visible: less than 0.1 % of the pixels changed by at
            least 8 gray levels of 255.
        frontal: Similarity to a frontal chest radiograph, −1 (inverted) to 1.
        band: Fraction of the area covered by flat bands along the edges.
        bright_sides: How many of the top, left and right edges are bright.
        sideways: How much better the image matches a radiograph on its side than an upright one, −2 to 1.
    """

    index: int
    name: str
    lung_fraction: float
    components: int
    fallback: bool
    hidden: float
    frontal: float
    band: float
    bright_sides: int
    sideways: float = 0.0

    @property
    def suspicions(self) -> tuple[Suspicion, ...]:
        """What is probably wrong, the most serious first; only that if the image is inverted or on its side."""
        view = view_suspicion(self.frontal, self.sideways)
        if view is not None and view.kind != "not frontal":
            return (view,)
        reasons = {
            "bright border": self.bright_sides >= _BRIGHT_SIDES
            and f"bright border: {self.bright_sides} of top, left, right",
            "no lungs": self.fallback and "no lungs found (fallback)",
            "not frontal": view is not None and view.reason,
            "border": self.band > _BAND and f"flat bands (collimation, padding) on {self.band:.0%} of the area",
        }
        return tuple(Suspicion(kind, reason, REMEDIES[kind]) for kind, reason in reasons.items() if reason)


@dataclass(frozen=True)
class CheckReport:
    """The rows of a check and, for a folder, the files that were not checked.

    ``len(report)`` and iteration refer to the rows; ``print(report)`` shows the summary.

    Attributes:
        images: One row per image.
        augmentations: How many augmentations of each image were tried.
        unreadable: (file, reason) of images that could not be read.
        not_images: Files that are not images.
        white: The value of white in 16-bit files that do not specify it, and the depths they need; None without such
            files.

    Example:
        >>> row = ImageCheck(0, "a.png", 0.2, 2, False, 0.0, -0.8, 0.0, 0)
        >>> [(suspicion.kind, suspicion.remedy[:9]) for suspicion in row.suspicions]
        [('inverted', 'invert it')]
        >>> print(CheckReport((row,), 4))  # doctest: +ELLIPSIS
        1 image checked
          lungs           20.0 % of the image (median)...
    """

    images: tuple[ImageCheck, ...]
    augmentations: int
    unreadable: tuple[tuple[str, str], ...] = ()
    not_images: tuple[str, ...] = ()
    white: White | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[ImageCheck]:
        return iter(self.images)

    @property
    def empty_share(self) -> float:
        """Fraction of the images in which no lung was found, 0 to 1."""
        return sum(row.fallback for row in self.images) / max(len(self.images), 1)

    @property
    def hidden_share(self) -> float:
        """Fraction of the augmentations that are hardly visible, 0 to 1."""
        return sum(row.hidden for row in self.images) / max(len(self.images), 1)

    @property
    def suspicious(self) -> tuple[ImageCheck, ...]:
        """The images with at least one suspicion, the most serious first; their first 16 make a contact sheet."""
        kinds = list(REMEDIES)
        rows = [row for row in self.images if row.suspicions]
        rows.sort(key=lambda row: (kinds.index(row.suspicions[0].kind), -len(row.suspicions), row.index))
        return tuple(rows)

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain lists, numbers and strings, for ``json.dumps``."""
        rows = [asdict(row) | {"suspicions": [asdict(each) for each in row.suspicions]} for row in self.images]
        return {
            "checked": len(self),
            "augmentations_per_image": self.augmentations,
            "empty_share": self.empty_share,
            "hidden_share": self.hidden_share,
            "suspicious": len(self.suspicious),
            "images": rows,
            "unreadable": [{"name": name, "reason": reason} for name, reason in self.unreadable],
            "not_images": list(self.not_images),
            "white": None if self.white is None else asdict(self.white),
        }

    def __str__(self) -> str:
        lines = [f"{len(self):,} image{'' if len(self) == 1 else 's'} checked", *self._figures(), *self._suspected()]
        if self.white is not None:
            lines.append(f"  16-bit files    {self.white}")
        if self.unreadable:
            lines.append(f"{len(self.unreadable):,} could not be read")
            lines += [f"  {reason}" for _, reason in self.unreadable]
        if self.not_images:
            lines.append(f"not images: {_some(self.not_images)}")
        return "\n".join(lines)

    def _figures(self) -> list[str]:
        if not self.images:
            return []
        low, median, high = np.percentile([row.lung_fraction for row in self.images], (2, 50, 98)) * 100
        counts = sorted(Counter(row.components for row in self.images).items())
        empty = sum(row.fallback for row in self.images)
        return [
            f"  lungs           {median:.1f} % of the image (median), {low:.1f} to {high:.1f} (2nd to 98th percentile)",
            f"  components      {', '.join(f'{count} in {images:,}' for count, images in counts)}",
            f"  no lungs found  {empty:,} ({self.empty_share:.1%}): augmentation pastes anywhere (fallback)",
            f"  hardly visible  {self.hidden_share:.1%} of {self.augmentations * len(self):,} augmentations",
            *self._orientation(),
            f"  suspicious      {len(self.suspicious):,} ({len(self.suspicious) / len(self):.1%})",
        ]

    def _orientation(self) -> list[str]:
        lying = sum(row.sideways > _SIDEWAYS for row in self.images)
        most = f"most images lie on their side ({lying:,} of {len(self):,}): they were not loaded upright"
        return [f"  orientation     {most}"] if 2 * lying > len(self) else []

    def _suspected(self) -> list[str]:
        lines = []
        for kind, remedy in REMEDIES.items():
            names = [row.name for row in self.images if any(each.kind == kind for each in row.suspicions)]
            if names:
                lines += [f"    {len(names):,} × {kind}: {remedy}", f"      {_some(names)}"]
        return lines


def _some(names: tuple[str, ...] | list[str], most: int = 5) -> str:
    return ", ".join(map(shown, names[:most])) + (f", … ({len(names) - most:,} more)" if len(names) > most else "")
