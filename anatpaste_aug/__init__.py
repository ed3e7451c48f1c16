"""AnatPaste: realistic synthetic anomalies for unsupervised anomaly detection in chest radiographs.

from anatpaste_aug import AnatPasteTransform
transform = AnatPasteTransform()
augmented = transform(image)               # PIL image, tv_tensors.Image or tensor, alone or in a sample
result = transform.augment(batch)          # B×C×H×W: image, anomaly_mask, soft_mask, target, label, region_mask, params
"""

from .caching import CachedSegmenter, MaskCache, MaskCacheError
from .paste import PasteConfig, PasteParams, PasteResult
from .segmentation import (
    CTLungSegmenter,
    Difference,
    FixedMask,
    Intersection,
    LungFieldSegmenter,
    LungSegmenter,
    NetworkSegmenter,
    PerSide,
    Segmenter,
    SegmenterModule,
    ThresholdSegmenter,
    Union,
)
from .transforms import (
    AnatPasteTransform,
    AnomalyMask,
    CutPasteTransform,
    FPITransform,
    NSATransform,
    OneClassBatch,
    OneClassPairs,
    OneClassSample,
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
    "Difference",
    "FPITransform",
    "FixedMask",
    "Intersection",
    "LungFieldSegmenter",
    "LungSegmenter",
    "MaskCache",
    "MaskCacheError",
    "NSATransform",
    "NetworkSegmenter",
    "OneClassBatch",
    "OneClassPairs",
    "OneClassSample",
    "PIITransform",
    "PasteConfig",
    "PasteParams",
    "PasteResult",
    "PasteTransform",
    "PerSide",
    "RegionMask",
    "Segmenter",
    "SegmenterModule",
    "ThresholdSegmenter",
    "Union",
    "collate_one_class",
    "one_class_batch",
    "warm_up",
]
