"""The recipes as torchvision v2 transforms, and training pairs for one-class classification."""

from anatpaste_aug.transforms.base import PasteTransform
from anatpaste_aug.transforms.pairs import (
    OneClassBatch,
    OneClassPairs,
    OneClassSample,
    collate_one_class,
    one_class_batch,
)
from anatpaste_aug.transforms.recipes import (
    AnatPasteTransform,
    CutPasteTransform,
    FPITransform,
    NSATransform,
    PIITransform,
)
from anatpaste_aug.transforms.tv_tensors import AnomalyMask, RegionMask
from anatpaste_aug.transforms.warming import warm_up

__all__ = [
    "AnatPasteTransform",
    "AnomalyMask",
    "CutPasteTransform",
    "FPITransform",
    "NSATransform",
    "OneClassBatch",
    "OneClassPairs",
    "OneClassSample",
    "PIITransform",
    "PasteTransform",
    "RegionMask",
    "collate_one_class",
    "one_class_batch",
    "warm_up",
]
