"""A segmenter that looks masks up before it computes them."""

import torch
from torch import Tensor

from anatpaste_aug.mask_cache.mask_cache import MaskCache


class CachedSegmenter:
    """A segmenter for ``AnatPasteTransform(segmenter=...)`` that finds masks by the content of their images.

    Use it where the index of an image is not at hand. New images are segmented and their masks stored. An image that a
    random transform has changed is a new image every time: put the augmentation before such transforms.

    Convention:
        * in: B×1×H×W or B×3×H×W on the CPU; hashing needs the bytes on the host
        * out: boolean B×1×H×W, bit for bit what the cache's segmenter gives

    Args:
        cache: The masks, and the segmenter behind them.
        device: Where new images are segmented. None is the CPU.

    Example:
        >>> import os, tempfile
        >>> from anatpaste_aug import AnatPasteTransform
        >>> cache = MaskCache(os.path.join(tempfile.mkdtemp(), "lungs.sqlite"))
        >>> transform = AnatPasteTransform(segmenter=CachedSegmenter(cache))
        >>> images = torch.rand(4, 1, 64, 64)
        >>> first, second = transform.augment(images), transform.augment(images)  # the second finds its masks
        >>> torch.equal(first.region_mask, second.region_mask)
        True
    """

    def __init__(self, cache: MaskCache, *, device: torch.device | str | None = None) -> None:
        self.cache = cache
        self.device = device

    def __call__(self, images: Tensor) -> Tensor:
        """Boolean B×1×H×W masks of B×C×H×W images.

        Raises:
            TypeError, ValueError: These are not images, or not on the CPU.
        """
        return self.cache.for_images(images, device=self.device)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.cache!r})"
