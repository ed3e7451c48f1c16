"""AnatPaste: realistic synthetic anomalies for unsupervised anomaly detection in chest radiographs.

from anatpaste_aug import AnatPasteTransform
transform = AnatPasteTransform()
augmented = transform(image)               # PIL image, tv_tensors.Image or tensor, alone or in a sample
result = transform.augment(batch)          # B×C×H×W: image, anomaly_mask, lung_mask, params
"""

from .params import AnatPasteConfig, AnatPasteParams, sample_params
from .segmentation import LungSegmenter, Segmenter
from .transforms import AnatPasteResult, AnatPasteTransform, AnomalyMask, LungMask

__version__ = "0.1.0"

__all__ = [
    "AnatPasteConfig",
    "AnatPasteParams",
    "AnatPasteResult",
    "AnatPasteTransform",
    "AnomalyMask",
    "LungMask",
    "LungSegmenter",
    "Segmenter",
    "sample_params",
]
