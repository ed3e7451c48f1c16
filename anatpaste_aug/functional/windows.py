"""Paste on the CPU without the kernels: a few images at a time, on windows around the pixels that change."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from anatpaste_aug.functional import _numba
from anatpaste_aug.functional.intensity import Intensities, at_least_float32
from anatpaste_aug.functional.masks import unite_masks
from anatpaste_aug.functional.shape import blur_radius, half_gaussian, reach
from anatpaste_aug.paste.params import PasteParams, rotated_size

_GROUP = 16  # images per call: more amortize the overhead of a call, fewer stay in the caches


class Choices(NamedTuple):
    """The settings that all patches of a call share; see `paste`. ``own``: patches are cut from the image itself."""

    own: bool = True
    hard: bool = False
    beyond: str = "black"
    blend: str = "alpha"
    jittered: bool = True
    rotated: bool = True
    resized: bool = True


class Window(NamedTuple):
    """The inputs of pasting one patch per image: whole images, or windows of them.

    Attributes:
        images: B×C×H×W, to paste into.
        sources: B×C×Hs×Ws, to cut patches from.
        params: B rows, in the coordinates of these images and sources.
        region_mask: Boolean B×1×H×W, or None.
        half: B×L, the Gaussians of `half_gaussian`, L at least H and W; None where no shape is blurred.
        extremes: The lowest and highest value of each whole image in [0, 1], or None where no blend needs them.
        core: Rows and columns that contain the drawn shape before its blur; None is all.
    """

    images: Tensor
    sources: Tensor
    params: PasteParams
    region_mask: Tensor | None
    half: Tensor | None
    extremes: tuple[Tensor, Tensor] | None
    core: tuple[slice, slice] | None = None


def paste_on_windows(
    work: Callable[[Window, Intensities, Choices], tuple[Tensor, Tensor]],
    images: Tensor,
    sources: Tensor,
    params: PasteParams,
    region_mask: Tensor | None,
    intensities: Intensities,
    choices: Choices,
) -> tuple[Tensor, Tensor]:
    """Paste one patch after the other into copies of the images: call ``work`` on small windows of a few images.

    The images of a group have windows of about the same size, so that the largest one fits all of them.
    """
    height, width = images.shape[-2:]
    out = images.clone()
    mask = images.new_zeros((len(images), 1, height, width), dtype=torch.float32)
    for k in range(params.patches):
        patch = params.patch(k)
        _numba.check(list(patch), sources)
        reached = torch.stack(_reached(patch, height, width, choices), 1)
        sides = (reached[:, 1::2] - reached[:, ::2]).clamp_min(0)
        area = sides.prod(1) * patch.apply  # 0 where the patch is entirely outside the image
        order = area.argsort(descending=True)[: int((area > 0).sum())]
        for rows in order.split(_GROUP) if len(order) else ():
            window, corners = _window(rows, reached, out, sources, patch, region_mask, intensities, choices)
            pasted, soft = work(window, intensities, choices)
            for j, (i, (top, left)) in enumerate(zip(rows.tolist(), corners, strict=True)):
                here = (i, slice(None), slice(top, top + soft.shape[2]), slice(left, left + soft.shape[3]))
                out[here], mask[here] = pasted[j], unite_masks(mask[here], soft[j])
    return out, mask


def _window(
    rows: Tensor,
    reached: Tensor,
    images: Tensor,
    sources: Tensor,
    params: PasteParams,
    region_mask: Tensor | None,
    intensities: Intensities,
    choices: Choices,
) -> tuple[Window, list[list[int]]]:
    """Make the windows of the images of these rows; also return the upper left corner of each."""
    height, width = images.shape[-2:]
    params = PasteParams(*(field.index_select(0, rows) for field in params))
    top, bottom, left, right = reached.index_select(0, rows).unbind(1)
    corner_y, size_y = _common(top, bottom, height)
    corner_x, size_x = _common(left, right, width)
    # Cut the patch; if pixels beyond it may be needed as well, take the whole source.
    source_y, source_h = params.source_top, params.height
    source_x, source_w = params.source_left, params.width
    if choices.beyond == "source" and (choices.resized or choices.rotated):
        source_y, source_h = torch.zeros_like(source_y), torch.full_like(source_h, sources.shape[2])
        source_x, source_w = torch.zeros_like(source_x), torch.full_like(source_w, sources.shape[3])
    elif choices.beyond == "source":
        source_y, source_h = _span(
            source_y, source_h, corner_y - params.top, corner_y + size_y - params.top, sources.shape[2]
        )
        source_x, source_w = _span(
            source_x, source_w, corner_x - 1 - params.left, corner_x + size_x - params.left, sources.shape[3]
        )
    cut_y, cut_h = _common(source_y, source_y + source_h, sources.shape[2])
    cut_x, cut_w = _common(source_x, source_x + source_w, sources.shape[3])
    own, corners = rows.tolist(), torch.stack([corner_y, corner_x], 1).tolist()
    cuts = torch.stack([cut_y, cut_x], 1).tolist()
    params = params._replace(
        top=params.top - corner_y,
        left=params.left - corner_x,
        source_top=params.source_top - cut_y,
        source_left=params.source_left - cut_x,
    )
    window = Window(
        _crops(images, own, corners, size_y, size_x),
        _crops(sources, params.donor.tolist(), cuts, cut_h, cut_w),
        params,
        None if region_mask is None else _crops(region_mask, own, corners, size_y, size_x),
        half_gaussian(params.sigma, max(height, width)) if bool((params.sigma > 0).any()) else None,
        extremes(images.index_select(0, rows), intensities) if choices.blend == "poisson_stronger" else None,
        None if choices.rotated else _core(params, size_y, size_x),
    )
    return window, corners


def _common(first: Tensor, last: Tensor, limit: int) -> tuple[Tensor, int]:
    """Extend spans to the length of the longest, within the limit; return their starts and that length."""
    size = int((last - first).max())
    return first.clamp_max(limit - size), size


def _crops(images: Tensor, rows: list[int], corners: list[list[int]], height: int, width: int) -> Tensor:
    crops = images.new_empty((len(rows), images.shape[1], height, width))
    for j, (i, (top, left)) in enumerate(zip(rows, corners, strict=True)):
        crops[j] = images[i, :, top : top + height, left : left + width]
    return crops


def _reached(params: PasteParams, height: int, width: int, choices: Choices) -> list[Tensor]:
    """Bound the pixels that a patch can change, and the frame of a solved box: top, bottom, left and right."""
    high, wide = params.scaled_height, params.scaled_width
    if choices.rotated:
        high, wide = rotated_size(high, wide, params.angle)
    top, left = params.top, params.left
    if choices.blend != "alpha":
        # The frame, and 2 more pixels for a drawn shape: a blur repeats the outermost pixels of the window.
        edge = 1 if choices.hard else 3
        top, left, bottom, right = top - edge, left - edge, top + high + edge, left + wide + edge
    elif choices.hard:
        bottom, right = top + high, left + wide
    else:
        radius = blur_radius(params.sigma, max(height, width))
        if choices.rotated:
            # No rotated shape reaches farther from the center than its bounding box.
            far_y, far_x = high // 2 + 1, wide // 2 + 1
        else:
            far_y, far_x = reach(params)
        center_y, center_x = top + high // 2, left + wide // 2
        top, bottom = center_y - far_y - radius, center_y + far_y + radius + 1
        left, right = center_x - far_x - radius, center_x + far_x + radius + 1
    return [top.clamp_min(0), bottom.clamp_max(height), left.clamp_min(0), right.clamp_max(width)]


def _core(params: PasteParams, height: int, width: int) -> tuple[slice, slice]:
    """Bound the shapes in the windows, from their centers and how far they extend: rows and columns."""
    sides = []
    for center, far, side in zip(
        (params.top + params.scaled_height // 2, params.left + params.scaled_width // 2),
        reach(params),
        (height, width),
        strict=True,
    ):
        first, last = int((center - far).min()), int((center + far).max()) + 1
        sides.append(slice(max(first, 0), max(min(last, side), 0)))
    return sides[0], sides[1]


def _span(start: Tensor, size: Tensor, first: Tensor, last: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """Extend the cut to the part of the source that the window covers; return start and length."""
    begin, end = (start + first.clamp_max(0)).clamp_min(0), (start + torch.maximum(last, size)).clamp_max(limit)
    return begin, end - begin


def extremes(images: Tensor, intensities: Intensities) -> tuple[Tensor, Tensor]:
    """Return the lowest and highest value of each image in [0, 1], B×1×1×1 each."""
    unit = intensities.to_unit(at_least_float32(images))
    return unit.amin((1, 2, 3), keepdim=True), unit.amax((1, 2, 3), keepdim=True)
