"""Every random number of one call, drawn before any pixel is touched: one row per image, replayable."""

import math
from dataclasses import dataclass
from numbers import Real
from typing import NamedTuple

import torch
from torch import Tensor

DRAWS = 19
"""Uniform numbers per image, whatever the settings: the stream of a seed depends on the batch size alone."""

LARGEST = 1e6
"""Of lengths and ratios: beyond every image, and far from where float32 and whole numbers end."""


@dataclass(frozen=True, kw_only=True)
class AnatPasteConfig:
    """The distributions of the augmentation (Sato et al., arXiv 2205.04282, with the constants of the authors' code).

    Lengths in pixels are meant at 256×256 and scale with s = sqrt(H·W) / 256.

    Attributes:
        p: Probability that an image is augmented.
        area: Range of the patch's area, as a share of the image; uniform.
        aspect_ratio: Range of the patch's height / width, from 1e-6 to 1e6; log-uniform.
        jitter: Strength of the patch's colour jitter, as torchvision's ``ColorJitter`` takes it for brightness and
            contrast, and for saturation and hue where there are three channels.
        margin: Distance of the soft shape from the patch's edges, in pixels (rounded after scaling); at most 1e6.
        opacity: Range of the soft shape's value; uniform.
        sigma: Range of the Gaussian blur's sigma, in pixels; uniform, at most 1e6.
        blur: False leaves the shape hard (the ablation "without blur": sigma = 0).

    Raises:
        ValueError: A value is impossible; the message names it and what is allowed.
    """

    p: float = 1.0
    area: tuple[float, float] = (0.02, 0.15)
    aspect_ratio: tuple[float, float] = (0.3, 1 / 0.3)
    jitter: float = 0.1
    margin: float = 10.0
    opacity: tuple[float, float] = (0.59, 1.0)
    sigma: tuple[float, float] = (0.0, 15.0)
    blur: bool = True

    def __post_init__(self) -> None:
        _check_number("p", self.p, 0, 1)
        _check_number("jitter", self.jitter, 0, 0.5)
        _check_number("margin", self.margin, 0, LARGEST)
        _check_range("area", self.area, 0, 1, open_low=True)
        _check_range("aspect_ratio", self.aspect_ratio, 1 / LARGEST, LARGEST)
        _check_range("opacity", self.opacity, 0, 1, open_low=True)
        _check_range("sigma", self.sigma, 0, LARGEST)


def as_number(value: object) -> float:
    """The number as a float; NaN for what is none, and infinity for whole numbers that no float reaches."""
    try:
        return float(value) if isinstance(value, Real) else math.nan
    except OverflowError:
        return math.inf


def _check_number(name: str, value: object, lowest: float, highest: float) -> None:
    if not lowest <= as_number(value) <= highest:
        raise ValueError(f"{name} must be a number in [{lowest:g}, {highest:g}], got {value!r}")


def _check_range(name: str, value: object, lowest: float, highest: float, *, open_low: bool = False) -> None:
    # A tuple of types, here and in transforms.sample: torch.compile before 2.10 knows no union of them.
    pair = value if isinstance(value, (tuple, list)) and len(value) == 2 else (None, None)
    low, high = map(as_number, pair)
    above = lowest < low if open_low else lowest <= low
    if not (above and low <= high <= highest):
        within = f"{'(' if open_low else '['}{lowest:g}, {highest:g}]"
        raise ValueError(f"{name} must be (low, high) with low <= high in {within}, got {value!r}")


class AnatPasteParams(NamedTuple):
    """What one call does to each image: B rows on the images' device, lengths in pixels of these images.

    ``augment(images, params=params)`` repeats the call bit for bit.

    Attributes:
        apply: bool B. False leaves the image as it is.
        height, width: int64 B. Size of the patch.
        source_top, source_left: int64 B. Where it is cut.
        center_y, center_x: int64 B. Where its centre is pasted.
        ellipse: bool B. The soft shape: an ellipse, or a rectangle.
        margin: int64 B. Distance of the soft shape from the patch's edges.
        opacity, sigma: float32 B. Value and blur of the soft shape.
        brightness, contrast, saturation: float32 B. Factors of the colour jitter.
        hue: float32 B. Shift of the hue, in turns.
        jitter_order: int64 B×4. The order of brightness (0), contrast (1), saturation (2) and hue (3).
        anywhere: bool B. The centre is uniform over the image and the lung mask is not multiplied in.
        fallback: bool B. ``anywhere`` because no lung pixel was found.
    """

    apply: Tensor
    height: Tensor
    width: Tensor
    source_top: Tensor
    source_left: Tensor
    center_y: Tensor
    center_x: Tensor
    ellipse: Tensor
    margin: Tensor
    opacity: Tensor
    sigma: Tensor
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    jitter_order: Tensor
    anywhere: Tensor
    fallback: Tensor

    def rows(self, index: slice | Tensor) -> "AnatPasteParams":
        """The parameters of some of the images."""
        return AnatPasteParams(*(field[index] for field in self))


def draw_uniforms(
    batch: int, *, device: torch.device | str = "cpu", generator: torch.Generator | None = None
) -> Tensor:
    """The random numbers of a batch, drawn before anything is known about its images.

    Args:
        batch: Number of images.
        device: Where they live; the generator must live there too.
        generator: Source of the random numbers; None uses the device's global one.

    Returns:
        float32 B×19 in [0, 1), one row per image. `sample_params` makes parameters of them once the lungs are known.

    Example:
        >>> draw_uniforms(4).shape
        torch.Size([4, 19])
    """
    # torch.compile takes no generator, not even None, where the batch size is symbolic.
    if generator is None:
        return torch.rand(batch, DRAWS, dtype=torch.float32, device=device)
    return torch.rand(batch, DRAWS, dtype=torch.float32, device=device, generator=generator)


def sample_params(
    config: AnatPasteConfig,
    batch: int,
    height: int,
    width: int,
    *,
    lung_mask: Tensor | None,
    skip_without_lungs: bool = False,
    device: torch.device | str = "cpu",
    generator: torch.Generator | None = None,
    uniforms: Tensor | None = None,
) -> AnatPasteParams:
    """Draw the parameters of a batch.

    Args:
        config: The distributions.
        batch: Number of images.
        height: Their height H in pixels.
        width: Their width W in pixels.
        lung_mask: Boolean B×1×H×W, from which the centres are drawn, or None for centres anywhere in the image.
        skip_without_lungs: Leave an image without lung pixels alone, instead of pasting anywhere in it.
        device: Where the parameters live; the generator must live there too.
        generator: Source of the random numbers; None uses the device's global one.
        uniforms: Random numbers that `draw_uniforms` made earlier on this device, instead of fresh ones.

    Returns:
        One row per image. Nothing waits for the device.

    Raises:
        ValueError: ``lung_mask`` or ``uniforms`` is of another dtype or shape.

    Example:
        >>> params = sample_params(AnatPasteConfig(), 4, 256, 256, lung_mask=None)
        >>> params.height.shape, bool(params.apply.all())
        (torch.Size([4]), True)
    """
    shape = (batch, 1, height, width)
    if lung_mask is not None and (lung_mask.dtype != torch.bool or lung_mask.shape != shape):
        raise ValueError(f"lung_mask must be boolean of shape {shape}, got {lung_mask.dtype} {tuple(lung_mask.shape)}")
    if uniforms is not None and uniforms.shape != (batch, DRAWS):
        raise ValueError(f"uniforms must have shape {(batch, DRAWS)}, got {tuple(uniforms.shape)}; see draw_uniforms")
    scale = math.sqrt(height * width) / 256
    u = draw_uniforms(batch, device=device, generator=generator) if uniforms is None else uniforms.float()
    area = _uniform(u[:, 1], config.area) * (height * width)
    aspect = _uniform(u[:, 2], (math.log(config.aspect_ratio[0]), math.log(config.aspect_ratio[1]))).exp()
    patch_h = (area * aspect).sqrt().round().long().clamp(1, height)
    patch_w = (area / aspect).sqrt().round().long().clamp(1, width)
    anywhere_y, anywhere_x = _index(u[:, 6], height), _index(u[:, 7], width)
    if lung_mask is None:
        fallback = torch.zeros(batch, dtype=torch.bool, device=device)
        center_y, center_x, anywhere = anywhere_y, anywhere_x, ~fallback
    else:
        lung_y, lung_x, found = _random_pixel(u[:, 5], lung_mask[:, 0])
        center_y, center_x = torch.where(found, lung_y, anywhere_y), torch.where(found, lung_x, anywhere_x)
        anywhere = fallback = ~found
    apply = u[:, 0] < config.p
    strength = config.jitter
    return AnatPasteParams(
        apply=apply & ~fallback if skip_without_lungs else apply,
        height=patch_h,
        width=patch_w,
        source_top=_index(u[:, 3], height - patch_h + 1),
        source_left=_index(u[:, 4], width - patch_w + 1),
        center_y=center_y,
        center_x=center_x,
        ellipse=u[:, 8] < 0.5,
        margin=torch.full((batch,), round(config.margin * scale), device=device),
        opacity=_uniform(u[:, 9], config.opacity),
        sigma=_uniform(u[:, 10], config.sigma) * (scale if config.blur else 0.0),
        brightness=_uniform(u[:, 11], (1 - strength, 1 + strength)),
        contrast=_uniform(u[:, 12], (1 - strength, 1 + strength)),
        saturation=_uniform(u[:, 13], (1 - strength, 1 + strength)),
        hue=_uniform(u[:, 14], (-strength, strength)),
        jitter_order=u[:, 15:19].argsort(1),
        anywhere=anywhere,
        fallback=fallback,
    )


def _uniform(u: Tensor, bounds: tuple[float, float]) -> Tensor:
    return bounds[0] + u * (bounds[1] - bounds[0])


def _index(u: Tensor, count: Tensor | int) -> Tensor:
    """A uniform integer in 0…count − 1; where a mask has no pixel, 0."""
    drawn = (u * count).long()  # the count itself where a float64 just below 1 became 1 in float32
    return drawn.clamp_max(count - 1) if isinstance(count, int) else torch.minimum(drawn, count - 1).clamp_min(0)


def _random_pixel(u: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The floor(u · count)-th True pixel of each B×H×W mask in reading order, and whether there is any."""
    from .functional import cpu  # which has to know the parameters above

    if cpu.takes(mask):
        place: tuple[Tensor, Tensor, Tensor] = cpu.random_pixels(u, mask)
        return place
    per_row = mask.view(torch.uint8).sum(2, dtype=torch.int32).cumsum(1)
    count = per_row[:, -1]
    rank = _index(u, count)
    row = (per_row <= rank.unsqueeze(1)).sum(1).clamp_max(mask.shape[1] - 1)
    before = torch.where(row > 0, per_row.gather(1, (row - 1).clamp_min(0).unsqueeze(1))[:, 0], 0)
    line = mask.gather(1, row.view(-1, 1, 1).expand(-1, 1, mask.shape[2]))[:, 0]
    column = (line.cumsum(1) <= (rank - before).unsqueeze(1)).sum(1).clamp_max(mask.shape[2] - 1)
    return row, column, count > 0
