"""Segmenters: from an image batch to a boolean mask batch. Any callable of that form can take their place."""

from .base import Segmenter, SegmenterModule, segment_with
from .combine import Difference, Intersection, PerSide, Union
from .ct import CTLungSegmenter
from .fixed import FixedMask
from .learned import NetworkSegmenter
from .lungs import LungFieldSegmenter, LungSegmenter
from .threshold import ThresholdSegmenter

__all__ = [
    "CTLungSegmenter",
    "Difference",
    "FixedMask",
    "Intersection",
    "LungFieldSegmenter",
    "LungSegmenter",
    "NetworkSegmenter",
    "PerSide",
    "Segmenter",
    "SegmenterModule",
    "ThresholdSegmenter",
    "Union",
    "segment_with",
]
