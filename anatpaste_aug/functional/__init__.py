"""Pure functions on tensor batches: no randomness, no state."""

from anatpaste_aug.functional.foreground import foreground_mask, intensity_target, patches_foreground
from anatpaste_aug.functional.intensity import Intensities, to_gray
from anatpaste_aug.functional.jitter import color_jitter
from anatpaste_aug.functional.lungs.clahe import clahe
from anatpaste_aug.functional.lungs.components import clear_border, label_components, remove_small_components
from anatpaste_aug.functional.lungs.disk import close_disk, dilate_disk, erode_disk, open_disk
from anatpaste_aug.functional.lungs.lung_field import segment_lung_field
from anatpaste_aug.functional.lungs.morphology import dilate, erode, opening
from anatpaste_aug.functional.lungs.otsu import otsu_threshold
from anatpaste_aug.functional.lungs.regions import fill_holes, keep_largest, remove_large_components
from anatpaste_aug.functional.lungs.segment import segment_lungs
from anatpaste_aug.functional.paste import paste, soft_mask
from anatpaste_aug.functional.poisson import poisson_blend

__all__ = [
    "Intensities",
    "clahe",
    "clear_border",
    "close_disk",
    "color_jitter",
    "dilate",
    "dilate_disk",
    "erode",
    "erode_disk",
    "fill_holes",
    "foreground_mask",
    "intensity_target",
    "keep_largest",
    "label_components",
    "open_disk",
    "opening",
    "otsu_threshold",
    "paste",
    "patches_foreground",
    "poisson_blend",
    "remove_large_components",
    "remove_small_components",
    "segment_lung_field",
    "segment_lungs",
    "soft_mask",
    "to_gray",
]
