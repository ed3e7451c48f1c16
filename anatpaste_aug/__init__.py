"""AnatPaste: realistic synthetic anomalies for unsupervised anomaly detection in chest radiographs.

from anatpaste_aug import AnatPasteTransform
transform = AnatPasteTransform()
augmented = transform(image)               # PIL image, tv_tensors.Image or tensor, alone or in a sample
result = transform.augment(batch)          # B×C×H×W: image, anomaly_mask, lung_mask, params
"""

from .caching import CachedSegmenter, MaskCache, MaskCacheError
from .cutpaste_params import CutPasteConfig, CutPasteParams, sample_cutpaste_params
from .params import AnatPasteConfig, AnatPasteParams, draw_uniforms, sample_params
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
    AnatPasteErasing,
    AnatPasteMixup,
    AnatPasteResult,
    AnatPasteSettings,
    AnatPasteTransform,
    AnomalyMask,
    CutPasteResult,
    CutPasteTransform,
    KorniaAnatPaste,
    LungMask,
    OneClassBatch,
    OneClassPairs,
    OneClassSample,
    collate_one_class,
    one_class_batch,
    warm_up,
)

__version__ = "0.1.0"

__all__ = [
    "AnatPasteConfig",
    "AnatPasteErasing",
    "AnatPasteMixup",
    "AnatPasteParams",
    "AnatPasteResult",
    "AnatPasteSettings",
    "AnatPasteTransform",
    "AnomalyMask",
    "CTLungSegmenter",
    "CachedSegmenter",
    "CutPasteConfig",
    "CutPasteParams",
    "CutPasteResult",
    "CutPasteTransform",
    "Difference",
    "FixedMask",
    "Intersection",
    "KorniaAnatPaste",
    "LungFieldSegmenter",
    "LungMask",
    "LungSegmenter",
    "MaskCache",
    "MaskCacheError",
    "NetworkSegmenter",
    "OneClassBatch",
    "OneClassPairs",
    "OneClassSample",
    "PerSide",
    "Segmenter",
    "SegmenterModule",
    "ThresholdSegmenter",
    "Union",
    "collate_one_class",
    "draw_uniforms",
    "one_class_batch",
    "sample_cutpaste_params",
    "sample_params",
    "warm_up",
]
