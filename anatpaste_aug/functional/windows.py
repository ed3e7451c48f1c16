"""Pasting on the CPU without the kernels: each image alone, and no pixel besides those that a patch can change."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..paste.params import PasteParams, rotated_size
from ._numba.threads import share
from .intensity import Intensities, at_least_float32
from .shape import blur_radius, half_gaussian, reach


class Choices(NamedTuple):
    """What holds for all patches of a call; see `paste`. ``own``: every image is cut from itself."""

    own: bool = True
    hard: bool = False
    beyond: str = "black"
    blend: str = "alpha"
    jittered: bool = True
    rotated: bool = True
    resized: bool = True


class Window(NamedTuple):
    """What one patch per image is pasted into: whole images, or a window of one image.

    Attributes:
        images: B×C×H×W, which is pasted into.
        sources: B×C×Hs×Ws, which is cut from.
        params: B rows, in the coordinates of these images and sources.
        region_mask: Boolean B×1×H×W, or None.
        half: B×L, the Gaussians of `half_gaussian`, L at least H and W; None where no shape is blurred.
        extremes: The lowest and highest value of each whole image in [0, 1], or None where no blend needs them.
        core: Rows and columns that hold the drawn shape before its blur; None is all.
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
    """Call ``work`` on the smallest window of each image, and put its results into copies of the images."""
    height, width = images.shape[-2:]
    out = images.clone()
    mask = images.new_zeros((len(images), 1, height, width), dtype=torch.float32)
    half = half_gaussian(params.sigma, max(height, width)).split(1)
    windows = torch.stack(_reached(params, height, width, choices), 1).tolist()
    cuts = torch.stack([params.donor, params.source_top, params.source_left, params.height, params.width], 1).tolist()
    places = torch.stack([params.top, params.left], 1).tolist()
    far = torch.stack(
        [params.top + params.scaled_height // 2, params.left + params.scaled_width // 2, *reach(params)], 1
    )
    shapes = far.tolist()
    rows = [PasteParams(*fields) for fields in zip(*(field.split(1) for field in params), strict=True)]
    applied = params.apply.nonzero()[:, 0].tolist()

    def paste_one(i: int) -> None:
        top, bottom, left, right = windows[i]
        if top >= bottom or left >= right:
            return  # wholly beyond an edge
        donor, source_top, source_left, high, wide = cuts[i]
        # The cut, and where more of the source can be asked for, all of it.
        y, x, source = source_top, source_left, sources[donor : donor + 1]
        if choices.beyond != "source":
            source = source[:, :, y : y + high, x : x + wide]
        elif not choices.resized and not choices.rotated:
            y, y_end = _span(y, high, top - places[i][0], bottom - places[i][0], source.shape[2])
            x, x_end = _span(x, wide, left - 1 - places[i][1], right - places[i][1], source.shape[3])
            source = source[:, :, y:y_end, x:x_end]
        else:
            y = x = 0
        row = rows[i]
        row = row._replace(
            top=row.top - top, left=row.left - left, source_top=row.source_top - y, source_left=row.source_left - x
        )
        here = (slice(i, i + 1), slice(None), slice(top, bottom), slice(left, right))
        window = Window(
            images[here],
            source,
            row,
            None if region_mask is None else region_mask[here],
            half[i] if row.sigma > 0 else None,
            extremes(images[i : i + 1], intensities) if choices.blend == "poisson_stronger" else None,
            None if choices.rotated else _core(shapes[i], windows[i]),
        )
        out[here], mask[here] = work(window, intensities, choices)

    if torch.is_grad_enabled() and (images.requires_grad or sources.requires_grad or params.sigma.requires_grad):
        for i in applied:
            paste_one(i)
        return out, mask

    def paste_some(begin: int, end: int) -> None:
        with torch.no_grad():  # which is a setting of each thread
            for i in applied[begin:end]:
                paste_one(i)

    share(paste_some, len(applied))
    return out, mask


def _reached(params: PasteParams, height: int, width: int, choices: Choices) -> list[Tensor]:
    """Top, bottom, left and right of all pixels that a patch can change, and of the frame of a solved box."""
    high, wide = params.scaled_height, params.scaled_width
    if choices.rotated:
        high, wide = rotated_size(high, wide, params.angle)
    top, left = params.top, params.left
    if choices.blend != "alpha":
        top, left, bottom, right = top - 1, left - 1, top + high + 1, left + wide + 1
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


def _core(shape: list[int], window: list[int]) -> tuple[slice, slice]:
    """The rows and columns of a window that hold a shape: its center, and how far it reaches from there."""
    center_y, center_x, reach_y, reach_x = shape
    top, bottom, left, right = window
    rows = slice(max(center_y - reach_y, top) - top, max(min(center_y + reach_y + 1, bottom) - top, 0))
    return rows, slice(max(center_x - reach_x, left) - left, max(min(center_x + reach_x + 1, right) - left, 0))


def _span(start: int, size: int, first: int, last: int, limit: int) -> tuple[int, int]:
    """The part of the source that holds the cut, and what surrounds it as far as the window does."""
    return max(start + min(first, 0), 0), min(start + max(last, size), limit)


def extremes(images: Tensor, intensities: Intensities) -> tuple[Tensor, Tensor]:
    """The lowest and highest value of each image in [0, 1], B×1×1×1 each."""
    unit = intensities.to_unit(at_least_float32(images))
    return unit.amin((1, 2, 3), keepdim=True), unit.amax((1, 2, 3), keepdim=True)
