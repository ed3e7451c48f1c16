"""Masks with a meaning, so that nobody's own annotation is read or overwritten."""

from torchvision.tv_tensors import Mask


class RegionMask(Mask):
    """The region of the image in the same sample: `AnatPasteTransform` reads it instead of segmenting.

    Boolean or integer (non-zero is region), with the image's leading dimensions: H×W or 1×H×W for a C×H×W image.
    torchvision's geometric transforms move it along with the image, as every ``Mask``.
    """


class AnomalyMask(Mask):
    """The changed pixels of the image in the same sample: the transforms of this package write it.

    Put a mask of zeros of the image's H×W into the sample. A boolean or integer one comes back with the changed pixels
    set, a floating-point one with the target of a pixel loss. What an earlier transform of a chain has written stays:
    a boolean or integer mask becomes the union of both, a floating-point one 1 − (1 − a)(1 − b).
    """
