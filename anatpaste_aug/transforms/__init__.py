"""The recipes as torchvision v2 transforms, and one-class pairs made with them."""

from .base import PasteTransform
from .pairs import OneClassBatch, OneClassPairs, OneClassSample, collate_one_class, one_class_batch
from .recipes import AnatPasteTransform, CutPasteTransform, FPITransform, NSATransform, PIITransform
from .tv_tensors import AnomalyMask, RegionMask
from .warming import warm_up

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
