"""Every random number of one CutPaste call, drawn before any pixel is touched: one row per image, replayable."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from .params import LARGEST, _check_number, _check_range, _index, _uniform
from .precision import to_float64

Variant = Literal["normal", "scar", "union"]

_SCARS: dict[str, float] = {"normal": 0.0, "scar": 1.0, "union": 0.5}  # their share among the pasted patches
_DRAWS = 19  # uniform numbers per image, whatever the settings: the stream of a seed depends on the batch size alone


@dataclass(frozen=True, kw_only=True)
class CutPasteConfig:
    """The distributions of CutPaste (Li et al., arXiv 2104.04015), with the constants of that paper.

    Lengths in pixels are meant at 256×256 and scale with s = sqrt(H·W) / 256.

    Attributes:
        variant: ``"normal"`` pastes a large rectangle, ``"scar"`` a long, thin, rotated one, ``"union"`` one of both,
            drawn per image with even odds.
        p: Probability that an image is augmented.
        area: Range of the rectangle's area, as a share of the image; uniform.
        aspect_ratio: Range of the rectangle's height / width; log-uniform, so that tall and wide ones are equally
            likely: (0.3, 1) ∪ (1, 3.3) of the paper. From 1e-6 to 1e6.
        scar_width: Range of a scar's width before its rotation, in pixels; uniform, rounded after scaling; at most 1e6.
        scar_length: Range of a scar's length before its rotation, in pixels; likewise.
        rotation: Range of a scar's angle in degrees, counter-clockwise; uniform. The length is upright at 0.
        jitter: Strength of the colour jitter, as torchvision's ``ColorJitter`` takes it for brightness and contrast,
            and for saturation and hue where there are three channels.

    Raises:
        ValueError: A value is impossible; the message names it and what is allowed.
    """

    variant: Variant = "normal"
    p: float = 1.0
    area: tuple[float, float] = (0.02, 0.15)
    aspect_ratio: tuple[float, float] = (0.3, 1 / 0.3)
    scar_width: tuple[float, float] = (2.0, 16.0)
    scar_length: tuple[float, float] = (10.0, 25.0)
    rotation: tuple[float, float] = (-45.0, 45.0)
    jitter: float = 0.1

    def __post_init__(self) -> None:
        if not isinstance(self.variant, str) or self.variant not in _SCARS:
            raise ValueError(
                f"variant must be one of {', '.join(map(repr, _SCARS))}, got {self.variant!r}; 3-way classification "
                "takes two transforms, one 'normal' and one 'scar': see OneClassPairs and one_class_batch"
            )
        _check_number("p", self.p, 0, 1)
        _check_number("jitter", self.jitter, 0, 0.5)
        _check_range("area", self.area, 0, 1, open_low=True)
        _check_range("aspect_ratio", self.aspect_ratio, 1 / LARGEST, LARGEST)
        _check_range("scar_width", self.scar_width, 0, LARGEST, open_low=True)
        _check_range("scar_length", self.scar_length, 0, LARGEST, open_low=True)
        _check_range("rotation", self.rotation, -180, 180)


class CutPasteParams(NamedTuple):
    """What one call does to each image: B rows on the images' device, lengths in pixels of these images.

    ``augment(images, params=params)`` repeats the call bit for bit.

    Attributes:
        apply: bool B. False leaves the image as it is.
        scar: bool B. A scar, or a large rectangle.
        height, width: int64 B. Size of the patch before its rotation.
        angle: float32 B. Its rotation in degrees, counter-clockwise; 0 for large rectangles.
        source_top, source_left: int64 B. Where it is cut.
        target_top, target_left: int64 B. Where the bounding box of the rotated patch begins.
        brightness, contrast, saturation: float32 B. Factors of the colour jitter.
        hue: float32 B. Shift of the hue, in turns.
        jitter_order: int64 B×4. The order of brightness (0), contrast (1), saturation (2) and hue (3).
    """

    apply: Tensor
    scar: Tensor
    height: Tensor
    width: Tensor
    angle: Tensor
    source_top: Tensor
    source_left: Tensor
    target_top: Tensor
    target_left: Tensor
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    jitter_order: Tensor

    def rows(self, index: slice | Tensor) -> "CutPasteParams":
        """The parameters of some of the images."""
        return CutPasteParams(*(field[index] for field in self))


def sample_cutpaste_params(
    config: CutPasteConfig,
    batch: int,
    height: int,
    width: int,
    *,
    device: torch.device | str = "cpu",
    generator: torch.Generator | None = None,
) -> CutPasteParams:
    """Draw the parameters of a batch.

    Args:
        config: The distributions.
        batch: Number of images.
        height: Their height H in pixels.
        width: Their width W in pixels.
        device: Where the parameters live; the generator must live there too.
        generator: Source of the random numbers; None uses the device's global one.

    Returns:
        One row per image. Both places are uniform over all where the patch fits into the image; one that fits nowhere
        after its rotation is centred, and cut off at the image's edges. Nothing waits for the device.

    Example:
        >>> params = sample_cutpaste_params(CutPasteConfig(variant="scar"), 4, 256, 256)
        >>> params.height.shape, bool((params.height <= 25).all())
        (torch.Size([4]), True)
    """
    scale = math.sqrt(height * width) / 256
    # torch.compile takes no generator, not even None, where the batch size is symbolic.
    if generator is None:
        u = torch.rand(batch, _DRAWS, dtype=torch.float32, device=device)
    else:
        u = torch.rand(batch, _DRAWS, dtype=torch.float32, device=device, generator=generator)
    scar = u[:, 1] < _SCARS[config.variant]
    area = _uniform(u[:, 2], config.area) * (height * width)
    aspect = _uniform(u[:, 3], (math.log(config.aspect_ratio[0]), math.log(config.aspect_ratio[1]))).exp()
    scar_h, scar_w = _uniform(u[:, 5], config.scar_length) * scale, _uniform(u[:, 4], config.scar_width) * scale
    patch_h = torch.where(scar, scar_h, (area * aspect).sqrt()).round().long().clamp(1, height)
    patch_w = torch.where(scar, scar_w, (area / aspect).sqrt()).round().long().clamp(1, width)
    angle = torch.where(scar, _uniform(u[:, 6], config.rotation), 0.0)
    rotated_h, rotated_w = rotated_size(patch_h, patch_w, angle)
    strength = config.jitter
    return CutPasteParams(
        apply=u[:, 0] < config.p,
        scar=scar,
        height=patch_h,
        width=patch_w,
        angle=angle,
        source_top=_index(u[:, 7], height - patch_h + 1),
        source_left=_index(u[:, 8], width - patch_w + 1),
        target_top=_place(u[:, 9], height - rotated_h),
        target_left=_place(u[:, 10], width - rotated_w),
        brightness=_uniform(u[:, 11], (1 - strength, 1 + strength)),
        contrast=_uniform(u[:, 12], (1 - strength, 1 + strength)),
        saturation=_uniform(u[:, 13], (1 - strength, 1 + strength)),
        hue=_uniform(u[:, 14], (-strength, strength)),
        jitter_order=u[:, 15:19].argsort(1),
    )


def rotated_size(height: Tensor, width: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Height and width of the bounding box of a rotated rectangle, as ``PIL.Image.rotate(angle, expand=True)`` has it.

    Args:
        height: int64 B, in pixels.
        width: int64 B, in pixels.
        angle: Floating point B, in degrees.

    Returns:
        int64 B and int64 B. A side stays even or odd, so that the centre keeps its place among the pixels; after an
        exact quarter turn, too, where Pillow transposes the patch instead, and its sides can be a pixel smaller.

    Example:
        >>> rotated_size(torch.tensor([10]), torch.tensor([4]), torch.tensor([45.0]))
        (tensor([10]), tensor([10]))
    """
    radians = to_float64(angle).deg2rad()
    cosine, sine = radians.cos().abs(), radians.sin().abs()
    exact_height, exact_width = to_float64(height), to_float64(width)

    def grown(side: Tensor, given: Tensor, extent: Tensor) -> Tensor:
        return side + 2 * ((extent - given) / 2).ceil().long().to(side.device)

    return (
        grown(height, exact_height, exact_height * cosine + exact_width * sine),
        grown(width, exact_width, exact_width * cosine + exact_height * sine),
    )


def _place(u: Tensor, slack: Tensor) -> Tensor:
    """A uniform start in 0…slack; where there is none, the one in the middle, which is negative."""
    return torch.where(slack >= 0, _index(u, slack + 1), slack // 2)
