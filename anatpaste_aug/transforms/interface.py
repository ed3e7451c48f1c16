"""What the adapters of all hosts take and give."""

from collections.abc import Sequence
from typing import NamedTuple, TypedDict

from torch import Tensor

from ..params import AnatPasteParams
from ..segmentation import Segmenter


class AnatPasteSettings(TypedDict, total=False):
    """The settings of `AnatPasteTransform`, which documents them; ``p`` has a place of its own in every host."""

    segmenter: Segmenter | None
    segmentation: bool
    blur: bool
    skip_without_lungs: bool
    value_range: tuple[float, float] | None
    mean: Sequence[float] | None
    std: Sequence[float] | None
    area: tuple[float, float]
    aspect_ratio: tuple[float, float]
    jitter: float
    margin: float
    opacity: tuple[float, float]
    sigma: tuple[float, float]


class AnatPasteResult(NamedTuple):
    """What `AnatPasteTransform.augment` returns.

    Attributes:
        image: The augmented B×C×H×W images, of the input's dtype.
        soft_mask: X_mask, float32 B×1×H×W in [0, 1]; 0 where an image was left alone.
        lung_mask: Boolean B×1×H×W, or None without segmentation.
        params: The parameters used, one row per image; ``params.fallback`` tells where no lung was found.
        settled: Boolean B; False where a segmentation on an accelerator did not settle: its lung mask is empty, and the
            image is left alone.
    """

    image: Tensor
    soft_mask: Tensor
    lung_mask: Tensor | None
    params: AnatPasteParams
    settled: Tensor

    @property
    def anomaly_mask(self) -> Tensor:
        """Boolean B×1×H×W: X_mask > 0. Outside it, ``image`` is the input bit for bit."""
        return self.soft_mask > 0
