"""The CPU's own path through segmentation and pasting: compiled by Numba, image by image in each of torch's threads.

The definitions are those of the torch code beside it, which every other device runs. Masks are the same bit for bit on
uint8 images; soft masks and pasted values are the same up to the rounding of float32. Without Numba (the extra
``fast``) the CPU runs the torch code too. What is called from there are operators, so that ``torch.compile`` and fake
tensors take them as they are.
"""

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from sys import modules
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.library import custom_op

from ...params import AnatPasteParams
from ..intensity import Intensities, at_least_float32

HAS_NUMBA = modules.get("numba", True) is not None and find_spec("numba") is not None
_BOOLEAN = {"apply", "ellipse", "anywhere", "fallback"}
_FLOATING = {"opacity", "sigma", "brightness", "contrast", "saturation", "hue"}
_CHUNKS = 4  # shares of a batch per thread, so that no thread waits long for the one with the larger shapes


def takes(*tensors: Tensor | None) -> bool:
    """Whether this path can take these tensors: on the CPU, no gradient wanted, Numba there."""
    here = HAS_NUMBA and all(t.device.type == "cpu" and not t.requires_grad for t in tensors if t is not None)
    return here and (torch.compiler.is_compiling() or _numba_works())


@cache
def _numba_works() -> bool:
    """An installed Numba may still refuse the NumPy beside it."""
    try:
        from . import jit  # noqa: F401
    except ImportError as error:
        warnings.warn(f"Numba cannot be used, so that the CPU is many times slower: {error}", stacklevel=2)
        return False
    return True


@custom_op("anatpaste_aug::segment", mutates_args=(), device_types="cpu")
def segment(gray: Tensor, smallest: float) -> Tensor:
    """Boolean B×1×H×W lungs of B×H×W grey images; components below ``smallest`` pixels are dropped."""
    from .lungs import segment as segment_some

    images = gray.contiguous().numpy()
    lungs = torch.empty(len(images), 1, *images.shape[1:], dtype=torch.bool)
    out = lungs.numpy()[:, 0]
    _share(lambda begin, end: segment_some(images[begin:end], smallest, out[begin:end]), len(images))
    return lungs


@segment.register_fake
def _(gray: Tensor, smallest: float) -> Tensor:
    return gray.new_empty((gray.shape[0], 1, *gray.shape[1:]), dtype=torch.bool)


@custom_op("anatpaste_aug::keep_components", mutates_args=(), device_types="cpu")
def keep_components(mask: Tensor, inside: bool, smallest: float) -> Tensor:
    """B×H×W without small components, and with ``inside`` without those at the border."""
    from .components import keep_components as keep_some

    framed = torch.nn.functional.pad(mask.view(torch.uint8), (1, 1, 1, 1))
    masks = framed.numpy()

    def keep(begin: int, end: int) -> None:
        for image in masks[begin:end]:
            keep_some(image, inside, smallest)

    _share(keep, len(masks))
    return framed[:, 1:-1, 1:-1].contiguous().view(torch.bool)


@keep_components.register_fake
def _(mask: Tensor, inside: bool, smallest: float) -> Tensor:
    return torch.empty_like(mask, memory_format=torch.contiguous_format)


@custom_op("anatpaste_aug::label_components", mutates_args=(), device_types="cpu")
def label_components(mask: Tensor) -> Tensor:
    """int64 B×(H·W) labels of B×H×W masks; see `components.label_components`."""
    from .components import label_components as label_some

    batch, height, width = mask.shape
    framed = torch.nn.functional.pad(mask.view(torch.uint8), (1, 1, 1, 1)).numpy()
    labels = torch.full((batch, height, width), height * width)
    out = labels.numpy()

    def label(begin: int, end: int) -> None:
        for image, named in zip(framed[begin:end], out[begin:end], strict=True):
            label_some(image, named)

    _share(label, batch)
    return labels.flatten(1)


@label_components.register_fake
def _(mask: Tensor) -> Tensor:
    return mask.new_empty((mask.shape[0], mask.shape[1] * mask.shape[2]), dtype=torch.int64)


@custom_op("anatpaste_aug::soft_mask", mutates_args=(), device_types="cpu")
def soft_mask(params: Sequence[Tensor], height: int, width: int, lung_mask: Tensor | None) -> Tensor:
    """float32 B×1×H×W; see `paste.soft_mask`."""
    from .shape import soft_masks

    rows = AnatPasteParams(*params)
    arrays = _arrays(rows, height, width, (lung_mask, 1))
    out = torch.empty(len(rows.sigma), 1, height, width)  # filled in the threads, each with its own images
    lungs = torch.empty(0, 0, 0, dtype=torch.bool) if lung_mask is None else lung_mask[:, 0].contiguous()
    fixed = (arrays, lungs.view(torch.uint8).numpy(), out.numpy()[:, 0])
    _share(lambda begin, end: soft_masks(*fixed, begin, end), len(out))
    return out


@soft_mask.register_fake
def _(params: Sequence[Tensor], height: int, width: int, lung_mask: Tensor | None) -> Tensor:
    return torch.empty(params[0].shape[0], 1, height, width)


@custom_op("anatpaste_aug::blend", mutates_args=(), device_types="cpu")
def blend(
    images: Tensor,
    mask: Tensor,
    params: Sequence[Tensor],
    black: float,
    white: float,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> Tensor:
    """The blended images; see `paste.blend`, and `Intensities` for how values are read."""
    from .blending import blend as blend_some

    rows = AnatPasteParams(*params)
    arrays = _arrays(rows, *images.shape[-2:], (images, images.shape[1]), (mask, 1))
    half = images.dtype in (torch.float16, torch.bfloat16)
    given = (images.float() if half else images).contiguous()
    out = torch.empty_like(given)
    intensities = Intensities(black, white, None if mean is None else tuple(mean), None if std is None else tuple(std))
    # In float64, because the two are close to one another where the range is far from 0.
    channels, work = torch.zeros(images.shape[1], 1, 1, dtype=torch.float64), at_least_float32(given[:0]).dtype
    offset = intensities.to_unit(channels).flatten()
    scale = intensities.to_unit(channels + 1).flatten() - offset
    scale, offset = scale.to(work), offset.to(work)
    fixed = (mask[:, 0].contiguous().numpy(), arrays, scale.numpy(), offset.numpy())
    whole = images.dtype == torch.uint8
    _share(lambda begin, end: blend_some(given.numpy(), *fixed, whole, out.numpy(), begin, end), len(out))
    # The way to float32 and back could change the bits of a NaN.
    return torch.where(mask > 0, out.to(images.dtype), images) if half else out


@blend.register_fake
def _(images: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(images, memory_format=torch.contiguous_format)


def _arrays(params: AnatPasteParams, height: int, width: int, *others: tuple[Tensor | None, int]) -> Any:
    """The rows as arrays, for kernels that look at no limits: what would lead them out of the images is an error."""
    for name, field in zip(AnatPasteParams._fields, params, strict=True):
        shape = (len(params.apply), 4) if name == "jitter_order" else (len(params.apply),)
        dtype = torch.bool if name in _BOOLEAN else torch.float32 if name in _FLOATING else torch.int64
        if field.shape != shape or field.dtype != dtype:
            found = f"{tuple(field.shape)} and {field.dtype}"
            raise ValueError(f"params.{name} must have shape {shape} and dtype {dtype}, got {found}")
    p: Any = AnatPasteParams(*(np.ascontiguousarray(field.numpy()) for field in params))  # type: ignore[arg-type]
    fits = (p.height >= 1) & (p.source_top >= 0) & (p.source_top <= height - p.height)
    fits &= (p.width >= 1) & (p.source_left >= 0) & (p.source_left <= width - p.width)
    fits &= (p.center_y >= 0) & (p.center_y < height) & (p.center_x >= 0) & (p.center_x < width)
    fits &= (p.margin >= 0) & (p.sigma >= 0) & (p.sigma < np.inf)
    if not fits.all():
        raise ValueError(f"params {np.flatnonzero(~fits)[:10].tolist()} lie outside images of {height}×{width}")
    for tensor, channels in others:
        if tensor is not None and tensor.shape != (len(fits), channels, height, width):
            expected = (len(fits), channels, height, width)
            raise ValueError(f"images and masks for these params must have shape {expected}, got {tuple(tensor.shape)}")
    return p


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
