"""The scale of pixel values: their range, gray values, and the 14-bit levels of CLAHE."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from anatpaste_aug.functional.checks import check_channels

GRAY_LEVELS = 2**14
"""Number of gray levels that CLAHE works on, as ``skimage.exposure`` defines it."""

SNAP = 256
"""Floating-point levels are rounded to 1/SNAP of a level before they are rounded to a level."""

_LUMA = (19595, 38470, 7471)  # ITU-R 601-2 in 1/65536, the integers behind Pillow's "L"


class Intensities(NamedTuple):
    """The scale of images: their darkest and brightest value, and the normalization that was applied to them.

    Attributes:
        black: The darkest value, before normalization.
        white: The brightest value, before normalization.
        mean: Mean that the images were normalized with, for each channel or for all; None if they are not normalized.
        std: Standard deviation, likewise.
    """

    black: float = 0.0
    white: float = 1.0
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def to_unit(self, images: Tensor) -> Tensor:
        """Undo the normalization of floating-point …×C×H×W images, and map black to 0 and white to 1."""
        if self.mean is not None and self.std is not None:
            images = images * _column(self.std, images) + _column(self.mean, images)
        if (self.black, self.white) == (0.0, 1.0):
            return images
        # Skip the subtraction of 0, which would cost a pass over the batch.
        return (images - self.black if self.black else images) / (self.white - self.black)

    def from_unit(self, images: Tensor) -> Tensor:
        """Invert `to_unit`."""
        if (self.black, self.white) != (0.0, 1.0):
            images = images * (self.white - self.black)
            images = images + self.black if self.black else images
        if self.mean is None or self.std is None:
            return images
        return (images - _column(self.mean, images)) / _column(self.std, images)


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    # Filled on the device: torch.tensor(values, device=...) would copy from the host and synchronize.
    return torch.cat([torch.full((1, 1, 1), v, dtype=like.dtype, device=like.device) for v in values])


def at_least_float32(images: Tensor) -> Tensor:
    """Convert images to the dtype of the arithmetic: float32, or float64 if they are float64."""
    return images if images.dtype == torch.float64 else images.float()


def as_laid_out(images: Tensor, given: Tensor) -> Tensor:
    """Convert images to the memory format of ``given``: channels last, or contiguous."""
    if given.is_contiguous() or not given.is_contiguous(memory_format=torch.channels_last):
        return images.contiguous()
    return images.contiguous(memory_format=torch.channels_last)


def to_gray(images: Tensor) -> Tensor:
    """Convert images to gray with the weights of Pillow's ``"L"`` mode.

    Args:
        images: B×1×H×W or B×3×H×W, uint8 or floating point.

    Returns:
        B×H×W of the same dtype, float32 for half precision; uint8 equals ``PIL.Image.convert("L")`` bit for bit, and
        three equal channels give that channel bit for bit in every dtype.

    Example:
        >>> to_gray(torch.full((1, 3, 32, 32), 7, dtype=torch.uint8)).unique().tolist()
        [7]
    """
    check_channels(images)
    if images.dtype != torch.uint8:
        images = at_least_float32(images)
    if images.shape[1] == 1:
        return images[:, 0]
    red, green, blue = images.unbind(1)
    if images.dtype == torch.uint8:
        weighted = red.int() * _LUMA[0] + green.int() * _LUMA[1] + blue.int() * _LUMA[2]
        return ((weighted + 2**15) >> 16).to(torch.uint8)
    # Written around green, so that equal channels cancel exactly instead of to rounding.
    return green + (red - green) * (_LUMA[0] / 65536) + (blue - green) * (_LUMA[2] / 65536)


def stretch_levels(gray: Tensor, bin_size: int = 1) -> Tensor:
    """Stretch each image to 0…16383 and divide by ``bin_size``, as CLAHE's first step.

    Args:
        gray: B×H×W, uint8 or floating point, finite.
        bin_size: Levels per histogram bin; 1 returns the levels themselves.

    Returns:
        int32 B×H×W. uint8 matches scikit-image exactly; floating point matches it to the precision of the dtype
        (float16 and bfloat16 are computed in float32). A constant image becomes 0, and so does NaN.
    """
    flat = gray.flatten(1)
    low, high = flat.amin(1, keepdim=True), flat.amax(1, keepdim=True)
    if gray.dtype == torch.uint8:
        # There are only 256 values, so the arithmetic runs on a table. It uses integers and rounds halves to even. That
        # gives the levels of the float64 definition for every value and span.
        values = torch.arange(256, device=gray.device, dtype=torch.int32)
        span = (high - low).clamp_min(1).int()
        doubled = 2 * (GRAY_LEVELS - 1) * (values - low.int()) + span
        level = doubled // (2 * span)
        level = level - ((doubled % (2 * span) == 0) & (level % 2 == 1)).int()
        table = level // bin_size
        return table.gather(1, flat.long()).view(gray.shape)
    work = torch.promote_types(gray.dtype, torch.float32)
    low, high = low.to(work), high.to(work)
    levels = (flat - low).div_(high - low).mul_(GRAY_LEVELS - 1)
    # 8-bit images divided by 255 often fall on a half: rounding noise must not decide which way it rounds.
    levels = levels.mul_(SNAP).round_().div_(SNAP).round_()
    # 0 / 0, NaN and infinity have no level. On CUDA, an index out of bounds would abort the process.
    levels = levels.nan_to_num_(0.0).clamp_(0, GRAY_LEVELS - 1)
    return levels.div_(bin_size).int().view(gray.shape)
