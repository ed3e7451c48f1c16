"""Pictures that Pillow reads, to 8-bit grey: whole and upright, or an error that says what is wrong with the file."""

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from anatpaste_aug.datasets.files.sixteen_bits import Deep, deep_values, is_deep

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["check_pixels", "decode_gray", "decode_picture", "fault_of", "is_cut_off", "need_pillow", "reason_of"]

_SOI, _SOC, _SOT, _END = b"\xff\xd8", b"\xff\x4f\xff\x51", b"\xff\x90", b"\xff\xd9"
_WITH_END = ("JPEG", "MPO", "JPEG2000")


def need_pillow() -> None:
    """See that Pillow is there, and that it refuses files that are cut off.

    Raises:
        ImportError: Without Pillow.
        ValueError: The program has told Pillow to fill up what is missing.
    """
    try:
        from PIL import ImageFile
    except ImportError as error:
        raise ImportError('reading image files needs Pillow: pip install "anatpaste_aug[datasets]"') from error
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise ValueError(
            "PIL.ImageFile.LOAD_TRUNCATED_IMAGES is set, so Pillow would fill up files that are cut off and nobody "
            "would notice: set it to False before radiographs are read"
        )


def fault_of(path: Path) -> str | None:
    """What keeps a path from being read at all, in words; None for an ordinary file with something in it."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "is a link to a file that does not exist" if os.path.islink(path) else "does not exist"
    except (OSError, ValueError) as error:
        return f"cannot be opened: {getattr(error, 'strerror', None) or error}"
    if stat.S_ISDIR(status.st_mode):
        return "is a folder, not an image"
    if not stat.S_ISREG(status.st_mode):
        return "is a pipe or a device, not a file"  # and may never end
    return None if status.st_size else "is empty (0 bytes)"


def decode_gray(path: Path, white: int | None = None) -> "Image.Image":
    """The first frame as mode L, upright; ``white`` is that of 16 bits where the file does not tell it.

    Raises:
        Exception: Anything that Pillow raises on a damaged file; see `reason_of`.
    """
    from PIL import Image

    picture = decode_picture(path)
    return Image.fromarray(picture.gray(white)) if isinstance(picture, Deep) else picture


def decode_picture(path: Path) -> "Image.Image | Deep":
    """The first frame, upright: as mode L, or the values where it has more than 8 bits.

    Raises:
        Exception: Anything that Pillow raises on a damaged file; see `reason_of`.
    """
    from PIL import Image, ImageOps

    # From an open file: Pillow 13.0 maps a path into memory, and then shears an uncompressed TIFF that is to be turned.
    with path.open("rb") as file, Image.open(file) as image:
        if image.format == "EPS":  # Pillow would have Ghostscript run it
            raise ValueError("PostScript, which is a program and is not run; save it as PNG")
        check_pixels(*image.size)
        deep = deep_values(file, image) if is_deep(image) else None
        image.load()
        if image.format in _WITH_END:
            file.seek(0)
            if is_cut_off(file.read()):
                raise ValueError("it is cut off, no end of the image follows")
        return deep or _to_gray(ImageOps.exif_transpose(image))  # nothing is left to turn in a TIFF


def check_pixels(width: int, height: int) -> None:
    """Refuse what would fill the memory: more pixels than Pillow takes for safe, at which it only warns.

    Raises:
        DecompressionBombError: There are more than `PIL.Image.MAX_IMAGE_PIXELS`.
    """
    from PIL import Image

    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > limit:
        raise Image.DecompressionBombError(f"{width}×{height} pixels exceed limit of {limit}")


def is_cut_off(data: bytes) -> bool:
    """Whether JPEG, JPEG-LS or JPEG 2000 data lack the marker that ends them.

    Decoders take zeros for pixels, such as a disk leaves at a file's end after a loss of power.
    """
    if data[:2] == _SOI:
        start = 2
        # Segments are passed over, since one may hold a small JPEG; within the pixels, no other FF D9 can occur.
        while data[start : start + 1] == b"\xff" and data[start + 1 : start + 2] != b"\xda":
            padding = data[start + 1 : start + 2] == b"\xff"
            start += 1 if padding else 2 + int.from_bytes(data[start + 2 : start + 4], "big")
    else:
        start = data.find(_SOT, max(0, data.find(_SOC)))
    return start < 0 or data.find(_END, start) < 0


def reason_of(error: Exception) -> str:
    """Why Pillow cannot read a file that is there, to follow the file's name."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "is not an image, or is damaged at its beginning"
    if isinstance(error, PermissionError):
        return "may not be read (permission denied)"
    if isinstance(error, Image.DecompressionBombError):
        return (
            f"is too large to be opened without asking ({error}): make it smaller, or raise PIL.Image.MAX_IMAGE_PIXELS "
            "if you trust it"
        )
    return f"is damaged or of a kind that cannot be read: {' '.join(str(error).split())}"


def _to_gray(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is unknown: save it with 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    elif image.mode not in ("1", "L", "P", "RGB"):
        image = image.convert("RGB")
    return image if image.mode == "L" else image.convert("L")
