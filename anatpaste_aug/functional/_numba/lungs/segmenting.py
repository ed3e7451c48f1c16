"""Segmentation on the CPU, as custom operators of torch."""

import torch
from torch import Tensor
from torch.library import custom_op

from anatpaste_aug.functional._numba.threads import empty, run_in_threads


@custom_op("anatpaste_aug::segment", mutates_args=(), device_types="cpu")
def segment(gray: Tensor, smallest: float) -> Tensor:
    """Segment the lungs of B×H×W gray images: boolean B×1×H×W; components below ``smallest`` pixels are removed."""
    from anatpaste_aug.functional._numba.lungs.find_lungs import segment as segment_some

    images = gray.contiguous().numpy()
    lungs = empty(len(images), 1, *images.shape[1:], dtype=torch.bool)
    out = lungs.numpy()[:, 0]
    run_in_threads(lambda begin, end: segment_some(images[begin:end], smallest, out[begin:end]), len(images))
    return lungs


@segment.register_fake
def _(gray: Tensor, smallest: float) -> Tensor:
    return gray.new_empty((gray.shape[0], 1, *gray.shape[1:]), dtype=torch.bool)


@custom_op("anatpaste_aug::keep_components", mutates_args=(), device_types="cpu")
def keep_components(mask: Tensor, inside: bool, smallest: float) -> Tensor:
    """Remove small components of B×H×W masks, and with ``inside`` those at the border."""
    from anatpaste_aug.functional._numba.lungs.components import keep_components as keep_some
    from anatpaste_aug.functional._numba.lungs.find_lungs import component_scratch

    framed = torch.nn.functional.pad(mask.view(torch.uint8), (1, 1, 1, 1))
    masks = framed.numpy()

    def keep(begin: int, end: int) -> None:
        scratch = component_scratch(*mask.shape[1:])
        for image in masks[begin:end]:
            keep_some(image, inside, smallest, *scratch)

    run_in_threads(keep, len(masks))
    return framed[:, 1:-1, 1:-1].contiguous().view(torch.bool)


@keep_components.register_fake
def _(mask: Tensor, inside: bool, smallest: float) -> Tensor:
    return torch.empty_like(mask, memory_format=torch.contiguous_format)
