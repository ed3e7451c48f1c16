"""Cut patches, jitter them, move them to their places, and blend them in, one after the other."""

import torch
from torch import Tensor

from anatpaste_aug.functional import _numba
from anatpaste_aug.functional.blend import alpha_blend, box_interior, solve, solved_box
from anatpaste_aug.functional.checks import check_masks
from anatpaste_aug.functional.intensity import Intensities, as_laid_out, at_least_float32
from anatpaste_aug.functional.jitter import color_jitter
from anatpaste_aug.functional.masks import unite_masks
from anatpaste_aug.functional.move import inside_patch, move, patch_pixels
from anatpaste_aug.functional.shape import half_gaussian, shape_weights
from anatpaste_aug.functional.windows import Choices, Window, extremes, paste_on_windows
from anatpaste_aug.paste.params import PasteParams


def paste(
    images: Tensor,
    params: PasteParams,
    region_mask: Tensor | None = None,
    intensities: Intensities | None = None,
    *,
    sources: Tensor | None = None,
    hard: bool = False,
    beyond: str = "black",
    blend: str = "alpha",
    jittered: bool = True,
    rotated: bool = True,
    resized: bool = True,
) -> tuple[Tensor, Tensor]:
    """Compute X_anomaly = X · (1 − X_mask) + X_paste · X_mask, for one patch after the other.

    Args:
        images: B×1×H×W or B×3×H×W, uint8 or floating point; never modified.
        params: B×K on the images' device.
        region_mask: Boolean B×1×H×W that the masks are multiplied with; None leaves them as they are.
        intensities: How to read the values; None is (0, 255) for uint8 and (0, 1) for floating point.
        sources: N×C×H×W like the images, to cut patches from by ``params.donor``; None cuts each image's patches from
            the image itself.
        hard: Paste the whole patch with hard edges, instead of the drawn shape.
        beyond: How to fill pixels beyond the patch: "black", "source" or "edge"; see `PasteConfig`.
        blend: "alpha", or a key of `anatpaste_aug.functional.blend.GUIDANCE`. A solution of Poisson's equation over the
            patch is blended in through the same mask.
        jittered: False if no patch is jittered, which saves the work.
        rotated: False if no patch is rotated, likewise.
        resized: False if no patch is resized, likewise.

    Returns:
        The augmented images, of the same shape, dtype and memory format, and the soft mask as float32 B×1×H×W,
        1 − Π(1 − X_mask) of several patches. Where it is 0, the images are unchanged bit for bit.

    Raises:
        TypeError: ``region_mask`` is not boolean.

    Example:
        >>> from anatpaste_aug.paste import PasteConfig, sample_params
        >>> images = torch.rand(2, 1, 64, 64)
        >>> pasted, mask = paste(images, sample_params(PasteConfig(), (2, 1, 64, 64)))
        >>> pasted.shape, torch.equal(pasted[mask == 0], images[mask == 0])
        (torch.Size([2, 1, 64, 64]), True)
    """
    if region_mask is not None:
        check_masks(region_mask[:, 0])
    if intensities is None:
        intensities = Intensities(0.0, 255.0) if images.dtype == torch.uint8 else Intensities()
    if blend != "alpha" and beyond == "black":
        beyond = "edge"  # the step to black would be a gradient
    own = sources is None
    choices = Choices(own, hard, beyond, blend, jittered, rotated, resized)
    if sources is None:
        sources = images
        itself = torch.arange(images.shape[0], device=images.device)
        params = params._replace(donor=itself.unsqueeze(1).expand(-1, params.patches))
    # Half precision is rounded once, after the last patch.
    half = params.patches > 1 and images.dtype in (torch.float16, torch.bfloat16)
    fused = _fused(choices) and _numba.supports(images, sources, params.sigma, region_mask)
    out, sources = (images.float(), sources.float()) if half else (images, sources)
    if not fused and images.device.type == "cpu" and not torch.compiler.is_compiling():
        out, soft = paste_on_windows(paste_on_frames, out, sources, params, region_mask, intensities, choices)
    else:
        paste_patch = _paste_fused if fused else _paste_patch
        out, soft = paste_patch(out, sources, params.patch(0), region_mask, intensities, choices)
        for k in range(1, params.patches):
            out, mask = paste_patch(out, sources, params.patch(k), region_mask, intensities, choices)
            soft = unite_masks(soft, mask)
    if half:
        out = torch.where(soft > 0, out.to(images.dtype), images)
    return as_laid_out(out, images), soft


def _paste_patch(
    images: Tensor,
    sources: Tensor,
    params: PasteParams,
    region_mask: Tensor | None,
    intensities: Intensities,
    choices: Choices,
) -> tuple[Tensor, Tensor]:
    # The parameters are not checked here; on CUDA, an index out of bounds would abort the process.
    donor = params.donor.clamp(0, max(len(sources) - 1, 0))
    window = Window(
        images,
        sources if choices.own else sources.index_select(0, donor),
        params,
        region_mask,
        half_gaussian(params.sigma, max(images.shape[-2:])),
        extremes(images, intensities) if choices.blend == "poisson_stronger" else None,
    )
    return paste_on_frames(window, intensities, choices)


def _fused(choices: Choices) -> bool:
    """Return whether the fused kernel supports this: no rotated drawn shapes, no resizing, no Poisson blending."""
    return choices.blend == "alpha" and not choices.resized and (choices.hard or not choices.rotated)


def _paste_fused(
    images: Tensor,
    sources: Tensor,
    params: PasteParams,
    region_mask: Tensor | None,
    intensities: Intensities,
    choices: Choices,
) -> tuple[Tensor, Tensor]:
    pasted: tuple[Tensor, Tensor] = _numba.paste(
        images, sources, list(params), region_mask, choices.hard, choices.beyond, *intensities
    )
    return pasted


def paste_on_frames(window: Window, intensities: Intensities, choices: Choices) -> tuple[Tensor, Tensor]:
    """Paste one patch per image, computing every pixel of the images or windows for any size of patch."""
    images, params = window.images, window.params
    height, width = images.shape[-2:]
    row, column = patch_pixels(params, height, width, rotated=choices.rotated)
    mask = _mask(window, row, column, choices.hard)
    if choices.blend == "alpha":
        # Temporaries have no name, so that they are freed as soon as they have been used.
        return alpha_blend(images, _moved(window, row, column, intensities, choices), mask), mask
    box = solved_box(params, choices.blend, rotated=choices.rotated)
    # Pixels on the box's frame and outside of it do not change.
    mask = mask * box_interior(box, height, width)
    column = column - params.scaled_width.view(-1, 1, 1) % 2 if choices.blend == "poisson_mixed" else column
    pasted = _moved(window, row, column, intensities, choices)
    if images.dtype == torch.uint8:
        # A rounding error could decide which of two gradients is stronger; integers are compared exactly.
        pasted = pasted.round()
    solved = solve(at_least_float32(images), pasted, box, choices.blend, params.opacity)
    unit, weight = intensities.to_unit(solved), mask
    if window.extremes is None:
        unit = unit.clamp(0, 1)
    else:
        unit = unit.clamp(*window.extremes)
        weight = mask / params.opacity.view(-1, 1, 1, 1)  # α is in the gradients
    solved = intensities.from_unit(unit)
    if choices.blend == "poisson_mixed" and images.dtype == torch.uint8:
        # OpenCV truncates. The tolerance keeps integers that rounding errors have left just below.
        solved = (solved + 1e-3).floor()
    return alpha_blend(images, solved, weight), mask


def soft_mask(
    params: PasteParams,
    height: int,
    width: int,
    region_mask: Tensor | None = None,
    *,
    hard: bool = False,
    rotated: bool = True,
) -> Tensor:
    """Compute X_mask of the AnatPaste paper without an image, as `paste` returns it for ``blend="alpha"``.

    Args:
        params: B×K.
        height: Height H of the images.
        width: Width W of the images.
        region_mask: Boolean B×1×H×W that the masks are multiplied with; None leaves them as they are.
        hard: Use the whole patch with hard edges, instead of the drawn shape.
        rotated: False if no patch is rotated, which saves the work.

    Returns:
        float32 B×1×H×W in [0, 1]; 0 for images that are not to be augmented.
    """
    if region_mask is not None:
        check_masks(region_mask[:, 0])
    soft = None
    for k in range(params.patches):
        mask = _soft_mask(params.patch(k), height, width, region_mask, hard, rotated)
        soft = mask if soft is None else unite_masks(soft, mask)
    assert soft is not None
    return soft


def _soft_mask(
    params: PasteParams, height: int, width: int, region_mask: Tensor | None, hard: bool, rotated: bool
) -> Tensor:
    if (hard or not rotated) and _numba.supports(params.sigma, region_mask):
        mask: Tensor = _numba.soft_mask(list(params), height, width, region_mask, hard)
        return mask
    row, column = patch_pixels(params, height, width, rotated=rotated)
    half = half_gaussian(params.sigma, max(height, width))
    return _mask(Window(params.sigma, params.sigma, params, region_mask, half, None), row, column, hard)


def _mask(window: Window, row: Tensor, column: Tensor, hard: bool) -> Tensor:
    mask = shape_weights(window.params, row, column, window.half, hard=hard, core=window.core).unsqueeze(1)
    here = window.params.apply.view(-1, 1, 1, 1)
    if window.region_mask is not None:
        here = (window.region_mask | window.params.anywhere.view(-1, 1, 1, 1)) & here
    return mask * here


def _moved(window: Window, row: Tensor, column: Tensor, intensities: Intensities, choices: Choices) -> Tensor:
    """Move the patches to their places: float32 or float64 on the scale of the images."""
    sources, params, beyond_source = window.sources, window.params, choices.beyond == "source"
    if not choices.jittered and choices.beyond != "black":
        moved = move(sources, params, row, column, beyond_source=beyond_source, resized=choices.resized)
        return at_least_float32(moved)
    moved = move(
        _jittered(sources, params, intensities) if choices.jittered else intensities.to_unit(at_least_float32(sources)),
        params,
        row,
        column,
        beyond_source=beyond_source,
        resized=choices.resized,
    )
    if choices.beyond == "black":
        moved = moved.masked_fill_(~inside_patch(params, row, column).unsqueeze(1), 0.0)
    return intensities.from_unit(moved)


def _jittered(sources: Tensor, params: PasteParams, intensities: Intensities) -> Tensor:
    rows = torch.arange(sources.shape[2], device=sources.device) - params.source_top.unsqueeze(1)
    columns = torch.arange(sources.shape[3], device=sources.device) - params.source_left.unsqueeze(1)
    cut_rows = (rows >= 0) & (rows < params.height.unsqueeze(1))
    cut_columns = (columns >= 0) & (columns < params.width.unsqueeze(1))
    return color_jitter(
        intensities.to_unit(at_least_float32(sources)),
        params.brightness,
        params.contrast,
        params.saturation,
        params.hue,
        params.jitter_order,
        region=(cut_rows.unsqueeze(2) & cut_columns.unsqueeze(1)).unsqueeze(1),
    )
