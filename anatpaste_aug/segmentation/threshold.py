"""Organs that are darker or brighter than their surroundings, in any modality."""

import math
from functools import partial
from typing import Literal

from torch import Tensor

from anatpaste_aug.functional import (
    clear_border,
    close_disk,
    fill_holes,
    keep_largest,
    open_disk,
    otsu_threshold,
    remove_large_components,
    remove_small_components,
    to_gray,
)
from anatpaste_aug.functional.intensity import stretch_levels
from anatpaste_aug.segmentation.base import SegmenterModule, Step, in_steps
from anatpaste_aug.validation import check_choice, check_count, check_number


class ThresholdSegmenter(SegmenterModule):
    """The dark or the bright pixels by a threshold, cleaned by morphology and by component size.

    Gray values → threshold → opening → closing → fill holes → remove components that touch the border → remove
    components that are too small or too large → keep the largest ones. By default, only the threshold is applied.

    Convention:
        * in: B×1×H×W or B×3×H×W, uint8 or floating point in any intensity range, H and W at least 32
        * out: boolean B×1×H×W on the same device; never differentiable
        * a fixed threshold is in the units of the images; with ``AnatPasteTransform(mean=, std=)`` these are [0, 1]
        * lengths and areas are in pixels at 256×256 and scale with the image

    Args:
        threshold: A gray value: dark pixels are at most this, bright ones above. ``"otsu"`` finds one per image, as
            ``skimage.filters.threshold_otsu`` does with 256 bins between its smallest and largest value.
        polarity: Whether the organ is ``"dark"`` or ``"bright"``.
        opening: Radius of the disk of the opening, which removes thin parts.
        closing: Radius of the disk of the closing, which fills narrow gaps.
        fill: Fill the holes of the organ.
        clear_border: Remove components that touch the image's border.
        min_size: The smallest component that stays.
        max_size: The largest component that stays; None is no limit.
        keep: Keep this many of the largest components; None keeps all.

    Raises:
        ValueError: A setting is invalid; the message names it and what is allowed.

    Example:
        A sketch of the brain in an axial T2 slice, a bright disk on black with dark fluid inside:

        >>> import torch
        >>> y, x = torch.meshgrid(torch.linspace(-1, 1, 128), torch.linspace(-1, 1, 128), indexing="ij")
        >>> radius = (x**2 + y**2).sqrt()
        >>> slice_ = torch.where(radius < 0.7, 0.8, 0.05) - torch.where(radius < 0.2, 0.7, 0.0)
        >>> brain = ThresholdSegmenter(polarity="bright", fill=True, clear_border=True, keep=1)
        >>> mask = brain(slice_.view(1, 1, 128, 128))
        >>> torch.equal(mask[0, 0], radius < 0.7)
        True
        >>> from anatpaste_aug import AnatPasteTransform
        >>> result = AnatPasteTransform(segmenter=brain).augment(slice_.view(1, 1, 128, 128))
        >>> bool((result.anomaly_mask & ~mask).any())
        False
    """

    def __init__(
        self,
        threshold: float | Literal["otsu"] = "otsu",
        *,
        polarity: Literal["dark", "bright"] = "dark",
        opening: float = 0.0,
        closing: float = 0.0,
        fill: bool = False,
        clear_border: bool = False,
        min_size: float = 0.0,
        max_size: float | None = None,
        keep: int | None = None,
    ) -> None:
        super().__init__()
        self.threshold = threshold if threshold == "otsu" else check_number("threshold", threshold, or_='"otsu"')
        self.polarity = check_choice("polarity", polarity, ("dark", "bright"))
        self.opening = check_number("opening", opening, 0, 256)
        self.closing = check_number("closing", closing, 0, 256)
        self.fill = fill
        self.clear_border = clear_border
        self.min_size = check_number("min_size", min_size, 0)
        self.max_size = None if max_size is None else check_number("max_size", max_size, self.min_size, or_="None")
        self.keep = None if keep is None else check_count("keep", keep)

    def find(self, images: Tensor) -> tuple[Tensor, Tensor]:
        gray = to_gray(images)
        scale = math.sqrt(gray.shape[1] * gray.shape[2]) / 256
        mask = self._dark(gray)
        if self.polarity == "bright":
            mask = ~mask
        if self.opening:
            mask = open_disk(mask, self.opening * scale)
        if self.closing:
            mask = close_disk(mask, self.closing * scale)
        steps: list[Step] = []
        if self.fill:
            steps.append(fill_holes)
        if self.clear_border:
            steps.append(clear_border)
        if self.min_size:
            steps.append(partial(remove_small_components, min_size=self.min_size * scale**2))
        if self.max_size is not None:
            steps.append(partial(remove_large_components, max_size=self.max_size * scale**2))
        if self.keep is not None:
            steps.append(partial(keep_largest, count=self.keep))
        return in_steps(mask, *steps)

    def _dark(self, gray: Tensor) -> Tensor:
        if self.threshold == "otsu":
            levels = stretch_levels(gray)
            return levels <= otsu_threshold(levels)
        return gray <= self.threshold

    def extra_repr(self) -> str:
        names = ["threshold", "polarity", "opening", "closing", "fill", "clear_border", "min_size", "max_size", "keep"]
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
