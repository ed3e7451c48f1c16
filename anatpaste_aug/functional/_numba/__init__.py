"""The CPU's own path through segmentation and pasting: compiled by Numba, image by image in each of torch's threads.

The definitions are those of the torch code beside it, which every other device runs. Masks are the same bit for bit on
uint8 images; soft masks and pasted values are the same up to the rounding of float32. Without Numba, which
not every platform has, the CPU runs the torch code too. What is called from there are operators, so that
``torch.compile`` and fake tensors take them as they are.
"""

import warnings
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from anatpaste_aug.functional._numba.pasting import check, paste, random_pixel, soft_mask
from anatpaste_aug.functional._numba.segmenting import keep_components, segment

__all__ = [
    "HAS_NUMBA",
    "check",
    "keep_components",
    "paste",
    "random_pixel",
    "segment",
    "soft_mask",
    "takes",
]

HAS_NUMBA = find_spec("numba") is not None


def takes(*tensors: Tensor | None) -> bool:
    """Whether this path can take these tensors: on the CPU, no gradient wanted, Numba there."""
    here = HAS_NUMBA and all(t.device.type == "cpu" and not t.requires_grad for t in tensors if t is not None)
    return here and (torch.compiler.is_compiling() or _numba_works())


@cache
def _numba_works() -> bool:
    """An installed Numba may still refuse the NumPy beside it."""
    try:
        from anatpaste_aug.functional._numba import jit  # noqa: F401
    except ImportError as error:
        warnings.warn(f"Numba cannot be used, so that the CPU is many times slower: {error}", stacklevel=2)
        return False
    return True
