"""Checks of arguments: each raises one clear error, before any work is done."""

import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real

import numpy as np
import torch
from torch import Tensor

from anatpaste_aug.functional import Intensities
from anatpaste_aug.paste.config import PasteConfig
from anatpaste_aug.paste.params import PasteParams, dtype_of, rotated_size

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


def check_params(params: object, images: Tensor, config: PasteConfig, sources: Tensor | None = None) -> None:
    """Check that parameters of an earlier call fit these images and the recipe; values are checked on the CPU only.

    ``sources`` are the images that patches are cut from, or None if each image is its own source.
    """
    if not isinstance(params, PasteParams):
        raise TypeError(f"params must be the PasteParams of an earlier result, got {type(params).__name__}")
    batch, _, height, width = images.shape
    shape = tuple(getattr(params.apply, "shape", ()))
    for name, field in zip(params._fields, params, strict=True):
        dtype, dims = dtype_of(name), (*shape, 4) if name == "jitter_order" else shape
        if not isinstance(field, Tensor) or len(shape) != 2 or tuple(field.shape) != dims or field.dtype != dtype:
            raise ValueError(
                f"params.{name} must be {dtype} of shape (B, K{', 4' if name == 'jitter_order' else ''}), as in an "
                f"earlier result, got {_described(field)}"
            )
        check_same_device("params", field.device, images)
    if shape[0] != batch:
        raise ValueError(f"params have {shape[0]} rows for {batch} images; use params.rows(index)")
    if params.patches != config.patches[1]:
        raise ValueError(
            f"params have {params.patches} patches per image, but the transform pastes {config.patches[1]}"
        )
    if images.device.type != "cpu" or torch.compiler.is_compiling():
        return
    # Compared by differences, because sums could overflow.
    fits = (params.height <= height - params.source_top) & (params.width <= width - params.source_left)
    fits &= (params.scaled_height <= height) & (params.scaled_width <= width)
    box_h, box_w = rotated_size(params.scaled_height, params.scaled_width, params.angle.nan_to_num())
    fits &= (params.top >= -(box_h // 2)) & (params.top < height - box_h // 2)
    fits &= (params.left >= -(box_w // 2)) & (params.left < width - box_w // 2)
    if not bool(fits.all()):
        raise ValueError(
            f"params were sampled for images larger than {height}×{width}; replay them on images of the original size"
        )
    valid = (params.source_top >= 0) & (params.source_left >= 0) & (params.margin >= 0)
    for size in (params.height, params.width, params.scaled_height, params.scaled_width):
        valid &= size >= 1
    for number in (params.sigma, params.angle, params.brightness, params.contrast, params.saturation):
        valid &= number.isfinite()
    for factor in (params.sigma, params.brightness, params.contrast, params.saturation):
        valid &= factor >= 0
    valid &= (params.opacity >= 0) & (params.opacity <= 1) & (params.hue.abs() <= 0.5)
    valid &= (params.jitter_order.sort(2).values == torch.arange(4, device="cpu")).all(2)
    if not bool(valid.all()):
        bad = (~valid).any(1).nonzero()[:10, 0].tolist()
        raise ValueError(f"params {bad} have a size below 1, or a number out of its range; sample new params")
    if sources is not None and not bool(((params.donor >= 0) & (params.donor < len(sources))).all()):
        raise ValueError(
            f"params cut patches from image {int(params.donor.max())}, but there are {len(sources)} images; replay the "
            "whole batch, with the same donors="
        )
    _check_steps(params, config)


def _check_steps(params: PasteParams, config: PasteConfig) -> None:
    """Check that params do not rotate, resize or jitter patches if the recipe skips that step."""
    jittered = params.hue != 0
    for factor in (params.brightness, params.contrast, params.saturation):
        jittered = jittered | (factor != 1)
    resized = (params.scaled_height != params.height) | (params.scaled_width != params.width)
    for step, enabled, needed in (
        ("rotate", config.rotates, params.angle != 0),
        ("resize", config.resize is not None, resized),
        ("jitter", config.jitter > 0, jittered),
    ):
        if not enabled and bool(needed.any()):
            raise ValueError(
                f"params {step} patches, which this transform never does; replay them with the settings that they were "
                "sampled with"
            )


def check_donors(donors: object, images: Tensor) -> Tensor:
    """Check the images that patches are cut from: like the images, but any number of them."""
    if not isinstance(donors, Tensor):
        raise TypeError(f"donors must be a tensor N×C×H×W or a callable that returns one, got {type(donors).__name__}")
    if donors.ndim != 4 or donors.shape[1:] != images.shape[1:] or len(donors) < 1 or donors.dtype != images.dtype:
        raise ValueError(
            f"donors must be images like the augmented ones, {images.dtype} of shape (N, {images.shape[1]}, "
            f"{images.shape[2]}, {images.shape[3]}), got {donors.dtype} {tuple(donors.shape)}"
        )
    check_same_device("donors", donors.device, images)
    return donors


def check_region_mask(mask: object, images: Tensor, name: str = "region_mask") -> Tensor:
    """Check a mask for these images; convert B×H×W and integers (nonzero is region) to boolean B×1×H×W."""
    if not isinstance(mask, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(mask).__name__}")
    if mask.is_floating_point() or mask.is_complex():
        raise TypeError(f"{name} must be boolean or integer, got {mask.dtype}; threshold it first, as in mask > 0.5")
    if mask.device != images.device:
        raise ValueError(f"{name} is on {mask.device} and the images on {images.device}; move one of them")
    batch, _, height, width = images.shape
    if tuple(mask.shape) not in ((batch, height, width), (batch, 1, height, width)):
        raise ValueError(
            f"{name} must have shape {(batch, 1, height, width)} for images of shape {tuple(images.shape)}, "
            f"got {tuple(mask.shape)}"
        )
    mask = mask if mask.dtype == torch.bool else mask != 0
    return mask.view(batch, 1, height, width) if mask.ndim == 4 else mask.unsqueeze(1)


def check_anomaly_mask(name: str, mask: object, shape: tuple[int, ...]) -> None:
    """Check the mask of earlier augmentations, to which the next one adds its changes."""
    remedy = "if it is not an anomaly mask, set anomaly_mask_key to another name"
    if not isinstance(mask, Tensor | np.ndarray):
        raise TypeError(f"{name} must be a tensor or an array, got {type(mask).__name__}; {remedy}")
    if tuple(mask.shape) != shape:
        raise ValueError(f"{name} must have shape {shape}, like the images, got {tuple(mask.shape)}; {remedy}")


def check_apply(apply: object, images: Tensor) -> None:
    """Check a selection of images: one boolean each."""
    if not isinstance(apply, Tensor) or apply.dtype != torch.bool or tuple(apply.shape) != (len(images),):
        raise ValueError(
            f"apply must be a boolean tensor of shape ({len(images)},), True where an image may be augmented, "
            f"got {_described(apply)}"
        )
    check_same_device("apply", apply.device, images)


def check_uniforms(uniforms: object, images: Tensor, shape: tuple[int, int, int]) -> None:
    """Check random numbers for these images."""
    if not isinstance(uniforms, Tensor) or not uniforms.is_floating_point() or tuple(uniforms.shape) != shape:
        raise ValueError(
            f"uniforms must be floating point of shape {shape}, as from draw_uniforms(config, {len(images)}), "
            f"got {_described(uniforms)}"
        )
    check_same_device("uniforms", uniforms.device, images)


def _described(value: object) -> str:
    return f"{value.dtype} of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


def check_generator(generator: object, images: Tensor) -> None:
    """Check a generator: it must be on the images' device."""
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator must be a torch.Generator, got {type(generator).__name__}")
    check_same_device("generator", generator.device, images)


def check_same_device(name: str, device: torch.device, images: Tensor) -> None:
    """Check that something is on the images' device."""
    if device.type != images.device.type or (device.index or 0) != (images.device.index or 0):
        raise ValueError(f"{name} is on {device} and the images on {images.device}; create it on {images.device}")


def check_number(
    name: str, value: object, lowest: float = -math.inf, highest: float = math.inf, *, or_: str | None = None
) -> float:
    """Check for a finite number in [lowest, highest]; ``or_`` names what else is allowed."""
    number = float(value) if isinstance(value, Real) else math.nan
    if not (lowest <= number <= highest and math.isfinite(number)):
        limits = {
            (False, False): "a finite number",
            (True, False): f"a finite number of at least {lowest:g}",
            (False, True): f"a finite number of at most {highest:g}",
            (True, True): f"a number in [{lowest:g}, {highest:g}]",
        }[math.isfinite(lowest), math.isfinite(highest)]
        raise ValueError(f"{name} must be {limits}{f' or {or_}' if or_ else ''}, got {value!r}")
    return number


def check_count(name: str, value: object, lowest: int = 1) -> int:
    """Check for an integer of at least ``lowest``."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < lowest:
        raise ValueError(f"{name} must be a whole number of at least {lowest}, got {value!r}")
    return int(value)


def check_choice(name: str, value: object, choices: Sequence[str]) -> str:
    """Check for one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return str(value)


def check_segmenter(segmenter: object) -> None:
    """Check that a segmenter can be called."""
    if not callable(segmenter):
        raise TypeError(
            f"a segmenter must be callable (images to boolean masks), got {type(segmenter).__name__}; "
            "wrap a mask in FixedMask"
        )
