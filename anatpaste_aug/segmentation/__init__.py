"""Segmenters: from an image batch to a boolean mask batch. Any such callable can replace them."""

from anatpaste_aug.segmentation.base import Segmenter, SegmenterModule, segment_with
from anatpaste_aug.segmentation.combine import Difference, Intersection, PerSide, Union
from anatpaste_aug.segmentation.ct import CTLungSegmenter
from anatpaste_aug.segmentation.fixed import FixedMask
from anatpaste_aug.segmentation.learned import NetworkSegmenter
from anatpaste_aug.segmentation.lungs import LungFieldSegmenter, LungSegmenter
from anatpaste_aug.segmentation.threshold import ThresholdSegmenter

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
