"""Sample the parameters of a batch: convert its random numbers to parameters."""

import math

import torch
from torch import Tensor

from anatpaste_aug.paste.config import PasteConfig
from anatpaste_aug.paste.draws import Draws, draw_uniforms, draws_shape, named
from anatpaste_aug.paste.params import PasteParams, rotated_size
from anatpaste_aug.paste.pixels import random_pixel
from anatpaste_aug.paste.places import cut_around_a_center, index, place, place_on_foreground, uniform
from anatpaste_aug.precision import to_float64


def sample_params(
    config: PasteConfig,
    shape: tuple[int, ...],
    *,
    region_mask: Tensor | None = None,
    foreground: Tensor | None = None,
    donor_foreground: Tensor | None = None,
    donors: int | None = None,
    device: torch.device | str = "cpu",
    generator: torch.Generator | None = None,
    uniforms: Tensor | None = None,
) -> PasteParams:
    """Sample the parameters of a batch.

    Args:
        config: The distributions.
        shape: Shape B×C×H×W of the images.
        region_mask: Boolean B×1×H×W; None places patches anywhere in the image.
        foreground: Boolean B×1×H×W of the images, for ``place="foreground"``; None treats every pixel as foreground.
        donor_foreground: Boolean N×1×H×W of the images that patches are cut from; likewise.
        donors: Number N of the images that patches are cut from, for ``source="donors"``.
        device: The device of the parameters and of the generator.
        generator: Source of the random numbers; None uses the device's global one.
        uniforms: Random numbers from `draw_uniforms` on this device; None draws them.

    Returns:
        The parameters, B×K each. Nothing waits for the device.

    Raises:
        ValueError: A mask or ``uniforms`` has the wrong dtype or shape; ``source="batch"`` with one image;
            ``source="donors"`` without ``donors``.

    Example:
        >>> params = sample_params(PasteConfig(), (4, 1, 256, 256))
        >>> params.height.shape, bool(params.apply.all())
        (torch.Size([4, 1]), True)
    """
    batch, height, width = shape[0], shape[-2], shape[-1]
    expected = (batch, 1, height, width)
    if region_mask is not None and (region_mask.dtype != torch.bool or region_mask.shape != expected):
        raise ValueError(
            f"region_mask must be boolean of shape {expected}, got {region_mask.dtype} {tuple(region_mask.shape)}"
        )
    if uniforms is not None and uniforms.shape != draws_shape(config, batch):
        raise ValueError(
            f"uniforms must have shape {draws_shape(config, batch)}, got {tuple(uniforms.shape)}; see draw_uniforms"
        )
    if uniforms is None:
        uniforms = draw_uniforms(config, batch, device=device, generator=generator)
    u = named(uniforms.float())
    k = config.patches[1]
    scale = math.sqrt(height * width) / 256

    donor = _donor(config, u.donor[:, 0], batch, donors).unsqueeze(1).expand(batch, k)
    patch_h, patch_w, angle = _size(config, u, height, width)
    donor_own = None if donor_foreground is None else donor_foreground[donor[:, 0], 0]
    apply = (u.apply[:, :1] < config.p).expand(batch, k)
    if config.size in ("half_width", "gamma") and config.cut == "anywhere":
        source_top, source_left, patch_h, patch_w, fits = cut_around_a_center(
            config, u.source, patch_h, patch_w, height, width, donor_own
        )
        apply = apply & fits
    else:
        source_top = index(u.source[:, :, 0, 0], height - patch_h + 1)
        source_left = index(u.source[:, :, 1, 0], width - patch_w + 1)
    scaled_h, scaled_w = _resized(config, u.scale, patch_h, patch_w, height, width)
    box_h, box_w = rotated_size(scaled_h, scaled_w, angle) if config.rotates else (scaled_h, scaled_w)

    region, fallback = None, None
    if region_mask is not None and config.place == "region":
        region = random_pixel(u.region, region_mask[:, 0])
        fallback = ~region[2].expand(batch, k)
    elif region_mask is not None:
        fallback = ~region_mask.flatten(1).any(1, keepdim=True).expand(batch, k)
    top, left = place(config, u.place, box_h, box_w, height, width, region)
    if config.place == "foreground" and foreground is not None and donor_own is not None:
        cut = (source_top, source_left, patch_h, patch_w, scaled_h, scaled_w)
        top, left, fits = place_on_foreground(config, foreground[:, 0], donor_own, cut, top, left)
        apply = apply & fits
    else:
        top, left = top[..., 0], left[..., 0]
    if config.cut == "same":
        # A patch can't be cut beyond the image.
        bottom, right = (top + patch_h).clamp_max(height), (left + patch_w).clamp_max(width)
        top, left = top.clamp_min(0), left.clamp_min(0)
        patch_h = scaled_h = (bottom - top).clamp_min(1)
        patch_w = scaled_w = (right - left).clamp_min(1)
        source_top, source_left = top, left

    if k > config.patches[0]:
        certain = torch.arange(k, device=uniforms.device) < config.patches[0]
        apply = apply & (certain | (u.apply < 0.5))
    if config.min_pixels:
        apply = apply & ((box_h - 2) * (box_w - 2) >= config.min_pixels)
    if fallback is None:
        fallback = torch.zeros(batch, k, dtype=torch.bool, device=uniforms.device)
    if config.skip_without_region:
        apply = apply & ~fallback
    free = torch.ones_like(fallback) if region_mask is None or not config.anatomy else fallback
    shape_is = {"ellipse": 1.0, "ellipse_or_rectangle": 0.5}.get(config.shape, 0.0)
    strength = config.jitter
    return PasteParams(
        apply=apply,
        donor=donor,
        source_top=source_top,
        source_left=source_left,
        height=patch_h,
        width=patch_w,
        scaled_height=scaled_h,
        scaled_width=scaled_w,
        angle=angle,
        top=top,
        left=left,
        ellipse=u.ellipse < shape_is,
        margin=torch.full((batch, k), round(config.margin * scale), device=uniforms.device),
        opacity=uniform(u.opacity, config.opacity),
        sigma=uniform(u.sigma, config.sigma) * (scale if config.blur else 0.0),
        brightness=uniform(u.brightness, (1 - strength, 1 + strength)),
        contrast=uniform(u.contrast, (1 - strength, 1 + strength)),
        saturation=uniform(u.saturation, (1 - strength, 1 + strength)),
        hue=uniform(u.hue, (-strength, strength)),
        jitter_order=u.order.argsort(2),
        anywhere=free,
        fallback=fallback,
    )


def _donor(config: PasteConfig, u: Tensor, batch: int, donors: int | None) -> Tensor:
    """Choose the image that each image's patches are cut from: int64 B."""
    own = torch.arange(batch, device=u.device)
    if config.source == "same":
        return own
    if config.source == "donors":
        if donors is None:
            raise ValueError('source="donors" needs donors=, a tensor N×C×H×W or a callable that returns one')
        return index(u, donors)
    if batch == 1:
        raise ValueError(
            'source="batch" takes patches from another image of the batch, but there is only one; pass larger batches, '
            'or source="donors" and donors=, a tensor N×C×H×W or a callable that returns one'
        )
    return (own + 1 + index(u, batch - 1)) % max(batch, 1)


def _size(config: PasteConfig, u: Draws, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return height and width of the patches before they are resized, and their angle."""
    scale = math.sqrt(height * width) / 256
    first, second, third, fourth = u.size.unbind(2)
    if config.size == "half_width":
        half = _whole(first, config.half_width, height)
        return 2 * half, 2 * half, torch.zeros_like(u.angle)
    if config.size == "gamma":
        low, high = config.half_width
        sides = []
        for side, one, two in ((height, first, second), (width, third, fourth)):
            offset, spread = config.gamma
            # A gamma distribution of shape 2 is the sum of two exponentials.
            half = (offset - spread * (_above_0(one).log() + _above_0(two).log())) * side
            sides.append(2 * half.clamp(max(round(low * side), 1), max(round(high * side), 1)).long())
        return sides[0], sides[1], torch.zeros_like(u.angle)
    area = uniform(first, config.area) * (height * width)
    aspect = uniform(second, (math.log(config.aspect_ratio[0]), math.log(config.aspect_ratio[1]))).exp()
    patch_h, patch_w, angle = (area * aspect).sqrt(), (area / aspect).sqrt(), torch.zeros_like(u.angle)
    if config.size != "area":
        scar = u.scar < (1.0 if config.size == "scar" else 0.5)
        patch_h = torch.where(scar, uniform(first, config.scar_length) * scale, patch_h)
        patch_w = torch.where(scar, uniform(second, config.scar_width) * scale, patch_w)
        angle = torch.where(scar, uniform(u.angle, config.rotation), angle)
    return patch_h.round().long().clamp(1, height), patch_w.round().long().clamp(1, width), angle


def _above_0(u: Tensor) -> Tensor:
    """Replace 0 in uniform numbers by a smaller number than any other, because log(0) is infinite."""
    return u.clamp_min(2**-25)


def _whole(u: Tensor, bounds: tuple[float, float], side: int) -> Tensor:
    """Draw integers from the rounded lower bound up to the rounded upper bound, exclusive, as ``randint`` does."""
    low = max(round(bounds[0] * side), 1)
    return low + index(u, max(round(bounds[1] * side) - low, 1))


def _resized(
    config: PasteConfig, u: Tensor, patch_h: Tensor, patch_w: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """Return the size after resizing. The aspect ratio is kept, except for rounding and the limits."""
    if config.resize is None:
        return patch_h, patch_w
    mean, sd, low, high = config.resize
    factor = (mean + sd * torch.special.ndtri(_above_0(u))).clamp(low, high)
    low_h, high_h, low_w, high_w = 1, height, 1, width
    if config.size in ("half_width", "gamma"):
        low_h, high_h = (max(round(bound * height), 1) for bound in config.half_width)
        low_w, high_w = (max(round(bound * width), 1) for bound in config.half_width)
    # In float64: float32 could fall just below an integer, and be truncated to the one below.
    factor, exact_h, exact_w = to_float64(factor), to_float64(patch_h), to_float64(patch_w)
    new_h = (factor * exact_h).clamp(low_h, high_h)
    new_w = (new_h / exact_h * exact_w).floor().clamp(low_w, high_w)
    new_h = (new_w / exact_w * exact_h).floor().clamp(low_h, high_h)
    return new_h.long().to(patch_h.device), new_w.long().to(patch_w.device)
