"""Thin adapters over the functional layer, one host each."""

from .anatpaste import AnatPasteResult, AnatPasteTransform
from .tv_tensors import AnomalyMask, LungMask

__all__ = ["AnatPasteResult", "AnatPasteTransform", "AnomalyMask", "LungMask"]
