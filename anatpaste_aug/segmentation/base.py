"""The interface of segmenters, and how they are called."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from anatpaste_aug.functional.lungs.components import all_true
from anatpaste_aug.validation import check_finite, check_images, check_region_mask

Segmenter = Callable[[Tensor], Tensor]
"""A callable from B×C×H×W images to boolean B×1×H×W masks on the same device."""

Step = Callable[..., Any]
"""A function of a boolean B×H×W mask with ``return_converged=True``, like `anatpaste_aug.functional.fill_holes`."""


class SegmenterModule(nn.Module):
    """Base class of segmenters whose masks may fail to converge on an accelerator, such as the built-in ones.

    A subclass implements `find`; `forward` and `segment` check the images first and do not record gradients. Other
    segmenters need no base class: any callable will do.

    Convention:
        * in: B×1×H×W or B×3×H×W, uint8 or floating point, finite, H and W at least 32
        * out: boolean B×1×H×W on the same device; never differentiable

    Example:
        >>> class Brightest(SegmenterModule):
        ...     def find(self, images):
        ...         mask = images[:, :1] >= 200
        ...         return mask, torch.ones(len(images), dtype=torch.bool, device=images.device)
        >>> Brightest()(torch.full((2, 1, 64, 64), 220, dtype=torch.uint8)).all().item()
        True
    """

    def forward(self, images: Tensor) -> Tensor:
        """Segment B×C×H×W images, and return boolean B×1×H×W masks."""
        return self.segment(images)[0]

    @torch.no_grad()
    def segment(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Segment images, and report convergence.

        Returns:
            The masks, and a boolean B that says whether the labels of each image's components have converged. They
            always do on the CPU. An accelerator runs a fixed number of rounds; an image whose labels have not converged
            by then gets an empty mask.

        Raises:
            TypeError, ValueError: Images of a wrong type, shape, dtype or device, or (on the CPU) that are not finite.
        """
        check_finite(check_images(images))
        return self.find(images)

    def find(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Segment images that have been checked; returns the same as `segment`."""
        raise NotImplementedError(f"{type(self).__name__} must implement find(images) -> (mask, converged)")


@torch.no_grad()
def segment_with(segmenter: Segmenter, images: Tensor) -> tuple[Tensor, Tensor]:
    """Call any segmenter, and check its masks.

    Args:
        segmenter: A `SegmenterModule`, or any callable from images to boolean masks.
        images: B×C×H×W.

    Returns:
        The boolean B×1×H×W masks, and a boolean B that says whether they have converged, which is always True for a
        plain callable.

    Raises:
        TypeError, ValueError: The result is not a mask of these images.

    Example:
        >>> mask, converged = segment_with(lambda images: images[:, :1] > 0.5, torch.ones(2, 3, 64, 64))
        >>> mask.shape, converged.tolist()
        (torch.Size([2, 1, 64, 64]), [True, True])
    """
    if isinstance(segmenter, SegmenterModule):
        mask, converged = segmenter.segment(images)
    else:
        mask, converged = segmenter(images), all_true(images)
    return check_region_mask(mask, images, "the segmenter's result"), converged


def in_steps(mask: Tensor, *steps: Step) -> tuple[Tensor, Tensor]:
    """Apply steps to a boolean B×H×W mask; return a segmenter's result, empty where a step did not converge."""
    converged = all_true(mask)
    for step in steps:
        mask, converged_here = step(mask, return_converged=True)
        converged = converged & converged_here
    return (mask & converged.view(-1, 1, 1)).unsqueeze(1), converged
