"""AUROCs on changed test images: without a shortcut such as sharpness, or with a slightly different appearance."""

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
    """Return a low quantile of the mean gradients, to which nearly all of these images can be blurred.

    Args:
        images: N×1×H×W, uint8 or float in [0, 1].
        quantile: Fraction of the images that may be less sharp, and are not changed.

    Returns:
        Mean absolute difference between neighboring pixels on the scale [0, 1], as in `image_statistics`.
    """
    if not 0 <= quantile <= 1:
        raise ValueError(f"quantile must be in [0, 1], got {quantile}")
    return float(torch.quantile(image_statistics(images)["mean gradient"], quantile))


def match_sharpness(images: Tensor, target: float) -> Tensor:
    """Blur each image to the same mean gradient, with a sigma of at most 16 pixels (at 256×256).

    Each image has its own Gaussian blur (reflecting edges), found by bisection. Images that are less sharp are not
    changed, because sharpening would invent detail. Images that are sharper even at the largest sigma, such as a small
    radiograph in a wide black frame, stay sharper. Only the mean gradient is matched: images may still differ in local
    sharpness, direction, or noise. The remaining small differences have an order, so the AUROC of the mean gradient
    itself is meaningless afterwards.

    Args:
        images: N×1×H×W, uint8 or float in [0, 1].
        target: Mean gradient, positive; see `common_sharpness`.

    Returns:
        N×1×H×W float32 in [0, 1], with a mean gradient within 0.5 % of ``target`` except for those two kinds.

    Raises:
        ValueError: The shape is wrong, or the target is not positive.

    Example:
        >>> sharp = torch.rand(2, 1, 32, 32)
        >>> blurred = match_sharpness(sharp, 0.1)
        >>> [round(value, 2) for value in image_statistics(blurred)["mean gradient"].tolist()]
        [0.1, 0.1]
    """
    if not target > 0:
        raise ValueError(f"target must be a positive mean gradient, got {target}")
    before = image_statistics(images)["mean gradient"]
    batches = zip(_unit(images).split(_BATCH), before.split(_BATCH), strict=True)
    return torch.cat([_blur_to(batch, have > target, target) for batch, have in batches])


def fixed_changes() -> dict[str, Change]:
    """Return changes that would not affect a diagnosis: gamma, contrast (about the image's mean) and a central crop.

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
    """Return a common sharpness (`match_sharpness` to the 5th percentile of these images) and `fixed_changes`.

    The first is left out if the percentile is 0, because flat images have no sharpness.

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
    """Compute the AUROC of a method on the unchanged test images and after each change of the images.

    Args:
        score: From N×1×H×W images, float in [0, 1] or uint8, to N scores, such as ``detector.score``.
        images: Test images, N×1×H×W, uint8 or float in [0, 1].
        labels: N values, 0 (normal) or 1 (abnormal).
        changes: Name -> function of the images; None is `standard_changes`.
        resamples: Number of bootstrap resamples.

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
        too_sharp = image_statistics(_blur(chosen, middle))["mean gradient"] > target
        low, high = torch.where(too_sharp, middle, low), torch.where(too_sharp, high, middle)
    done = images.clone()
    done[sharper] = _blur(chosen, high)
    return done


def _blur(images: Tensor, sigma: Tensor) -> Tensor:
    # The radius is 3 times the largest sigma, limited by what reflection allows.
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
