"""Hashes that identify segmenters and images."""

import hashlib

import torch
from torch import Tensor

from anatpaste_aug.segmentation import LungSegmenter, Segmenter
from anatpaste_aug.validation import check_images

_BYTES = 16  # of a hash

ALGORITHM = 1
"""Version of `LungSegmenter`'s masks. Every change after which a pixel of a mask may differ must raise it."""


def fingerprint_of(segmenter: Segmenter) -> str:
    """Describe a segmenter by everything that its masks depend on.

    A `LungSegmenter` is described by its settings and the version of the algorithm. Any other class must define a
    ``__repr__`` that lists all settings, as a dataclass does. The ``repr`` of a function contains an address, and that
    of a network does not include its weights: these need a fingerprint from the user.

    Args:
        segmenter: Callable from image batches to boolean mask batches.

    Raises:
        ValueError: The segmenter needs a fingerprint from the user.

    Example:
        >>> fingerprint_of(LungSegmenter(min_size=300))
        'LungSegmenter(min_size=300.0), algorithm 1'
    """
    kind = type(segmenter)
    if isinstance(segmenter, LungSegmenter) and kind is LungSegmenter:  # a subclass may give other masks
        return f"LungSegmenter(min_size={float(segmenter.min_size)}), algorithm {ALGORITHM}"
    described = repr(segmenter)
    has_repr = getattr(kind, "__repr__", None) is not object.__repr__
    # " at 0x" is an address; "..." stands for omitted values of large tensors and arrays.
    if isinstance(segmenter, torch.nn.Module) or not has_repr or " at 0x" in described or "..." in described:
        name = getattr(segmenter, "__name__", kind.__name__)
        raise ValueError(
            f"the repr of segmenter {name} does not show all that its masks depend on, so a changed segmenter "
            f'would get the masks of the old one; pass for instance fingerprint="{name}, threshold 0.5, weights of '
            '2024-05-01", and change it whenever the masks change'
        )
    return f"{kind.__module__}.{kind.__qualname__}: {described}"


def key_of(fingerprint: str) -> bytes:
    """Hash a fingerprint: BLAKE2b with 16 bytes."""
    return hashlib.blake2b(fingerprint.encode(), digest_size=_BYTES).digest()


def image_keys(images: Tensor) -> list[bytes]:
    """Hash images by content: BLAKE2b with 16 bytes over dtype, shape and bytes.

    Args:
        images: B×C×H×W on the CPU.

    Returns:
        B hashes. Images that differ in bytes, dtype or shape have different hashes: 0.5 in float16 is not 0.5 in
        float32.

    Raises:
        TypeError, ValueError: The argument is not a batch of images, or not on the CPU.

    Example:
        >>> [len(key) for key in image_keys(torch.zeros(3, 1, 64, 64))]
        [16, 16, 16]
    """
    if check_images(images).device.type != "cpu":
        raise ValueError(
            f"images are looked up by their bytes on the CPU, got images on {images.device}; "
            "use indices: transform.augment(images, cache[indices].to(images.device))"
        )
    kind = f"{images.dtype} {tuple(images.shape[1:])}".encode()
    rows = images.detach().contiguous().view(torch.uint8).flatten(1).numpy()
    return [hashlib.blake2b(row, digest_size=_BYTES, key=kind).digest() for row in rows]
