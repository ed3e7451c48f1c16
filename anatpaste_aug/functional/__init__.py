"""Pure functions on tensor batches: no randomness, no state."""

from .clahe import clahe
from .components import clear_border, label_components, remove_small_components
from .cutpaste import cutpaste, cutpaste_mask
from .intensity import Intensities, to_gray
from .jitter import color_jitter
from .morphology import dilate, erode, opening
from .otsu import otsu_threshold
from .paste import blend, paste, soft_mask
from .segment import segment_lungs

__all__ = [
    "Intensities",
    "blend",
    "clahe",
    "clear_border",
    "color_jitter",
    "cutpaste",
    "cutpaste_mask",
    "dilate",
    "erode",
    "label_components",
    "opening",
    "otsu_threshold",
    "paste",
    "remove_small_components",
    "segment_lungs",
    "soft_mask",
    "to_gray",
]
