"""Thin adapters over the functional layer, one host each.

Those for albumentations, anomalib, Lightning, MONAI and NumPy are imported from their own modules.
"""

from .anatpaste import AnatPasteTransform
from .cutpaste import CutPasteResult, CutPasteTransform
from .interface import AnatPasteResult, AnatPasteSettings
from .kornia import KorniaAnatPaste
from .pairs import OneClassBatch, OneClassPairs, OneClassSample, collate_one_class, one_class_batch
from .timm import AnatPasteErasing, AnatPasteMixup
from .tv_tensors import AnomalyMask, LungMask
from .warming import warm_up

__all__ = [
    "AnatPasteErasing",
    "AnatPasteMixup",
    "AnatPasteResult",
    "AnatPasteSettings",
    "AnatPasteTransform",
    "AnomalyMask",
    "CutPasteResult",
    "CutPasteTransform",
    "KorniaAnatPaste",
    "LungMask",
    "OneClassBatch",
    "OneClassPairs",
    "OneClassSample",
    "collate_one_class",
    "one_class_batch",
    "warm_up",
]
