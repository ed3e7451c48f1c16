"""AnatPaste: realistic synthetic anomalies for unsupervised anomaly detection in chest radiographs.

from anatpaste_aug import AnatPasteTransform
transform = AnatPasteTransform()
augmented = transform(image)               # PIL image, tv_tensors.Image or tensor, alone or in a sample
result = transform.augment(batch)          # B×C×H×W: image, anomaly_mask, soft_mask, target, label, region_mask, params
"""

import importlib
from types import ModuleType

from anatpaste_aug.mask_cache import CachedSegmenter, MaskCache
from anatpaste_aug.paste import PasteConfig, PasteParams, PasteResult
from anatpaste_aug.segmentation import (
    CTLungSegmenter,
    FixedMask,
    LungFieldSegmenter,
    LungSegmenter,
    NetworkSegmenter,
    ThresholdSegmenter,
)
from anatpaste_aug.transforms import (
    AnatPasteTransform,
    AnomalyMask,
    CutPasteTransform,
    FPITransform,
    NSATransform,
    OneClassPairs,
    PasteTransform,
    PIITransform,
    RegionMask,
    collate_one_class,
    one_class_batch,
    warm_up,
)

__version__ = "0.2.0.dev0"

__all__ = [
    "AnatPasteTransform",
    "AnomalyMask",
    "CTLungSegmenter",
    "CachedSegmenter",
    "CutPasteTransform",
    "FPITransform",
    "FixedMask",
    "LungFieldSegmenter",
    "LungSegmenter",
    "MaskCache",
    "NSATransform",
    "NetworkSegmenter",
    "OneClassPairs",
    "PIITransform",
    "PasteConfig",
    "PasteParams",
    "PasteResult",
    "PasteTransform",
    "RegionMask",
    "ThresholdSegmenter",
    "collate_one_class",
    "one_class_batch",
    "warm_up",
]

# Imported at first use: the experiments take seconds to import and need optional dependencies.
_SUBPACKAGES = ("adapters", "datasets", "detection", "functional", "inspection", "segmentation", "transforms")


def __getattr__(name: str) -> ModuleType:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(["__version__", *__all__, *_SUBPACKAGES])
