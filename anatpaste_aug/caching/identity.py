"""What tells one image, and one segmenter, from another."""

import hashlib

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..segmentation import LungSegmenter, Segmenter
from ..validation import check_images
from .layout import KEY_BYTES

ALGORITHM = 1
"""Version of `LungSegmenter`'s masks: to be raised by every change after which one pixel of a mask may differ."""


def fingerprint_of(segmenter: Segmenter) -> str:
    """Name a segmenter with all that its masks depend on.

    A `LungSegmenter` is named by its settings and the version of the algorithm. Another object must have an own
    ``__repr__`` that spells every setting out, as that of a dataclass does. The repr of a function holds an address,
    that of a network lacks its weights: for these, say yourself what the masks depend on.

    Args:
        segmenter: Callable from image batches to boolean mask batches.

    Raises:
        ValueError: The segmenter does not tell; the message says what to write.

    Example:
        >>> fingerprint_of(LungSegmenter(min_size=300))
        'LungSegmenter(min_size=300.0), algorithm 1'
    """
    kind = type(segmenter)
    if isinstance(segmenter, LungSegmenter) and kind is LungSegmenter:  # a subclass may do anything
        return f"LungSegmenter(min_size={float(segmenter.min_size)}), algorithm {ALGORITHM}"
    shown = repr(segmenter)
    own = getattr(kind, "__repr__", None) is not object.__repr__
    # " at 0x" is an address; "..." is how large tensors and arrays leave values out.
    if isinstance(segmenter, torch.nn.Module) or not own or " at 0x" in shown or "..." in shown:
        name = getattr(segmenter, "__name__", kind.__name__)
        raise ValueError(
            f"the repr of segmenter {name} does not tell all that its masks depend on, so a changed segmenter would go "
            f'unnoticed; pass for instance fingerprint="{name}, threshold 0.5, weights of 2024-05-01", '
            "and change it whenever the masks change"
        )
    return f"{kind.__module__}.{kind.__qualname__}: {shown}"


def image_keys(images: Tensor, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Hash images by content: BLAKE2b with 16 bytes over dtype, shape and bytes.

    Args:
        images: B×C×H×W on the CPU.
        size: (H, W) that they must have.

    Returns:
        uint8 B×16. Other bits, another dtype or shape are another image: 0.5 in float16 is not 0.5 in float32.

    Raises:
        TypeError, ValueError: The images are no images, on an accelerator, or of another size.

    Example:
        >>> image_keys(torch.zeros(3, 1, 64, 64), (64, 64)).shape
        (3, 16)
    """
    if check_images(images).device.type != "cpu":
        raise ValueError(
            f"images are looked up by their bytes on the CPU, got images on {images.device}; "
            "use indices: transform.augment(images, cache.masks(indices, device=images.device))"
        )
    if tuple(images.shape[2:]) != tuple(size):
        raise ValueError(
            f"images are of {images.shape[2]}×{images.shape[3]} pixels and the cache of {size[0]}×{size[1]}"
        )
    kind = f"{images.dtype} {tuple(images.shape[1:])}".encode()
    rows = images.detach().contiguous().view(torch.uint8).flatten(1).numpy()
    digests = b"".join(hashlib.blake2b(row, digest_size=KEY_BYTES, key=kind).digest() for row in rows)
    return np.frombuffer(digests, dtype=np.uint8).reshape(-1, KEY_BYTES)
