"""Compute lung masks once, and store them in a file, one bit per pixel.

>>> from anatpaste_aug.mask_cache import MaskCache
>>> cache = MaskCache("lungs.sqlite")  # doctest: +SKIP
>>> cache.fill(images)  # doctest: +SKIP
>>> result = transform.augment(images[indices], cache[indices])  # doctest: +SKIP
"""

from anatpaste_aug.mask_cache.cached_segmenter import CachedSegmenter
from anatpaste_aug.mask_cache.mask_cache import MaskCache
from anatpaste_aug.mask_cache.store import MaskCacheError

__all__ = ["CachedSegmenter", "MaskCache", "MaskCacheError"]
