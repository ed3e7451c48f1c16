"""The steps of one call, according to a config: find regions and foregrounds, sample the parameters, paste."""

import torch
from torch import Tensor

from anatpaste_aug.functional import Intensities, foreground_mask, intensity_target, paste, patches_foreground
from anatpaste_aug.functional.intensity import at_least_float32
from anatpaste_aug.paste import PasteConfig, PasteParams, PasteResult, sample_params
from anatpaste_aug.segmentation import Segmenter, segment_with
from anatpaste_aug.validation import check_region_mask


def find_region(
    config: PasteConfig,
    segmenter: Segmenter | None,
    images: Tensor,
    region_mask: Tensor | None,
    intensities: Intensities,
) -> tuple[Tensor | None, Tensor | None]:
    """Return the region of the images, and whether their segmentation has converged (None if not segmented)."""
    if not config.needs_region:
        return None, None
    if region_mask is not None:
        return check_region_mask(region_mask, images), None
    assert segmenter is not None
    with torch.no_grad():
        inputs = images if intensities.mean is None else intensities.to_unit(at_least_float32(images))
        return segment_with(segmenter, inputs)


def find_foregrounds(
    config: PasteConfig, images: Tensor, sources: Tensor | None, intensities: Intensities
) -> tuple[Tensor, Tensor] | None:
    """Return the foreground of the images, and of those that patches are cut from; None if it is not used."""
    if not config.needs_foreground:
        return None
    own = foreground_mask(images.detach(), config.foreground, intensities)
    if sources is None or sources is images:
        return own, own
    return own, foreground_mask(sources.detach(), config.foreground, intensities)


def sample(
    config: PasteConfig,
    images: Tensor,
    region: Tensor | None,
    converged: Tensor | None,
    sources: Tensor | None,
    foregrounds: tuple[Tensor, Tensor] | None,
    uniforms: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> PasteParams:
    """Sample the parameters for these images, from what the other steps found."""
    foreground, of_sources = foregrounds or (None, None)
    params = sample_params(
        config,
        tuple(images.shape),
        region_mask=region,
        foreground=foreground,
        donor_foreground=of_sources,
        donors=None if sources is None else sources.shape[0],
        device=images.device,
        uniforms=uniforms,
        generator=generator,
    )
    # An image whose segmentation did not converge has an empty region. Don't treat it as one without lungs.
    return params if converged is None else params._replace(apply=params.apply & converged.unsqueeze(1))


def paste_patches(
    config: PasteConfig,
    images: Tensor,
    sources: Tensor | None,
    region: Tensor | None,
    foregrounds: tuple[Tensor, Tensor] | None,
    params: PasteParams,
    intensities: Intensities,
) -> PasteResult:
    """Paste the patches, and compute the target of a pixel loss."""
    resized, rotated = config.resize is not None, config.rotates
    image, soft = paste(
        images,
        params,
        region,
        intensities,
        sources=sources,
        hard=config.shape == "patch",
        beyond=config.beyond,
        blend=config.blend,
        jittered=config.jitter > 0,
        resized=resized,
        rotated=rotated,
    )
    target = soft
    if config.target == "intensity" and foregrounds is not None:
        within = patches_foreground(params, *foregrounds, resized=resized, rotated=rotated)
        slope, midpoint = config.logistic
        target = intensity_target(images, image, within, slope=slope, midpoint=midpoint, intensities=intensities)
    return PasteResult(image, soft, target, region, params)
