"""Convert images to [0, 1], as a transform does."""

import torch
from torch import Tensor

from anatpaste_aug.functional import Intensities
from anatpaste_aug.functional.intensity import at_least_float32
from anatpaste_aug.transforms import PasteTransform

__all__ = ["unit_images"]


def unit_images(images: Tensor, transform: PasteTransform) -> Tensor:
    """Undo the transform's range and normalization: floating-point B×C×H×W with black at 0 and white at 1."""
    black, white = transform.value_range or ((0.0, 255.0) if images.dtype == torch.uint8 else (0.0, 1.0))
    return Intensities(black, white, transform.mean, transform.std).to_unit(at_least_float32(images))
