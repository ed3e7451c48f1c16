"""The CPU's own path through segmentation and pasting: compiled by Numba, image by image in each of torch's threads.

The definitions are those of the torch code beside it, which every other device runs. Masks are the same bit for bit on
uint8 images; soft masks and pasted values are the same up to the rounding of float32. Without Numba (the extra
``fast``) the CPU runs the torch code too.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...params import AnatPasteParams
from ..intensity import Intensities, at_least_float32
from ..shape import blur_radius, half_gaussian

_CHUNKS = 4  # shares of a batch per thread, so that no thread waits long for the one with the larger shapes


def takes(*tensors: Tensor | None) -> bool:
    """Whether this path can take these tensors: on the CPU, no gradient wanted, nothing being compiled, Numba there."""
    return (
        not torch.compiler.is_compiling()
        and all(t.device.type == "cpu" and not t.requires_grad for t in tensors if t is not None)
        and _numba_is_there()
    )


@cache
def _numba_is_there() -> bool:
    try:
        return find_spec("numba") is not None
    except ValueError:  # what ``sys.modules["numba"] = None`` makes of it
        return False


def segment(gray: Tensor, smallest: float) -> Tensor:
    """Boolean B×1×H×W lungs of B×H×W grey images; components below ``smallest`` pixels are dropped."""
    from .lungs import segment as segment_some

    images = gray.contiguous().numpy()
    lungs = torch.empty(len(images), 1, *images.shape[1:], dtype=torch.bool)
    out = lungs.numpy()[:, 0]
    _share(lambda begin, end: segment_some(images[begin:end], float(smallest), out[begin:end]), len(images))
    return lungs


def clear_border(mask: Tensor) -> Tensor:
    """B×H×W without the components that touch the border."""
    return _kept(mask, True, 1.0)


def remove_small(mask: Tensor, min_size: float) -> Tensor:
    """B×H×W without the components of fewer than ``min_size`` pixels."""
    return _kept(mask, False, float(min_size))


def _kept(mask: Tensor, inside: bool, smallest: float) -> Tensor:
    from .components import keep_components

    framed = torch.nn.functional.pad(mask.view(torch.uint8), (1, 1, 1, 1))
    masks = framed.numpy()

    def keep(begin: int, end: int) -> None:
        for image in masks[begin:end]:
            keep_components(image, inside, smallest)

    _share(keep, len(masks))
    return framed[:, 1:-1, 1:-1].contiguous().view(torch.bool)


def soft_mask(params: AnatPasteParams, height: int, width: int, lung_mask: Tensor | None) -> Tensor:
    """float32 B×1×H×W; see `paste.soft_mask`."""
    from .shape import soft_masks

    out = torch.zeros(len(params.sigma), 1, height, width)
    lungs = torch.empty(0, 0, 0, dtype=torch.bool) if lung_mask is None else lung_mask[:, 0].contiguous()
    radius = blur_radius(params.sigma, max(height, width)).numpy()
    half = half_gaussian(params.sigma, max(height, width)).numpy()
    fixed = (_arrays(params), radius, half, lungs.view(torch.uint8).numpy(), out.numpy()[:, 0])
    _share(lambda begin, end: soft_masks(*fixed, begin, end), len(out))
    return out


def blend(images: Tensor, mask: Tensor, params: AnatPasteParams, intensities: Intensities) -> Tensor:
    """The blended images; see `paste.blend`."""
    from .blending import blend as blend_some

    half = images.dtype in (torch.float16, torch.bfloat16)
    given = images.float() if half else images
    given = given.contiguous()
    out = given.clone()
    channels = torch.zeros(images.shape[1], 1, 1, dtype=at_least_float32(given[:0]).dtype)
    offset = intensities.to_unit(channels).flatten()
    scale = intensities.to_unit(channels + 1).flatten() - offset
    radius = blur_radius(params.sigma, max(images.shape[-2:])).numpy()
    fixed = (mask[:, 0].contiguous().numpy(), _arrays(params), radius, scale.numpy(), offset.numpy())
    whole = images.dtype == torch.uint8
    _share(lambda begin, end: blend_some(given.numpy(), *fixed, whole, out.numpy(), begin, end), len(out))
    # The way to float32 and back could change the bits of a NaN.
    return torch.where(mask > 0, out.to(images.dtype), images) if half else out


def _arrays(params: AnatPasteParams) -> Any:
    return AnatPasteParams(*(np.ascontiguousarray(field.numpy()) for field in params))  # type: ignore[arg-type]


def _share(work: Callable[[int, int], object], count: int) -> None:
    """Call ``work(begin, end)`` on ranges that make up 0…count, side by side in torch's number of threads."""
    _keep_freed_memory()
    threads = min(torch.get_num_threads(), count)
    if threads <= 1:
        work(0, count)
        return
    edges = [count * i // (threads * _CHUNKS) for i in range(threads * _CHUNKS + 1)]
    # Threads that live no longer than the call: ones that are kept would be missing after a fork.
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, edges[:-1], edges[1:]))


@cache
def _keep_freed_memory() -> None:
    """Keep glibc from handing every freed batch back to the system, and faulting it in again at the next call.

    Its allocator returns memory above a threshold that grows with the largest block freed so far, up to 32 MB; one such
    block, never touched, is enough.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8)
