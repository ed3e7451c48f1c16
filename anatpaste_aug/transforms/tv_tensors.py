"""Masks with a meaning, so that nobody's own annotation is read or overwritten."""

from torchvision.tv_tensors import Mask


class LungMask(Mask):
    """The lungs of the image in the same sample: `AnatPasteTransform` reads it instead of segmenting.

    Boolean or integer (non-zero is lung), with the image's leading dimensions: H×W or 1×H×W for a C×H×W image.
    torchvision's geometric transforms move it along with the image, as every ``Mask``.
    """


class AnomalyMask(Mask):
    """The changed pixels of the image in the same sample: `AnatPasteTransform` writes it.

    Put a mask of zeros of the image's H×W into the sample. A boolean or integer one comes back as X_mask > 0, a
    floating-point one as X_mask itself; it is empty where the image was left alone.
    """
