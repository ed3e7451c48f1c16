"""Read images with 16 bits per sample, and find their value of white.

Pillow returns only the upper 8 bits of color images.
"""

import re
import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Deep", "bits_needed", "check_white", "declared_bits", "deep_values", "eight_bits", "is_deep", "luma"]

_COLOR = re.compile(r"(RGB|RGBX|RGBA);16[BLN]|LA;16B")
_PNG = b"\x89PNG\r\n\x1a\n"
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262  # TIFF tags
_WHITE_IS_ZERO = 0
_DEPTHS, _EXCEEDING = (8, 10, 12, 14, 16), 0.005
_SCALED = ("JPEG2000", "PPM")  # formats that specify their bits; Pillow scales them to 16


@dataclass(frozen=True, eq=False)
class Deep:
    """An image with 16 bits per sample.

    Attributes:
        values: H×W or H×W×3 uint16, upright, with transparency on black.
        white: The value of white that the file specifies; None if it does not.
        falling: Whether 0 is white, and ``white`` is black.
    """

    values: npt.NDArray[np.uint16]
    white: int | None
    falling: bool = False

    def gray(self, white: int | None) -> npt.NDArray[np.uint8]:
        """Convert to H×W gray levels; ``white`` is used if the file does not specify it, and None is 65535."""
        top = self.white or white or 65535
        levels = luma(self.values, top) if self.values.ndim == 3 else eight_bits(self.values, top)
        return 255 - levels if self.falling else levels


def check_white(white: int | None) -> int | None:
    """Return ``white`` after checking it.

    Raises:
        ValueError: It is neither an integer from 1 to 65535 nor None.
    """
    if white is not None and (isinstance(white, bool) or not isinstance(white, int) or not 1 <= white <= 65535):
        raise ValueError(f"white={white!r}: expected the value that is white in 16 bits, 1 to 65535 (12 bits: 4095)")
    return white


def is_deep(image: "Image.Image") -> bool:
    """Return whether an image that is not loaded yet has more than 8 bits per sample."""
    return image.mode.startswith("I") or _COLOR.fullmatch(_rawmode(image)) is not None


def declared_bits(file: BinaryIO, image: "Image.Image") -> int | None:
    """Return the bits that a deep image declares: sBIT of PNG, or BitsPerSample of TIFF if below 16; else None."""
    if image.format in _SCALED:
        return 16
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (16,))
        most = max(bits) if isinstance(bits, tuple) else int(bits)
        return most if most < 16 else None
    return _significant_bits(file) if image.format == "PNG" else None


def deep_values(file: BinaryIO, image: "Image.Image") -> Deep:
    """Load a deep image.

    Raises:
        ValueError: Values are negative, or have more than 16 bits.
        Exception: Anything that Pillow raises for a damaged file.
    """
    bits = declared_bits(file, image)
    if image.mode.startswith("I"):
        found = _upright(image)
        if found.min() < 0 or found.max() > 65535:
            raise ValueError(f"values from {found.min()} to {found.max()}; expected unsigned values of at most 16 bits")
        values = found.astype(np.uint16)
    else:
        values = _color(file, image)
    key = image.info.get("transparency")  # a gray level or color
    if isinstance(key, int | tuple) and np.size(key) == (1 if values.ndim == 2 else values.shape[-1]):
        same = values == np.asarray(key)
        values[same if values.ndim == 2 else same.all(-1)] = 0
    falling = image.format == "TIFF" and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    return Deep(values, None if bits is None else _white(values, bits), falling)


def eight_bits(values: npt.NDArray[Any], white: int) -> npt.NDArray[np.uint8]:
    """Scale unsigned integers to gray levels from 0 to 255; ``white`` and higher values become 255."""
    if values.dtype == np.uint8 and white == 255:
        return values
    levels: npt.NDArray[np.uint8] = np.rint(np.minimum(values, white) * (255 / white)).astype(np.uint8)
    return levels


def bits_needed(values: npt.NDArray[Any]) -> int:
    """Return the smallest depth (8, 10, 12, 14 or 16 bits) that at most 0.5 % of the values exceed.

    Hot pixels and burned-in letters may exceed the depth of a radiograph.

    >>> bits_needed(np.array([4095] * 999 + [4096]))
    12
    """
    return next(bits for bits in _DEPTHS if bits == 16 or np.mean(values >= 2**bits) <= _EXCEEDING)


def luma(color: npt.NDArray[Any], white: int) -> npt.NDArray[np.uint8]:
    """Convert H×W×3 values to H×W gray levels like Pillow's "L"; ``white`` and higher values become 255."""
    from PIL import Image

    return np.asarray(Image.fromarray(eight_bits(color, white)).convert("L"))


def _white(values: npt.NDArray[np.uint16], bits: int) -> int:
    """Return white of a file that declares its bits.

    According to the standard, a PNG with sBIT has values that are scaled to 16 bits, but many programs write them
    unscaled. Scaled values repeat their upper bits, or have zeros, in the lower ones.
    """
    white: int = 2**bits - 1
    if bits == 16 or values.max() <= white:
        return white
    upper = values >> (16 - bits)
    filled = upper << (16 - bits)
    ways = [filled, np.rint(upper * (65535 / white))]
    if bits >= 8:
        ways.append(filled | (upper >> (2 * bits - 16)))
    return 65535 if any(np.array_equal(values, way) for way in ways) else white


def _color(file: BinaryIO, image: "Image.Image") -> npt.NDArray[np.uint16]:
    """Return H×W×3 values, or H×W values of gray with transparency, which is shown on black."""
    from PIL import Image

    values: Any
    mode = _rawmode(image)
    if mode == "LA;16B":
        _unpack_as(image, "RGBA")  # the unchanged bytes
        parts = _upright(image).astype(np.uint16)
        values = parts[..., ::2] << 8 | parts[..., 1::2]
    else:
        # Pillow reads the upper byte of each sample; with the opposite byte order, this is the lower one.
        order = mode[-1] if mode[-1] != "N" else {"little": "L", "big": "B"}[sys.byteorder]
        upper = _upright(image).astype(np.uint16)
        file.seek(0)
        with Image.open(file) as again:
            _unpack_as(again, mode[:-1] + {"L": "B", "B": "L"}[order])
            values = upper << 8 | _upright(again)
    if values.shape[-1] in (2, 4) and not mode.startswith("RGBX"):
        values = np.rint(values[..., :-1] * (values[..., -1:] / 65535)).astype(np.uint16)
    found: npt.NDArray[np.uint16] = values[..., 0] if values.shape[-1] == 1 else values[..., :3]
    return found


def _upright(image: "Image.Image") -> npt.NDArray[Any]:
    from PIL import ImageOps

    image.load()
    return np.asarray(ImageOps.exif_transpose(image))  # has no effect on a TIFF, which was rotated on loading


def _rawmode(image: Any) -> str:
    """Return how Pillow's decoder interprets the bytes of the file; empty if unknown."""
    arguments = image.tile[0][3] if image.tile else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _unpack_as(image: Any, rawmode: str) -> None:
    def changed(tile: Any) -> Any:
        arguments = (rawmode, *tile[3][1:]) if isinstance(tile[3], tuple) else rawmode
        return tile._replace(args=arguments) if hasattr(tile, "_replace") else (*tile[:3], arguments)

    image.tile = [changed(tile) for tile in image.tile]


def _significant_bits(file: BinaryIO) -> int | None:
    """Return the largest value of the sBIT chunk of a PNG, transparency excluded; Pillow does not read the chunk."""
    position = file.tell()
    try:
        file.seek(0)
        if file.read(8) != _PNG:
            return None
        channels = 0
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind in (b"IDAT", b"IEND") or length > 2**31:
                return None
            if kind not in (b"IHDR", b"sBIT"):
                file.seek(length + 4, 1)
                continue
            data = file.read(length + 4)[:length]  # Pillow verifies the checksums
            if kind == b"IHDR":
                channels = 1 if data[9] in (0, 4) else 3
            elif len(data) >= channels and all(1 <= bits <= 16 for bits in data[:channels]):
                return max(data[:channels])
        return None
    finally:
        file.seek(position)
