"""Segmentation and pasting on the CPU, compiled by Numba: one image after the other in each of torch's threads.

The torch code in the parent package defines the results and runs on every other device. Masks of uint8 images match it
bit for bit; soft masks and pasted values match it up to float32 rounding. Without Numba, which does not support every
platform, the CPU runs the torch code too. The functions called from there are custom operators, so that
``torch.compile`` and fake tensors support them.
"""

import warnings
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from anatpaste_aug.functional._numba.intensity_target import local_median, patches_foreground
from anatpaste_aug.functional._numba.lungs.segmenting import keep_components, segment
from anatpaste_aug.functional._numba.pasting import check, paste, random_pixel, soft_mask

__all__ = [
    "HAS_NUMBA",
    "check",
    "keep_components",
    "local_median",
    "paste",
    "patches_foreground",
    "random_pixel",
    "segment",
    "soft_mask",
    "supports",
]

HAS_NUMBA = find_spec("numba") is not None


def supports(*tensors: Tensor | None) -> bool:
    """Return whether the kernels can run on these tensors: with Numba, on the CPU, and without a gradient."""
    here = HAS_NUMBA and all(t.device.type == "cpu" and not t.requires_grad for t in tensors if t is not None)
    return here and (torch.compiler.is_compiling() or _numba_works())


@cache
def _numba_works() -> bool:
    """Return whether Numba can be imported; an installed Numba may reject the installed NumPy."""
    try:
        from anatpaste_aug.functional._numba import jit  # noqa: F401
    except ImportError as error:
        warnings.warn(f"Numba cannot be imported, so the CPU is many times slower: {error}", stacklevel=2)
        return False
    return True
