"""Lung masks that are computed once and kept, one bit a pixel.

>>> from anatpaste_aug.caching import MaskCache
>>> cache = MaskCache.open("lungs.masks", count=len(images), size=(256, 256))  # doctest: +SKIP
>>> cache.fill(images)  # doctest: +SKIP
>>> result = transform.augment(images[indices], cache[indices])  # doctest: +SKIP

The progress bar of ``fill`` needs tqdm: ``pip install "anatpaste_aug[datasets]"``.
"""

from .cached_segmenter import CachedSegmenter
from .layout import MaskCacheError, StaleMaskCacheError
from .mask_cache import MaskCache
from .packing import pack_masks, unpack_masks

__all__ = [
    "CachedSegmenter",
    "MaskCache",
    "MaskCacheError",
    "StaleMaskCacheError",
    "pack_masks",
    "unpack_masks",
]
