"""Pure functions on tensor batches: no randomness, no state."""

from .clahe import clahe
from .components import clear_border, label_components, remove_small_components
from .cutpaste import cutpaste, cutpaste_mask
from .disk import close_disk, dilate_disk, erode_disk, open_disk
from .intensity import Intensities, to_gray
from .jitter import color_jitter
from .lung_field import segment_lung_field
from .morphology import dilate, erode, opening
from .otsu import otsu_threshold
from .paste import blend, paste, soft_mask
from .poisson import poisson_blend
from .regions import fill_holes, keep_largest, remove_large_components
from .segment import segment_lungs

__all__ = [
    "Intensities",
    "blend",
    "clahe",
    "clear_border",
    "close_disk",
    "color_jitter",
    "cutpaste",
    "cutpaste_mask",
    "dilate",
    "dilate_disk",
    "erode",
    "erode_disk",
    "fill_holes",
    "keep_largest",
    "label_components",
    "open_disk",
    "opening",
    "otsu_threshold",
    "paste",
    "poisson_blend",
    "remove_large_components",
    "remove_small_components",
    "segment_lung_field",
    "segment_lungs",
    "soft_mask",
    "to_gray",
]
