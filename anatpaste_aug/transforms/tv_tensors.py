"""Mask types of this package, so that other masks of a sample are neither read nor overwritten."""

from torchvision.tv_tensors import Mask


class RegionMask(Mask):
    """The region of the image in the same sample, which `AnatPasteTransform` uses instead of segmenting.

    Boolean or integer (non-zero is region), with the image's leading dimensions: H×W or 1×H×W for a C×H×W image.
    torchvision's geometric transforms apply to it like to any ``Mask``.
    """


class AnomalyMask(Mask):
    """The changed pixels of the image in the same sample, written by the transforms of this package.

    Put a mask of zeros of the image's H×W into the sample. In a boolean or integer mask, the changed pixels are set; a
    floating-point mask becomes the target of a pixel loss. The masks of earlier transforms of a chain are kept:
    boolean or integer masks are united, and floating-point masks become 1 − (1 − a)(1 − b).
    """
