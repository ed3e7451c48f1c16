"""Pictures with 16 bits a sample: their values, of which Pillow shows only the upper 8 in colour, and their white."""

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

_COLOUR = re.compile(r"(RGB|RGBX|RGBA);16[BLN]|LA;16B")
_PNG = b"\x89PNG\r\n\x1a\n"
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262  # TIFF tags
_WHITE_IS_ZERO = 0
_DEPTHS, _EXCEEDING = (8, 10, 12, 14, 16), 0.005
_SCALED = ("JPEG2000", "PPM")  # formats that say how many bits they have; Pillow scales them to 16


@dataclass(frozen=True, eq=False)
class Deep:
    """A picture with 16 bits a sample.

    Attributes:
        values: H×W or H×W×3 uint16, upright; what is transparent shows on black.
        white: The value of white that the file tells; None where it tells nothing.
        falling: White is 0, and black what ``white`` says.
    """

    values: npt.NDArray[np.uint16]
    white: int | None
    falling: bool = False

    def gray(self, white: int | None) -> npt.NDArray[np.uint8]:
        """H×W grey levels; ``white`` is that of files which don't tell it, 65535 where it is None."""
        top = self.white or white or 65535
        levels = luma(self.values, top) if self.values.ndim == 3 else eight_bits(self.values, top)
        return 255 - levels if self.falling else levels


def check_white(white: int | None) -> int | None:
    """
    Raises:
        ValueError: Not an integer from 1 to 65535, or None.
    """
    if white is not None and (isinstance(white, bool) or not isinstance(white, int) or not 1 <= white <= 65535):
        raise ValueError(f"white={white!r}: expected the value that is white in 16 bits, 1 to 65535 (12 bits: 4095)")
    return white


def is_deep(image: "Image.Image") -> bool:
    """Whether an image that is not yet loaded has more than 8 bits a sample."""
    return image.mode.startswith("I") or _COLOUR.fullmatch(_rawmode(image)) is not None


def declared_bits(file: BinaryIO, image: "Image.Image") -> int | None:
    """The bits that a deep image says it uses: sBIT of PNG, BitsPerSample of TIFF if below 16. None if it doesn't."""
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
        ValueError: Values that are negative or have more than 16 bits.
        Exception: Anything that Pillow raises on a damaged file.
    """
    bits = declared_bits(file, image)
    if image.mode.startswith("I"):
        found = _upright(image)
        if found.min() < 0 or found.max() > 65535:
            raise ValueError(f"values {found.min()} to {found.max()}, expected at most 16 bits without sign")
        values = found.astype(np.uint16)
    else:
        values = _colour(file, image)
    key = image.info.get("transparency")  # a grey level or colour
    if isinstance(key, int | tuple) and np.size(key) == (1 if values.ndim == 2 else values.shape[-1]):
        same = values == np.asarray(key)
        values[same if values.ndim == 2 else same.all(-1)] = 0
    falling = image.format == "TIFF" and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    return Deep(values, None if bits is None else _white(values, bits), falling)


def eight_bits(values: npt.NDArray[Any], white: int) -> npt.NDArray[np.uint8]:
    """Grey levels 0 to 255 of unsigned integers; ``white`` and above become 255."""
    if values.dtype == np.uint8 and white == 255:
        return values
    levels: npt.NDArray[np.uint8] = np.rint(np.minimum(values, white) * (255 / white)).astype(np.uint8)
    return levels


def bits_needed(values: npt.NDArray[Any]) -> int:
    """The smallest depth of 8, 10, 12, 14 and 16 bits that at most 0.5 % of the values exceed.

    Hot pixels and burnt-in letters exceed the depth of a radiograph.

    >>> bits_needed(np.array([4095] * 999 + [4096]))
    12
    """
    return next(bits for bits in _DEPTHS if bits == 16 or np.mean(values >= 2**bits) <= _EXCEEDING)


def luma(colour: npt.NDArray[Any], white: int) -> npt.NDArray[np.uint8]:
    """H×W grey levels of H×W×3 values, as Pillow's "L" computes them; ``white`` and above become 255."""
    from PIL import Image

    return np.asarray(Image.fromarray(eight_bits(colour, white)).convert("L"))


def _white(values: npt.NDArray[np.uint16], bits: int) -> int:
    """White of a file that says how many bits it has.

    By its standard, a PNG with sBIT holds values that were scaled up to 16 bits; many writers leave them unscaled.
    Scaled values repeat their upper bits, or zeros, in the lower ones.
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


def _colour(file: BinaryIO, image: "Image.Image") -> npt.NDArray[np.uint16]:
    """H×W×3, or H×W of grey with transparency, which shows on black."""
    from PIL import Image

    values: Any
    mode = _rawmode(image)
    if mode == "LA;16B":
        _unpack_as(image, "RGBA")  # the bytes as they are
        parts = _upright(image).astype(np.uint16)
        values = parts[..., ::2] << 8 | parts[..., 1::2]
    else:
        # Pillow takes the upper byte of each sample. With the other order of bytes, that is the lower one.
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
    return np.asarray(ImageOps.exif_transpose(image))  # does nothing to a TIFF, which was turned while it was loaded


def _rawmode(image: Any) -> str:
    """How Pillow's decoder takes the file's bytes; empty if it is not told."""
    arguments = image.tile[0][3] if image.tile else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _unpack_as(image: Any, rawmode: str) -> None:
    def changed(tile: Any) -> Any:
        arguments = (rawmode, *tile[3][1:]) if isinstance(tile[3], tuple) else rawmode
        return tile._replace(args=arguments) if hasattr(tile, "_replace") else (*tile[:3], arguments)

    image.tile = [changed(tile) for tile in image.tile]


def _significant_bits(file: BinaryIO) -> int | None:
    """The sBIT chunk of a PNG, which Pillow passes over; the most of the channels but transparency."""
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
            data = file.read(length + 4)[:length]  # Pillow has compared the checksums
            if kind == b"IHDR":
                channels = 1 if data[9] in (0, 4) else 3
            elif len(data) >= channels and all(1 <= bits <= 16 for bits in data[:channels]):
                return max(data[:channels])
        return None
    finally:
        file.seek(position)
