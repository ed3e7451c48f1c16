"""A segmenter that looks masks up before it computes them."""

import torch
from torch import Tensor

from anatpaste_aug.mask_cache.mask_cache import MaskCache


class CachedSegmenter:
    """A segmenter for ``AnatPasteTransform(segmenter=...)`` that looks up masks by the content of their images.

    Use it if you do not know the index of an image in its dataset. New images are segmented and their masks stored. An
    image that a random transform has changed is a new image every time: augment before such transforms.

    Convention:
        * in: B×1×H×W or B×3×H×W on the CPU; hashing needs the bytes on the host
        * out: boolean B×1×H×W, bit for bit the masks of the cache's segmenter

    Args:
        cache: The masks, and the segmenter that computes them.
        device: Where new images are segmented. None is the CPU.

    Example:
        >>> import os, tempfile
        >>> from anatpaste_aug import AnatPasteTransform
        >>> cache = MaskCache(os.path.join(tempfile.mkdtemp(), "lungs.sqlite"))
        >>> transform = AnatPasteTransform(segmenter=CachedSegmenter(cache))
        >>> images = torch.rand(4, 1, 64, 64)
        >>> first, second = transform.augment(images), transform.augment(images)  # the second call finds the masks
        >>> torch.equal(first.region_mask, second.region_mask)
        True
    """

    def __init__(self, cache: MaskCache, *, device: torch.device | str | None = None) -> None:
        self.cache = cache
        self.device = device

    def __call__(self, images: Tensor) -> Tensor:
        """Return the boolean B×1×H×W masks of B×C×H×W images.

        Raises:
            TypeError, ValueError: The argument is not a batch of images, or not on the CPU.
        """
        return self.cache.for_images(images, device=self.device)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.cache!r})"
