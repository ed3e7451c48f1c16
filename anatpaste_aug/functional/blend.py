"""Blend moved patches into the images: by a weighted mean, or by solving Poisson's equation."""

from typing import Literal

import torch
from torch import Tensor

from anatpaste_aug.functional.move import column
from anatpaste_aug.functional.poisson import poisson_blend
from anatpaste_aug.paste.params import PasteParams, rotated_size

Guidance = Literal["source", "stronger", "mixed"]

GUIDANCE: dict[str, Guidance] = {"poisson": "source", "poisson_stronger": "stronger", "poisson_mixed": "mixed"}
"""The guidance of each Poisson blending mode of `PasteConfig`."""

_RING = 3  # pixels at the edge of OpenCV's box where the image keeps its gradients: three erosions by 3×3


def alpha_blend(images: Tensor, pasted: Tensor, mask: Tensor) -> Tensor:
    """Blend as x (1 − m) + y m; equal to x bit for bit where m is 0.

    Args:
        images: B×C×H×W, uint8 or floating point.
        pasted: B×C×H×W on the same scale, float32 or float64.
        mask: float32 B×1×H×W in [0, 1].

    Returns:
        B×C×H×W of the images' dtype; uint8 is rounded.
    """
    given, weight = images.to(pasted.dtype), mask.to(pasted.dtype)
    out = torch.lerp(given, pasted, weight) if given is images else given.lerp_(pasted, weight)  # its own copy
    del given, pasted
    out = out.round_().to(torch.uint8) if images.dtype == torch.uint8 else out.to(images.dtype)
    # x + 0 · y can differ from x: −0 becomes 0, and an infinite y gives NaN.
    return torch.where(mask > 0, out, images)


def solved_box(params: PasteParams, blend: str, *, rotated: bool = True) -> Tensor:
    """Return the box in which Poisson's equation is solved: int64 B×4, top, left, height and width, with its frame.

    It is a pixel larger than the patch on each side, so that the whole patch is solved for. OpenCV's clone excludes the
    patch's outermost pixels instead, and places a patch of odd width one pixel further to the right.
    """
    high, wide = params.scaled_height, params.scaled_width
    if rotated:
        high, wide = rotated_size(high, wide, params.angle)
    grown = 1 if blend != "poisson_mixed" else -1
    box = torch.stack([params.top - grown, params.left - grown, high + 2 * grown, wide + 2 * grown], 1)
    if blend == "poisson_mixed":
        box[:, 1] += params.scaled_width % 2
    return torch.where(params.apply.unsqueeze(1), box, 0)


def box_interior(box: Tensor, height: int, width: int, frame: int = 1) -> Tensor:
    """Mark the pixels of the boxes within the images, without their frames: boolean B×1×H×W."""
    top, left = box[:, 0].clamp_min(0), box[:, 1].clamp_min(0)
    bottom, right = (box[:, 0] + box[:, 2]).clamp_max(height), (box[:, 1] + box[:, 3]).clamp_max(width)
    rows = torch.arange(height, device=box.device).unsqueeze(1)
    columns = torch.arange(width, device=box.device)
    inside = (rows >= column(top) + frame) & (rows < column(bottom) - frame)
    return (inside & (columns >= column(left) + frame) & (columns < column(right) - frame)).unsqueeze(1)


def solve(images: Tensor, pasted: Tensor, box: Tensor, blend: str, opacity: Tensor) -> Tensor:
    """Solve for images with the gradients of the pasted patches in their boxes; values may leave the range.

    Args:
        images: float32 or float64 B×C×H×W.
        pasted: B×C×H×W of the same dtype, moved to its place.
        box: int64 B×4 of `solved_box`.
        blend: A key of `GUIDANCE`.
        opacity: B, the weight α of the pasted gradients for ``"poisson_stronger"``.
    """
    weight = None
    if blend == "poisson_mixed":
        weight = box_interior(box, images.shape[2], images.shape[3], frame=_RING).to(images.dtype)
    alpha = opacity.to(images.dtype) if blend == "poisson_stronger" else None
    return poisson_blend(images, pasted, box, guidance=GUIDANCE[blend], alpha=alpha, weight=weight)
