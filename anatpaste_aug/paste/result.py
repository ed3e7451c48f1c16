"""What every recipe returns."""

from typing import NamedTuple

from torch import Tensor

from anatpaste_aug.paste.params import PasteParams


class PasteResult(NamedTuple):
    """The augmented images, their masks and labels, and the parameters used.

    Attributes:
        image: B×C×H×W of the input's dtype and memory format. Where ``soft_mask`` is 0 it is the input bit for bit.
        soft_mask: float32 B×1×H×W in [0, 1], how much of each pixel was replaced: 1 − Π(1 − m) over the patches, 0 if
            the image was not augmented.
        target: float32 B×1×H×W in [0, 1], the target of a pixel loss: the soft mask, or the intensity change (see
            ``target`` of `PasteConfig`).
        region_mask: Boolean B×1×H×W, the region that was pasted into; None where no region is used.
        params: The parameters used; ``params.fallback`` is True where the region was empty.
    """

    image: Tensor
    soft_mask: Tensor
    target: Tensor
    region_mask: Tensor | None
    params: PasteParams

    @property
    def anomaly_mask(self) -> Tensor:
        """Boolean B×1×H×W: every pixel that may have changed. Many of the changes are too small to be visible."""
        return self.soft_mask > 0

    def mask(self, threshold: float) -> Tensor:
        """Return boolean B×1×H×W: the pixels whose soft mask is above a threshold, such as 0.5."""
        return self.soft_mask > threshold

    @property
    def label(self) -> Tensor:
        """int64 B: 1 if a pixel of the image may have changed, else 0."""
        return (self.soft_mask > 0).flatten(1).any(1).long()
