"""White of 16-bit pictures that don't tell it: decided once for a data set, so that neighbors are scaled alike."""

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

_SHARE = 0.99  # of the files must not need more bits
_LOOKED_AT = 256  # files, spread evenly: decoding is the cost
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True)
class White:
    """The white of 16-bit files that don't tell it.

    Attributes:
        value: What becomes 255.
        files: How many files don't tell it.
        needs: Bits -> how many of the files looked at need them; empty where the value was given.
    """

    value: int
    files: int
    needs: Mapping[int, int]

    def __str__(self) -> str:
        """
        >>> print(White(4095, 300, {12: 255, 16: 1}))
        300 don't tell their white: 4095 (bits needed: 12 in 255, 16 in 1)
        """
        told = ", ".join(f"{bits} in {count:,}" for bits, count in sorted(self.needs.items()))
        return f"{self.files:,} don't tell their white: {self.value} ({f'bits needed: {told}' if told else 'given'})"


def find_white(
    paths: Iterable[str | os.PathLike[str]], *, white: int | None = None, progress: bool = False
) -> White | None:
    """Decide what white is in the 16-bit PNG and TIFF files of a data set that don't tell it themselves.

    It is the largest value of the smallest depth of 8, 10, 12, 14 and 16 bits that 99 % of the files don't exceed; a
    file exceeds a depth if more than 0.5 % of its pixels do, the share that `read_gray` lets go without a window in
    DICOM. At most 256 files are decoded, spread evenly over the paths. Files that cannot be read are passed over.

    Args:
        paths: The files of the data set; of a detector's, those it is trained on.
        white: The value, where it is known; the files are then only counted.
        progress: Show a progress bar while files are decoded.

    Returns:
        None if every file tells its white, or has 8 bits.

    Raises:
        ValueError: ``white`` outside 1 to 65535.

    >>> find_white([]) is None
    True
    """
    check_white(white)
    silent = [path for path in map(Path, paths) if _is_silent(path)]  # too little work for threads
    if not silent:
        return None
    if white is not None:
        return White(white, len(silent), {})
    count = min(len(silent), _LOOKED_AT)
    chosen = [silent[i * len(silent) // count] for i in range(count)]
    needs = Counter(on_all(_bits_of, chosen, noun="16-bit files", progress=progress))
    del needs[0]  # unreadable
    if not needs:
        return None
    total = needs.total()
    bits = next(bits for bits in sorted(needs) if sum(n for b, n in needs.items() if b <= bits) >= _SHARE * total)
    return White(2**bits - 1, len(silent), dict(needs))


def _is_silent(path: Path) -> bool:
    """Whether a file has 16 bits a sample and doesn't say how many of them are used; by its header alone."""
    from PIL import Image

    if fault_of(path):
        return False
    try:
        with path.open("rb") as file:
            head = file.read(25)
            # Byte 24 of a PNG is its depth. Most files end here, so that a data set of 8 bits costs nothing.
            if not (head[:4] in _TIFF or (head[:4] == b"\x89PNG" and head[24:] == b"\x10")) or is_dicom(path):
                return False
            file.seek(0)
            with Image.open(file) as image:
                return is_deep(image) and declared_bits(file, image) is None
    except MemoryError:
        raise
    except Exception:  # reading the image will say what is wrong
        return False


def _bits_of(path: Path) -> int:
    try:
        picture = decode_picture(path)
    except MemoryError:
        raise
    except Exception:
        return 0
    return bits_needed(picture.values) if isinstance(picture, Deep) else 0
