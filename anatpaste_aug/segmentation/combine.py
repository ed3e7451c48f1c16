"""Combine several segmenters into one."""

from functools import reduce
from typing import Literal

import torch
from torch import Tensor, nn

from anatpaste_aug.functional import keep_largest
from anatpaste_aug.segmentation.base import Segmenter, SegmenterModule, segment_with
from anatpaste_aug.validation import check_choice, check_count, check_segmenter


class _Wrapped(nn.Module):
    """Wraps a plain callable as a module."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, images: Tensor) -> Tensor:
        return self.segmenter(images)

    def extra_repr(self) -> str:
        return repr(self.segmenter)


class Combination(SegmenterModule):
    """Base class of combinations of masks: an image of which one mask did not converge gets an empty mask."""

    def __init__(self, *segmenters: Segmenter) -> None:
        super().__init__()
        if len(segmenters) < 2:
            raise ValueError(f"{type(self).__name__} needs at least two segmenters, got {len(segmenters)}")
        for segmenter in segmenters:
            check_segmenter(segmenter)
        self.segmenters = nn.ModuleList(s if isinstance(s, nn.Module) else _Wrapped(s) for s in segmenters)

    def find(self, images: Tensor) -> tuple[Tensor, Tensor]:
        masks, converged = zip(*(segment_with(segmenter, images) for segmenter in self.segmenters), strict=True)
        all_converged = reduce(torch.logical_and, converged)
        return reduce(self.combine, masks) & all_converged.view(-1, 1, 1, 1), all_converged

    @staticmethod
    def combine(first: Tensor, second: Tensor) -> Tensor:
        raise NotImplementedError


class Union(Combination):
    """The pixels that any of the segmenters finds.

    Args:
        segmenters: Two or more, modules or plain callables.

    Example:
        >>> from anatpaste_aug.segmentation import ThresholdSegmenter
        >>> bones_and_air = Union(ThresholdSegmenter(0.2), ThresholdSegmenter(0.8, polarity="bright"))
        >>> bones_and_air(torch.linspace(0, 1, 64).expand(1, 1, 64, 64))[0, 0, 0].sum().item()
        26
    """

    @staticmethod
    def combine(first: Tensor, second: Tensor) -> Tensor:
        return first | second


class Intersection(Combination):
    """The pixels that all of the segmenters find.

    Args:
        segmenters: Two or more, modules or plain callables.

    Example:
        >>> from anatpaste_aug.segmentation import ThresholdSegmenter
        >>> middle = Intersection(ThresholdSegmenter(0.8), ThresholdSegmenter(0.2, polarity="bright"))
        >>> middle(torch.linspace(0, 1, 64).expand(1, 1, 64, 64))[0, 0, 0].sum().item()
        38
    """

    @staticmethod
    def combine(first: Tensor, second: Tensor) -> Tensor:
        return first & second


class Difference(Combination):
    """The pixels that the first segmenter finds and none of the others.

    Args:
        segmenters: Two or more, modules or plain callables.

    Example:
        The part of the lung field that Algorithm 1 misses: behind the ribs and the heart.

        >>> from anatpaste_aug.segmentation import LungFieldSegmenter, LungSegmenter
        >>> from anatpaste_aug.datasets import phantom_batch
        >>> behind = Difference(LungFieldSegmenter(), LungSegmenter())
        >>> images = phantom_batch(1, size=128).images
        >>> bool((behind(images) & LungSegmenter()(images)).any())
        False
    """

    @staticmethod
    def combine(first: Tensor, second: Tensor) -> Tensor:
        return first & ~second


class PerSide(SegmenterModule):
    """The largest components on each side of the image's middle column, or on one side of it.

    Left and right refer to the image: a frontal radiograph shows the patient's right lung on its left.

    Args:
        segmenter: A module or a plain callable.
        side: ``"left"`` or ``"right"`` leaves the other half empty; ``"both"`` keeps both.
        keep: How many of the largest components stay in each half; None keeps all. A component that crosses the middle
            is cut there.

    Raises:
        TypeError, ValueError: The segmenter or a setting is invalid.

    Example:
        >>> from anatpaste_aug import LungSegmenter
        >>> from anatpaste_aug.datasets import phantom_batch
        >>> right_lung = PerSide(LungSegmenter(), side="left")(phantom_batch(1, size=128).images)
        >>> bool(right_lung.any()), bool(right_lung[..., 64:].any())
        (True, False)
    """

    def __init__(
        self, segmenter: Segmenter, *, side: Literal["left", "right", "both"] = "both", keep: int | None = 1
    ) -> None:
        super().__init__()
        check_segmenter(segmenter)
        self.segmenter = segmenter if isinstance(segmenter, nn.Module) else _Wrapped(segmenter)
        self.side = check_choice("side", side, ("left", "right", "both"))
        self.keep = None if keep is None else check_count("keep", keep)

    def find(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mask, converged = segment_with(self.segmenter, images)
        mask = mask[:, 0]
        middle = mask.shape[2] // 2
        result = torch.zeros_like(mask)
        halves = {"left": slice(0, middle), "right": slice(middle, None)}
        for side in halves if self.side == "both" else (self.side,):
            half = mask[:, :, halves[side]]
            if self.keep is not None:
                half, converged_here = keep_largest(half, self.keep, return_converged=True)
                converged = converged & converged_here
            result[:, :, halves[side]] = half
        return (result & converged.view(-1, 1, 1)).unsqueeze(1), converged

    def extra_repr(self) -> str:
        return f"side={self.side!r}, keep={self.keep}"
