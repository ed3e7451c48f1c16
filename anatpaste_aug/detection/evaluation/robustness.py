"""AUROCs on changed test images: without a shortcut such as sharpness, or with a slightly different look."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from kornia.filters import gaussian_blur2d
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from anatpaste_aug.detection.evaluation.intervals import Interval, bootstrap_auroc
from anatpaste_aug.detection.evaluation.one_number import image_statistics

Change = Callable[[Tensor], Tensor]

_LARGEST_SIGMA = 16.0  # pixels at 256×256
_STEPS = 15  # of the bisection: sigma to within 0.0005 pixels at 256×256
_BATCH = 64


def common_sharpness(images: Tensor, quantile: float = 0.05) -> float:
    """The mean gradient that nearly all of these images can be blurred to: a low quantile of theirs.

    Args:
        images: N×1×H×W, uint8 or float in [0, 1]; labels are not used.
        quantile: Fraction of the images that may be less sharp, and stay as they are.

    Returns:
        Mean absolute difference between neighboring pixels on the scale [0, 1], as in `image_statistics`.
    """
    if not 0 <= quantile <= 1:
        raise ValueError(f"quantile must be in [0, 1], got {quantile}")
    return float(torch.quantile(image_statistics(images)["mean gradient"], quantile))


def match_sharpness(images: Tensor, target: float) -> Tensor:
    """Each image blurred to the same mean gradient, as far as a sigma of 16 pixels (at 256×256) goes.

    A Gaussian blur (reflecting edges) of its own sigma for each image, found by bisection. An image that is less sharp
    already stays as it is, since nothing can sharpen it honestly; one that the largest sigma leaves sharper, such as a
    small picture in a wide black frame, stays that much sharper. Only this one number is leveled: images may still
    differ in sharpness from place to place, by direction, or in how noise and edges share it, and the small differences
    that the bisection leaves have an order, so that the AUROC of the mean gradient itself tells nothing afterwards.

    Args:
        images: N×1×H×W, uint8 or float in [0, 1].
        target: Mean gradient, positive; see `common_sharpness`.

    Returns:
        N×1×H×W float32 in [0, 1], with a mean gradient within 0.5 % of ``target`` but for those two kinds.

    Raises:
        ValueError: Another shape, or a target that is not positive.

    Example:
        >>> sharp = torch.rand(2, 1, 32, 32)
        >>> blurred = match_sharpness(sharp, 0.1)
        >>> [round(value, 2) for value in image_statistics(blurred)["mean gradient"].tolist()]
        [0.1, 0.1]
    """
    if not target > 0:
        raise ValueError(f"target must be a positive mean gradient, got {target}")
    before = image_statistics(images)["mean gradient"]
    portions = zip(_unit(images).split(_BATCH), before.split(_BATCH), strict=True)
    return torch.cat([_blur_to(batch, have > target, target) for batch, have in portions])


def fixed_changes() -> dict[str, Change]:
    """Changes that leave a reader's diagnosis alone: gamma, contrast (about the image's mean) and a central crop.

    Returns:
        Name -> function from N×1×H×W images, uint8 or float in [0, 1], to float32 in [0, 1] of the same shape.

    Example:
        >>> [name for name in fixed_changes()]
        ['gamma 0.8', 'gamma 1.25', 'contrast 0.8', 'contrast 1.25', 'central crop 0.9']
    """
    changes: dict[str, Change] = {}
    for gamma in (0.8, 1.25):
        changes[f"gamma {gamma}"] = partial(_on_unit, tv.adjust_gamma, gamma)
    for factor in (0.8, 1.25):
        changes[f"contrast {factor}"] = partial(_on_unit, tv.adjust_contrast, factor)
    changes["central crop 0.9"] = partial(_on_unit, _central_crop, 0.9)
    return changes


def standard_changes(images: Tensor) -> dict[str, Change]:
    """A common sharpness (see `match_sharpness`), the 5th percentile of these images, and `fixed_changes`.

    Without the first where that percentile is 0: flat images have no sharpness.

    Example:
        >>> list(standard_changes(torch.rand(4, 1, 32, 32)))[:2]
        ['common sharpness', 'gamma 0.8']
    """
    target = common_sharpness(images)
    common: dict[str, Change] = {"common sharpness": partial(match_sharpness, target=target)} if target > 0 else {}
    return common | fixed_changes()


def robustness_row(
    score: Callable[[Tensor], Any],
    images: Tensor,
    labels: Any,
    changes: Mapping[str, Change] | None = None,
    *,
    resamples: int = 2000,
) -> dict[str, Interval]:
    """A method's AUROC on the test images as they are, and after each change.

    The method itself, its training images included, stays as it is.

    Args:
        score: From N×1×H×W images, float in [0, 1] or uint8, to N scores, such as ``detector.score``.
        images: Test images, N×1×H×W, uint8 or float in [0, 1].
        labels: N values, 0 (normal) or 1 (abnormal).
        changes: Name -> function of the images; None is `standard_changes`.
        resamples: Of the intervals.

    Returns:
        "unchanged" and each change -> AUROC with its interval.
    """
    if changes is None:
        changes = standard_changes(images)
    intervals = {"unchanged": bootstrap_auroc(labels, score(images), resamples=resamples)}
    for name, change in changes.items():
        intervals[name] = bootstrap_auroc(labels, score(change(images)), resamples=resamples)
    return intervals


def _blur_to(images: Tensor, sharper: Tensor, target: float) -> Tensor:
    if not bool(sharper.any()):
        return images
    chosen = images[sharper]
    largest = _LARGEST_SIGMA * (chosen.shape[-1] * chosen.shape[-2]) ** 0.5 / 256
    low, high = (chosen.new_full((len(chosen),), sigma) for sigma in (0.0, largest))
    for _ in range(_STEPS):
        middle = (low + high) / 2
        still = image_statistics(_blur(chosen, middle))["mean gradient"] > target
        low, high = torch.where(still, middle, low), torch.where(still, high, middle)
    done = images.clone()
    done[sharper] = _blur(chosen, high)
    return done


def _blur(images: Tensor, sigma: Tensor) -> Tensor:
    # The kernel reaches 3 sigma of the largest one, but no further than reflection can.
    reach = min(int(3 * float(sigma.max()) + 1), min(images.shape[-2:]) - 1)
    sigmas = sigma.clamp_min(1e-3).to(images).unsqueeze(1).expand(-1, 2)
    return gaussian_blur2d(images, 2 * reach + 1, sigmas, border_type="reflect")


def _unit(images: Tensor) -> Tensor:
    return images.float() / 255 if images.dtype == torch.uint8 else images.float()


def _on_unit(change: Callable[[Tensor, float], Tensor], amount: float, images: Tensor) -> Tensor:
    return change(_unit(images), amount)


def _central_crop(images: Tensor, fraction: float) -> Tensor:
    height, width = images.shape[-2:]
    size = [round(fraction * height), round(fraction * width)]
    cropped: Tensor = tv.resize(tv.center_crop(images, size), [height, width], antialias=True)
    return cropped
