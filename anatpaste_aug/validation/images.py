"""Checks of images and of the range of their values."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from anatpaste_aug.functional import Intensities

_DTYPES = (torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64)
_SMALLEST = 32
_LARGEST_PIXELS = 2**24  # up to this size, every sum in the segmentation is exact
_TOLERANCE = 0.01  # of the range: resizing can overshoot slightly; a wrong range exceeds it by far


def check_images(images: object) -> Tensor:
    """Check a batch of images, and return it.

    Raises:
        TypeError, ValueError: Another type, shape, size or dtype; the message says what to pass instead.
    """
    if not isinstance(images, Tensor):
        raise TypeError(f"images must be a torch.Tensor of shape (B, C, H, W), got {type(images).__name__}")
    shape = tuple(images.shape)
    if images.ndim != 4 or shape[1] not in (1, 3):
        raise ValueError(
            f"images must have shape (B, 1, H, W) or (B, 3, H, W), got {shape}; "
            "add the missing dimension with unsqueeze, or move channels with permute(0, 3, 1, 2)"
        )
    if min(shape[2:]) < _SMALLEST or shape[2] * shape[3] > _LARGEST_PIXELS:
        raise ValueError(
            f"images must be at least {_SMALLEST}×{_SMALLEST} and at most {_LARGEST_PIXELS} pixels, "
            f"got {shape[2]}×{shape[3]}; resize them first"
        )
    if images.dtype not in _DTYPES:
        raise TypeError(
            f"images must be uint8 or floating point, got {images.dtype}; "
            "scale other integers to float in [0, 1] by their own maximum"
        )
    return images


def check_range(images: Tensor, intensities: Intensities) -> None:
    """Check that values lie in the given range, on the CPU only: on an accelerator, it would wait for the device."""
    if images.device.type != "cpu" or images.numel() == 0 or torch.compiler.is_compiling():
        return
    if images.dtype == torch.uint8 and (intensities.black, intensities.white) == (0, 255):
        return
    extremes = _extremes(images)
    low, high = (float(v) for v in torch.aminmax(intensities.to_unit(extremes.unsqueeze(2).unsqueeze(3))))
    if low < -_TOLERANCE or high > 1 + _TOLERANCE:
        low, high = (intensities.black + v * (intensities.white - intensities.black) for v in (low, high))
        value_range = f"({intensities.black:g}, {intensities.white:g})"
        if intensities.mean is not None:
            value_range += f" after undoing mean={intensities.mean} and std={intensities.std}"
        raise ValueError(
            f"images have values in [{low:g}, {high:g}], outside value_range={value_range}; "
            "pass the right value_range, or mean= and std= if they are normalized"
        )


def check_finite(images: Tensor) -> None:
    """Check that images are finite, on the CPU only: on an accelerator, the check would wait for the device."""
    if images.device.type != "cpu" or not images.is_floating_point() or images.numel() == 0:
        return
    if torch.compiler.is_compiling():
        return
    extremes = _extremes(images)
    low, high = float(extremes.min()), float(extremes.max())
    most = torch.finfo(torch.promote_types(images.dtype, torch.float32)).max
    if not high - low <= most:
        raise ValueError(f"images span {low:g} to {high:g}, more than {most:g}; divide them by a constant")


def _extremes(images: Tensor) -> Tensor:
    """Return the lowest and highest value of each channel, float64 2×C; raise ValueError if one is not finite."""
    # NumPy uses one thread. Torch's threads would busy-wait afterwards, on the cores that pasting is about to use.
    values = images.detach()
    array = (values if values.dtype in (torch.float32, torch.float64) else values.float()).numpy()
    pairs = [(channel.min(), channel.max()) for channel in array.swapaxes(0, 1)]
    extremes = torch.tensor(np.array(pairs, np.float64).T, device="cpu")
    if not bool(extremes.isfinite().all()):
        bad = [i for i, image in enumerate(images) if not bool(torch.isfinite(image).all())]
        raise ValueError(f"images {bad[:10]} of the batch contain NaN or infinity; repair or drop them")
    return extremes


def check_intensities(
    value_range: tuple[float, float] | None, mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None, tuple[float, ...] | None]:
    """Check the three settings, and return them as tuples of floats.

    Raises:
        ValueError: One of them is invalid; the message names it.
    """
    limits = None if value_range is None else _numbers("value_range", value_range)
    if limits is not None and not (len(limits) == 2 and limits[0] < limits[1]):
        raise ValueError(f"value_range must be (black, white) with black < white, got {value_range!r}")
    if (mean is None) != (std is None):
        raise ValueError(f"pass both mean and std or neither, got mean={mean!r} and std={std!r}")
    if mean is None or std is None:
        return limits, None, None
    means, stds = _numbers("mean", mean), _numbers("std", std)
    if len(means) not in (1, 3) or len(stds) != len(means) or min(stds) <= 0:
        raise ValueError(f"mean and std need one number per channel (1 or 3), std above 0, got {mean!r} and {std!r}")
    return limits, means, stds


def intensities_for(
    images: Tensor,
    value_range: tuple[float, ...] | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
) -> Intensities:
    """Combine the settings returned by `check_intensities` for these images.

    Raises:
        TypeError, ValueError: The settings do not fit the images.
    """
    integer = images.dtype == torch.uint8
    if mean is not None and integer:
        raise TypeError("mean and std are set, so the images must be normalized floats, got torch.uint8")
    if mean is not None and len(mean) not in (1, images.shape[1]):
        raise ValueError(
            f"mean and std have {len(mean)} values for images with {images.shape[1]} channel; pass one number each, "
            "with which these images were normalized, as in mean=[0.5], std=[0.25]"
        )
    black, white = value_range or ((0.0, 255.0) if integer else (0.0, 1.0))
    if integer and not 0 <= black < white <= 255:
        raise ValueError(f"value_range of uint8 images must lie in [0, 255], got {value_range}; or pass floats")
    if not integer and mean is None and max(-black, white) > torch.finfo(images.dtype).max:
        raise ValueError(
            f"value_range=({black:g}, {white:g}) exceeds the range of {images.dtype}; pass float32 or float64"
        )
    return Intensities(black, white, mean, std)


def _numbers(name: str, values: Iterable[float]) -> tuple[float, ...]:
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        numbers = (math.nan,)
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"{name} must be a sequence of finite numbers, got {values!r}")
    return numbers
