"""Segmenters: from an image batch to a boolean lung mask batch. Any callable of that form can take their place."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .functional import segment_lungs
from .validation import check_finite, check_images

Segmenter = Callable[[Tensor], Tensor]
"""B×C×H×W images → boolean B×1×H×W masks on the same device."""


class LungSegmenter(nn.Module):
    """Lungs of frontal chest radiographs, by the paper's Algorithm 1 (Sato et al., arXiv 2205.04282).

    Grey values → CLAHE → Otsu's threshold, the dark side is lung → opening 3×3 → border-touching components cleared →
    dilation 3×3 → small components dropped. Nothing is learned and nothing is random.

    Convention:
        * in: B×1×H×W or B×3×H×W, uint8 or floating point in any intensity range, H and W at least 32
        * out: boolean B×1×H×W on the same device; never differentiable
        * bones must be brighter than air: invert MONOCHROME1 images first

    Args:
        min_size: The smallest component that stays, in pixels at 256×256; scales with the image's area.

    Example:
        >>> segmenter = LungSegmenter()
        >>> segmenter(torch.zeros(2, 1, 64, 64)).shape
        torch.Size([2, 1, 64, 64])
    """

    def __init__(self, *, min_size: float = 400.0) -> None:
        super().__init__()
        if not min_size >= 0:
            raise ValueError(f"min_size must be at least 0, got {min_size}")
        self.min_size = min_size

    def forward(self, images: Tensor) -> Tensor:
        """Boolean B×1×H×W masks of B×C×H×W images."""
        return self.segment(images)[0]

    @torch.no_grad()
    def segment(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The masks, and a boolean B: whether the labelling of the components settled.

        It always does on the CPU. An accelerator runs a fixed number of rounds; an image for which they did not suffice
        has an empty mask.
        """
        check_finite(check_images(images))
        return segment_lungs(images, min_size=self.min_size)

    def extra_repr(self) -> str:
        return f"min_size={self.min_size}"
