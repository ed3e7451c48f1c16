"""Masks with a meaning, so that nobody's own annotation is read or overwritten."""

from torchvision.tv_tensors import Mask


class LungMask(Mask):
    """The lungs of the image in the same sample: `AnatPasteTransform` reads it instead of segmenting.

    Boolean or integer (non-zero is lung), with the image's leading dimensions: H×W or 1×H×W for a C×H×W image.
    torchvision's geometric transforms move it along with the image, as every ``Mask``; dictionaries by type must name
    it, see `AnomalyMask`.
    """


class AnomalyMask(Mask):
    """The changed pixels of the image in the same sample: `AnatPasteTransform` and `CutPasteTransform` write it.

    Put a mask of zeros of the image's H×W into the sample. Each transform adds what it changed to what stands there:
    a boolean or integer mask is 1 where any of them changed a pixel, a floating-point one is 1 − Π(1 − X_mask). It
    stays as it is where the image was left alone.

    torchvision's geometric transforms move it along with the image, as every ``Mask``. Its dictionaries by type look up
    the exact type, and what is said there of ``tv_tensors.Mask`` does not hold for this class: name it as well, as in
    ``v2.ToDtype({tv_tensors.Image: torch.float32, AnomalyMask: torch.int64, "others": None}, scale=True)``, and in the
    ``fill`` of ``v2.RandomAffine``.
    """
