"""Infer the value of white in 16-bit images that do not specify it, once per dataset, so that all are scaled alike."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from anatpaste_aug.datasets.files.decoding import decode_picture, fault_of
from anatpaste_aug.datasets.files.dicom import is_dicom
from anatpaste_aug.datasets.files.parallel import on_all
from anatpaste_aug.datasets.files.sixteen_bits import Deep, bits_needed, check_white, declared_bits, is_deep

__all__ = ["White", "find_white"]

_SHARE = 0.99  # fraction of the files that must not exceed the depth
_SAMPLE = 256  # files to decode
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True)
class White:
    """The value of white in 16-bit files that do not specify it.

    Attributes:
        value: The pixel value that becomes 255.
        files: Number of files that do not specify it.
        needs: Bits -> number of the examined files that need them; empty if the value was given.
    """

    value: int
    files: int
    needs: Mapping[int, int]

    def __str__(self) -> str:
        """Return a summary.

        >>> print(White(4095, 300, {12: 255, 16: 1}))
        300 without a value of white; 4095 is used (inferred; bits needed: 12 in 255, 16 in 1)
        """
        needs = ", ".join(f"{bits} in {count:,}" for bits, count in sorted(self.needs.items()))
        source = f"inferred; bits needed: {needs}" if needs else "given"
        return f"{self.files:,} without a value of white; {self.value} is used ({source})"


def find_white(
    paths: Iterable[str | os.PathLike[str]], *, white: int | None = None, progress: bool = False
) -> White | None:
    """Infer the value of white in the 16-bit PNG and TIFF files of a dataset that do not specify it.

    It is the largest value of the smallest depth (8, 10, 12, 14 or 16 bits) that 99 % of the files do not exceed. A
    file exceeds a depth if more than 0.5 % of its pixels do. At most 256 files are decoded, spread evenly over the
    paths. Files that cannot be read are skipped.

    Args:
        paths: The files of the dataset; for a detector, the training images.
        white: The value if it is known; the files are then only counted.
        progress: Show a progress bar while files are decoded.

    Returns:
        None if all files specify white, or have 8 bits.

    Raises:
        ValueError: ``white`` is not between 1 and 65535.

    Example:
        >>> find_white([]) is None
        True
    """
    check_white(white)
    unspecified = [
        path for path in map(Path, paths) if _lacks_white(path)
    ]  # reads headers only, so threads would not help
    if not unspecified:
        return None
    if white is not None:
        return White(white, len(unspecified), {})
    count = min(len(unspecified), _SAMPLE)
    chosen = [unspecified[i * len(unspecified) // count] for i in range(count)]
    needs = Counter(on_all(_bits_of, chosen, noun="16-bit files", progress=progress))
    del needs[0]  # unreadable
    if not needs:
        return None
    total = needs.total()
    bits = next(bits for bits in sorted(needs) if sum(n for b, n in needs.items() if b <= bits) >= _SHARE * total)
    return White(2**bits - 1, len(unspecified), dict(needs))


def _lacks_white(path: Path) -> bool:
    """Return whether a file has 16 bits per sample and its header does not say how many of them are used."""
    from PIL import Image

    if fault_of(path):
        return False
    try:
        with path.open("rb") as file:
            head = file.read(25)
            # Byte 24 of a PNG is its depth. Most files are ruled out here, so that 8-bit datasets cost nothing.
            if not (head[:4] in _TIFF or (head[:4] == b"\x89PNG" and head[24:] == b"\x10")) or is_dicom(path):
                return False
            file.seek(0)
            with Image.open(file) as image:
                return is_deep(image) and declared_bits(file, image) is None
    except MemoryError:
        raise
    except Exception:  # reading the image reports what is wrong
        return False


def _bits_of(path: Path) -> int:
    try:
        picture = decode_picture(path)
    except MemoryError:
        raise
    except Exception:
        return 0
    return bits_needed(picture.values) if isinstance(picture, Deep) else 0
