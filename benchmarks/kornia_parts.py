"""AnatPaste made of kornia's parts, in batches: what a kornia user would put together.

kornia is used wherever it has a function; random numbers, the drawing of an ellipse and blending come from this package
or torch. The masks are only similar to the paper's: kornia's CLAHE follows OpenCV, and `connected_components`
propagates labels by at most 100 pixels, so that it splits large components. `connected_components_union_find` is exact,
but waits for the device.
"""

import math
from collections.abc import Callable

import torch
from kornia.color import rgb_to_grayscale
from kornia.contrib import connected_components, connected_components_union_find
from kornia.enhance import (
    adjust_brightness_accumulative,
    adjust_contrast_with_mean_subtraction,
    adjust_hue,
    adjust_saturation,
    equalize_clahe,
)
from kornia.filters import gaussian_blur2d, otsu_threshold
from kornia.geometry.transform import translate
from kornia.morphology import dilation, opening
from torch import Tensor

from anatpaste_aug.paste import ANATPASTE, PasteParams, sample_params

Labeler = Callable[[Tensor], Tensor]
LABELERS: dict[str, Labeler] = {"kornia": connected_components, "kornia_exact": connected_components_union_find}


def segment(images: Tensor, labeler: Labeler) -> Tensor:
    """Run Algorithm 1 of the paper: uint8 B×C×H×W to boolean B×1×H×W."""
    unit = images.float() / 255
    gray = unit if images.shape[1] == 1 else rgb_to_grayscale(unit)
    bright, _ = otsu_threshold(equalize_clahe(gray, 2.56, (8, 8)), return_mask=True)  # 0.01 of a tile, in 256ths
    square = torch.ones(3, 3, device=images.device)
    opened = opening((~bright).float(), square)

    labels = labeler(opened)
    outermost = torch.cat([labels[..., 0, :], labels[..., -1, :], labels[..., 0], labels[..., -1]], -1).flatten()
    drop = torch.zeros(labels.numel() + 1, dtype=torch.bool, device=images.device).index_fill(0, outermost, True)
    drop[:1] = True  # the background
    lungs = dilation((~drop)[labels].float(), square)

    labels = labeler(lungs)
    size = torch.bincount(labels.flatten(), minlength=labels.numel() + 1)
    size[:1] = 0
    height, width = images.shape[-2:]
    return (size >= 400 * height * width / 256**2)[labels]


def paste(images: Tensor, params: PasteParams, lungs: Tensor) -> tuple[Tensor, Tensor]:
    """Compute X_normal · (1 − X_mask) + X_paste · X_mask, and X_mask; images as uint8 B×C×H×W."""
    height, width = images.shape[-2:]
    rows = torch.arange(height, device=images.device).view(-1, 1)
    columns = torch.arange(width, device=images.device)
    p = PasteParams(*(field.unsqueeze(2).unsqueeze(3) for field in params))
    center_y, center_x = p.top + p.height // 2, p.left + p.width // 2

    unit = images.float() / 255
    down, right = rows - p.source_top, columns - p.source_left
    region = (down >= 0) & (down < p.height) & (right >= 0) & (right < p.width)
    shift_y, shift_x = p.top - p.source_top, p.left - p.source_left
    shift = torch.cat([shift_x, shift_y], 1).flatten(1).float()
    pasted = translate(_jitter(unit, params) * region, shift, mode="nearest")

    y, x = (rows - center_y).abs(), (columns - center_x).abs()
    reach_y, reach_x = (p.height // 2 - p.margin).clamp_min(0), (p.width // 2 - p.margin).clamp_min(0)
    ellipse = (y / reach_y.clamp_min(1)) ** 2 + (x / reach_x.clamp_min(1)) ** 2 <= 1
    shape = ((y <= reach_y) & (x <= reach_x) & (ellipse | ~p.ellipse)) * p.opacity
    # One kernel size for all sigmas, independent of their values: 3 times the largest (scipy uses 4).
    side = 2 * round(3 * ANATPASTE.sigma[1] * math.sqrt(height * width) / 256) + 1
    sigma = params.sigma.clamp_min(1e-3).expand(-1, 2)
    mask = gaussian_blur2d(shape, (side, side), sigma, border_type="replicate") * (lungs | p.anywhere)

    blended = torch.lerp(unit, pasted, mask.expand_as(unit))
    return (255 * blended).round().to(torch.uint8), mask


def augment(images: Tensor, labeler: Labeler) -> tuple[Tensor, Tensor]:
    """Run the whole pipeline on a batch."""
    lungs = segment(images, labeler)
    params = sample_params(ANATPASTE, tuple(images.shape), region_mask=lungs, device=images.device)
    return paste(images, params, lungs)


def _jitter(images: Tensor, params: PasteParams) -> Tensor:
    """On the frame, always in one order."""
    images = adjust_brightness_accumulative(images, params.brightness[:, 0])
    images = adjust_contrast_with_mean_subtraction(images, params.contrast[:, 0])
    if images.shape[1] == 1:
        return images
    return adjust_hue(adjust_saturation(images, params.saturation[:, 0]), 2 * torch.pi * params.hue[:, 0])
