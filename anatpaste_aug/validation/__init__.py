"""Checks of arguments: each raises one clear error, before any work is done."""

from anatpaste_aug.validation.arguments import (
    check_anomaly_mask,
    check_apply,
    check_donors,
    check_generator,
    check_region_mask,
    check_same_device,
    check_uniforms,
)
from anatpaste_aug.validation.images import check_finite, check_images, check_intensities, check_range, intensities_for
from anatpaste_aug.validation.params import check_params
from anatpaste_aug.validation.values import check_choice, check_count, check_number, check_segmenter

__all__ = [
    "check_anomaly_mask",
    "check_apply",
    "check_choice",
    "check_count",
    "check_donors",
    "check_finite",
    "check_generator",
    "check_images",
    "check_intensities",
    "check_number",
    "check_params",
    "check_range",
    "check_region_mask",
    "check_same_device",
    "check_segmenter",
    "check_uniforms",
    "intensities_for",
]
