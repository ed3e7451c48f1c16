"""Draw the random numbers of a batch, all at once and before anything is known about its images."""

from typing import NamedTuple

import torch
from torch import Tensor

from anatpaste_aug.paste.config import PasteConfig

FIXED_DRAWS = 21
"""Uniform numbers per image and patch before those of the places: the fields of `Draws` name their uses."""


class Draws(NamedTuple):
    """The random numbers by their use: B×K each, and more dimensions for the last four."""

    apply: Tensor
    donor: Tensor
    scar: Tensor
    angle: Tensor
    scale: Tensor
    region: Tensor
    ellipse: Tensor
    opacity: Tensor
    sigma: Tensor
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    order: Tensor  # 4
    size: Tensor  # 4
    source: Tensor  # 2 × the number of tries: down and to the right
    place: Tensor  # likewise


def tries(config: PasteConfig) -> int:
    """Return how many places are drawn per patch."""
    return config.place_tries if config.place == "foreground" else 1


def draws_shape(config: PasteConfig, batch: int) -> tuple[int, int, int]:
    """Return the shape B×K×D of the uniform numbers that a recipe uses."""
    return batch, config.patches[1], FIXED_DRAWS + 4 * tries(config)


def draw_uniforms(
    config: PasteConfig,
    batch: int,
    *,
    device: torch.device | str = "cpu",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw the random numbers of a batch, before anything is known about its images.

    Args:
        config: The recipe; its numbers of patches and of places to try determine how many numbers are needed.
        batch: Number of images B.
        device: The device of the numbers and of the generator.
        generator: Source of the random numbers; None uses the device's global one.

    Returns:
        float32 B×K×D in [0, 1), D numbers for each patch, for `sample_params` once the regions are known.

    Example:
        >>> draw_uniforms(PasteConfig(), 4).shape
        torch.Size([4, 1, 25])
    """
    shape = draws_shape(config, batch)
    # torch.compile rejects the argument generator, even None, if the batch size is symbolic.
    if generator is None:
        return torch.rand(shape, dtype=torch.float32, device=device)
    return torch.rand(shape, dtype=torch.float32, device=device, generator=generator)


def named(u: Tensor) -> Draws:
    """Split B×K×D random numbers by their use."""
    apply, donor, scar, angle, scale, region, ellipse, opacity, sigma, brightness, contrast, saturation, hue = u[
        ..., :13
    ].unbind(2)
    places = u[..., FIXED_DRAWS:].unflatten(2, (2, 2, -1))
    return Draws(
        apply=apply,
        donor=donor,
        scar=scar,
        angle=angle,
        scale=scale,
        region=region,
        ellipse=ellipse,
        opacity=opacity,
        sigma=sigma,
        brightness=brightness,
        contrast=contrast,
        saturation=saturation,
        hue=hue,
        order=u[..., 13:17],
        size=u[..., 17:FIXED_DRAWS],
        source=places[:, :, 0],
        place=places[:, :, 1],
    )
