"""Decode images with Pillow to 8-bit gray, upright and complete."""

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from anatpaste_aug.datasets.files.sixteen_bits import Deep, deep_values, is_deep

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["check_pixels", "decode_gray", "decode_picture", "fault_of", "is_truncated", "need_pillow", "reason_of"]

_SOI, _SOC, _SOT, _END = b"\xff\xd8", b"\xff\x4f\xff\x51", b"\xff\x90", b"\xff\xd9"
_WITH_END = ("JPEG", "MPO", "JPEG2000")


def need_pillow() -> None:
    """Check that Pillow is installed, and that it raises errors for truncated files.

    Raises:
        ImportError: Pillow is not installed.
        ValueError: ``PIL.ImageFile.LOAD_TRUNCATED_IMAGES`` is set.
    """
    try:
        from PIL import ImageFile
    except ImportError as error:
        raise ImportError('reading image files needs Pillow: pip install "anatpaste_aug[datasets]"') from error
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise ValueError(
            "PIL.ImageFile.LOAD_TRUNCATED_IMAGES is set, so Pillow would silently pad truncated files: set it to "
            "False before radiographs are read"
        )


def fault_of(path: Path) -> str | None:
    """Return why a path cannot be an image file, to follow its name; None for an ordinary file that is not empty."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "is a link to a file that does not exist" if os.path.islink(path) else "does not exist"
    except (OSError, ValueError) as error:
        return f"cannot be opened: {getattr(error, 'strerror', None) or error}"
    if stat.S_ISDIR(status.st_mode):
        return "is a folder, not an image"
    if not stat.S_ISREG(status.st_mode):
        return "is a pipe or a device, not a file"  # reading it might block
    return None if status.st_size else "is empty (0 bytes)"


def decode_gray(path: Path, white: int | None = None) -> "Image.Image":
    """Decode the first frame to mode L, upright.

    Args:
        path: The image file.
        white: The value of white in 16-bit files that do not specify it.

    Raises:
        Exception: Anything that Pillow raises for a damaged file; see `reason_of`.
    """
    from PIL import Image

    picture = decode_picture(path)
    return Image.fromarray(picture.gray(white)) if isinstance(picture, Deep) else picture


def decode_picture(path: Path) -> "Image.Image | Deep":
    """Decode the first frame, upright: mode L, or the values of an image with more than 8 bits.

    Raises:
        Exception: Anything that Pillow raises for a damaged file; see `reason_of`.
    """
    from PIL import Image, ImageOps

    # Open the file here: Pillow 13.0 would map a path into memory, and shear uncompressed TIFFs that it rotates.
    with path.open("rb") as file, Image.open(file) as image:
        if image.format == "EPS":  # Pillow would run it in Ghostscript
            raise ValueError("PostScript files are programs and are not run; save it as PNG")
        check_pixels(*image.size)
        deep = deep_values(file, image) if is_deep(image) else None
        image.load()
        if image.format in _WITH_END:
            file.seek(0)
            if is_truncated(file.read()):
                raise ValueError("it is truncated: the end of the image is missing")
        return deep or _to_gray(ImageOps.exif_transpose(image))  # Pillow has rotated TIFFs on loading


def check_pixels(width: int, height: int) -> None:
    """Refuse images with more pixels than Pillow considers safe; Pillow itself only warns.

    Raises:
        DecompressionBombError: There are more pixels than ``PIL.Image.MAX_IMAGE_PIXELS``.
    """
    from PIL import Image

    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > limit:
        raise Image.DecompressionBombError(f"{width}×{height} pixels exceed limit of {limit}")


def is_truncated(data: bytes) -> bool:
    """Return whether JPEG, JPEG-LS or JPEG 2000 data lack their end marker.

    Decoders accept zeros as pixel data, such as a file system leaves at the end of a file after a power failure.
    """
    if data[:2] == _SOI:
        start = 2
        # Skip the segments, which may contain a thumbnail JPEG. Within the pixel data, FF D9 occurs only at the end.
        while data[start : start + 1] == b"\xff" and data[start + 1 : start + 2] != b"\xda":
            padding = data[start + 1 : start + 2] == b"\xff"
            start += 1 if padding else 2 + int.from_bytes(data[start + 2 : start + 4], "big")
    else:
        start = data.find(_SOT, max(0, data.find(_SOC)))
    return start < 0 or data.find(_END, start) < 0


def reason_of(error: Exception) -> str:
    """Return why Pillow cannot read an existing file, to follow its name."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "is not an image, or is damaged at its beginning"
    if isinstance(error, PermissionError):
        return "cannot be read (permission denied)"
    if isinstance(error, Image.DecompressionBombError):
        return f"is too large ({error}): make it smaller, or raise PIL.Image.MAX_IMAGE_PIXELS if you trust the file"
    return f"is damaged or has an unsupported format: {' '.join(str(error).split())}"


def _to_gray(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    if image.mode == "F":
        raise ValueError("floating-point pixels with an unknown range: save it with 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    elif image.mode not in ("1", "L", "P", "RGB"):
        image = image.convert("RGB")
    return image if image.mode == "L" else image.convert("L")
