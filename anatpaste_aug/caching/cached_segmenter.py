"""A segmenter that remembers what it has seen."""

import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..segmentation import LungSegmenter, Segmenter
from ..validation import check_region_mask
from .identity import image_keys
from .layout import MaskCacheError
from .packing import pack_masks, unpack_masks
from .storage import Bytes

if TYPE_CHECKING:
    from .mask_cache import MaskCache


class CachedSegmenter:
    """A segmenter for ``AnatPasteTransform(segmenter=...)`` that looks images up in a cache by their content.

    For whoever has no indices at hand: the same bytes get the mask that they got before. New images are segmented, and
    stored if the cache has ``key="content"``; one with ``key="index"`` takes masks from `MaskCache.fill` alone. What a
    random transform has changed is a new image every time.

    Convention:
        * in: B×1×H×W or B×3×H×W on the CPU, of the cache's size; hashing needs the bytes on the host
        * out: boolean B×1×H×W, bit for bit what the cache's segmenter gives for each image alone
        * workers of a DataLoader share what they store

    Args:
        cache: The masks, and the segmenter behind them.
        device: Where new images are segmented; None is where they are.

    Raises:
        MaskCacheError: The cache is a copy through pickle, without its segmenter.

    Example:
        >>> from anatpaste_aug import AnatPasteTransform
        >>> from anatpaste_aug.caching import MaskCache
        >>> cache = MaskCache.in_memory(count=1000, size=(64, 64), key="content")
        >>> transform = AnatPasteTransform(segmenter=CachedSegmenter(cache))
        >>> images = torch.rand(4, 1, 64, 64)
        >>> first, second = transform.augment(images), transform.augment(images)  # the second finds its masks
        >>> torch.equal(first.region_mask, second.region_mask)
        True
    """

    def __init__(self, cache: "MaskCache", *, device: torch.device | str | None = None) -> None:
        self.cache = cache
        self.segmenter: Segmenter = cache.segmenter  # a cache loses it on the way to another process
        self.device = device

    def __call__(self, images: Tensor) -> Tensor:
        """Boolean B×1×H×W masks of B×C×H×W images.

        Raises:
            TypeError, ValueError: The images are on an accelerator, of another size than the cache's, or no images.
        """
        keys = image_keys(images, self.cache.size)
        packed, found = self.cache.table.find(keys)
        if not found.all():
            masks = segment(self.segmenter, images[torch.from_numpy(~found)], self.device)
            packed[~found] = pack_masks(masks).cpu().numpy()
            if self.cache.key == "content":
                self._store(keys[~found], packed[~found])
        return unpack_masks(torch.from_numpy(packed), self.cache.size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.cache!r})"

    def _store(self, keys: Bytes, packed: Bytes) -> None:
        storage = self.cache.storage
        try:
            storage.check_writable()
            if self.cache.table.add(keys, packed):
                return
            reason = f"{storage!r} is full with {len(self.cache)} masks; make it anew with a larger count"
        except MaskCacheError as error:
            reason = str(error)
        warnings.warn(f"new images are segmented at every call, since {reason}", stacklevel=3)


@torch.no_grad()
def segment(segmenter: Segmenter, images: Tensor, device: torch.device | str | None = None) -> Tensor:
    """Boolean B×1×H×W masks that are worth keeping: where an accelerator did not settle, the CPU's."""
    moved = images if device is None else images.to(device)
    if not isinstance(segmenter, LungSegmenter):
        return check_region_mask(segmenter(moved), moved, "the segmenter's result")
    masks, converged = segmenter.segment(moved)
    if not converged.all():
        masks = torch.where(converged.view(-1, 1, 1, 1), masks, segmenter(moved.cpu()).to(masks.device))
    return masks
