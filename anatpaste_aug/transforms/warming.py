"""Compiling the CPU's kernels before they are needed."""

from collections.abc import Iterable

import torch

from anatpaste_aug.transforms.recipes import AnatPasteTransform


def warm_up(dtypes: Iterable[torch.dtype] = (torch.uint8, torch.float32)) -> None:
    """Compile the CPU kernels that the transforms need, and keep them on disk.

    Without it, the first call on a machine compiles them, which takes some seconds once. Call it where a container
    image is built, or before a benchmark; ``NUMBA_CACHE_DIR`` names another folder than the user's cache. Where nothing
    is left to compile, it loads them into this process. Without Numba there is nothing to compile.
    No random number generator changes its state.

    Args:
        dtypes: Of the images to come: each has kernels of its own. float16 and bfloat16 use those of float32.

    Example:
        >>> warm_up([torch.uint8])
    """
    alpha, poisson = AnatPasteTransform(p=1.0), AnatPasteTransform(p=1.0, blend="poisson", segmentation=False)
    for dtype in dtypes:
        images = torch.linspace(0, 255 if dtype == torch.uint8 else 1, 32 * 32).view(1, 1, 32, 32).to(dtype)
        for transform in (alpha, poisson):
            transform.augment(images, generator=torch.Generator().manual_seed(0))
