"""Mask files that belong to images by name: regions to paste into, and the ground truth of findings."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from anatpaste_aug.datasets.files.decoding import fault_of, need_pillow, reason_of
from anatpaste_aug.datasets.files.filenames import is_image_name
from anatpaste_aug.datasets.files.listing import list_images
from anatpaste_aug.datasets.files.parallel import some_of
from anatpaste_aug.datasets.records import DatasetError
from anatpaste_aug.files import shown

__all__ = ["find_mask", "masks_by_stem", "read_mask"]


def find_mask(folder: Path, image: str) -> Path | None:
    """Return the mask file of an image: the same name with or without ``_mask``, and any suffix; None if there is none.

    Args:
        folder: Folder of the masks.
        image: Path of the image relative to the folder of images that corresponds to ``folder``.
    """
    place = folder / PurePosixPath(image).parent
    stem = PurePosixPath(image).stem
    for name in (stem, f"{stem}_mask"):
        path = place / f"{name}.png"
        if path.is_file():
            return path
    if not place.is_dir():
        return None
    known = {path.stem: path for path in sorted(place.iterdir()) if is_image_name(path.name)}
    return known.get(stem) or known.get(f"{stem}_mask")


def read_mask(path: str | os.PathLike[str], size: int) -> npt.NDArray[np.bool_]:
    """Read a mask file: pixels that are not black or not color 0 of a palette; for JPEG, pixels of at least 128.

    Args:
        path: PNG, TIFF or another image that Pillow reads.
        size: Side of the square that it is resized to; at least half of a pixel must be inside.

    Returns:
        size×size boolean array.

    Raises:
        DatasetError: The file is missing or cannot be read.
        ImportError: Pillow is not installed.
    """
    need_pillow()
    from PIL import Image, ImageOps

    path = Path(path)
    if fault := fault_of(path):
        raise DatasetError(f"mask {shown(path)} {fault}")
    try:
        with Image.open(path) as opened:
            lossy = opened.format in ("JPEG", "MPO")
            image = ImageOps.exif_transpose(opened)
            image = image.convert("L") if lossy else image.convert("RGB") if image.mode not in _SINGLE else image
        values = np.asarray(image)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise more than OSError for damaged files
        raise DatasetError(f"mask {shown(path)} {reason_of(error)}") from error
    inside = values >= 128 if lossy else values != 0
    if inside.ndim == 3:
        inside = inside.any(axis=2)
    resized = Image.fromarray(inside.astype(np.uint8) * 255).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(resized) > 127


_SINGLE = ("1", "L", "P", "I", "F", "I;16", "I;16B", "I;16L")


def masks_by_stem(folder: str | os.PathLike[str], images: Sequence[str], size: int, *, required: bool = True) -> Tensor:
    """Read the mask of each image from a folder of mask files.

    The mask of ``train/good/a.png`` is the file of this path, or the only one named ``a`` (or ``a_mask``) anywhere in
    the folder; the suffix does not matter.

    Args:
        folder: Folder of the masks, including its subfolders.
        images: Paths of the images.
        size: Side of the masks.
        required: False leaves the mask of an image without a file empty.

    Returns:
        N×1×size×size boolean.

    Raises:
        DatasetError: Masks are missing or cannot be read, or a name is not unique.
    """
    folder = Path(folder)
    by_path = {_stem(name): name for name in list_images(folder)[0]}
    by_name: dict[str, list[str]] = {}
    for path in by_path:
        by_name.setdefault(path.rsplit("/", 1)[-1], []).append(path)
    found: dict[str, str | None] = {}
    taken: dict[str, str] = {}
    for image in images:
        stem = _stem(image)
        short = stem.rsplit("/", 1)[-1]
        candidates = [stem] if stem in by_path else by_name.get(short, [])
        if len(candidates) > 1:
            raise DatasetError(
                f"{shown(folder)} has several masks for {shown(image)} ({some_of(candidates)}): name one of them as "
                "the image, folders included"
            )
        found[image] = by_path[candidates[0]] if candidates else None
        if candidates and (other := taken.setdefault(candidates[0], image)) != image:
            raise DatasetError(
                f"mask {shown(by_path[candidates[0]])} in {shown(folder)} fits both {shown(other)} and {shown(image)}: "
                "repeat the images' folders below the masks' folder"
            )
    missing = [image for image, name in found.items() if name is None]
    if missing and required:
        raise DatasetError(
            f"{len(missing)} of {len(found)} images have no mask in {shown(folder)}, such as {shown(missing[0])}: name "
            "each mask as its image (NAME.png for NAME.jpg)"
        )
    masks = np.zeros((len(images), 1, size, size), np.bool_)
    for row, image in enumerate(images):
        if (name := found[image]) is not None:
            masks[row, 0] = read_mask(folder / name, size)
    return torch.from_numpy(masks)


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix("")).removesuffix("_mask")
