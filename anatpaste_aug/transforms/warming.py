"""Compile the CPU kernels before they are needed."""

from collections.abc import Iterable

import torch

from anatpaste_aug.transforms.recipes import AnatPasteTransform


def warm_up(dtypes: Iterable[torch.dtype] = (torch.uint8, torch.float32)) -> None:
    """Compile the CPU kernels that the transforms need, and cache them on disk.

    Otherwise, the first augmentation on a machine compiles them, which takes some seconds once. Call this when you
    build a container image, or before a benchmark. Set ``NUMBA_CACHE_DIR`` to cache in another folder than the user's
    cache folder. Kernels that are already cached are loaded into this process. Without Numba, this compiles nothing.
    The state of random number generators does not change.

    Args:
        dtypes: Dtypes of the images: each has its own kernels. float16 and bfloat16 use those of float32.

    Example:
        >>> warm_up([torch.uint8])
    """
    alpha = AnatPasteTransform(p=1.0)
    poisson = AnatPasteTransform(p=1.0, blend="poisson", target="intensity", segmentation=False)
    for dtype in dtypes:
        images = torch.linspace(0, 255 if dtype == torch.uint8 else 1, 32 * 32).view(1, 1, 32, 32).to(dtype)
        for transform in (alpha, poisson):
            transform.augment(images, generator=torch.Generator().manual_seed(0))
