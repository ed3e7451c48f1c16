"""Compute lung masks once, and store them in a file."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from anatpaste_aug.mask_cache.identity import fingerprint_of, image_keys, key_of
from anatpaste_aug.mask_cache.loading import Dataset, load_batches
from anatpaste_aug.mask_cache.store import Mask, MaskCacheError, MaskStore
from anatpaste_aug.segmentation import LungSegmenter, Segmenter
from anatpaste_aug.validation import check_region_mask

_COMPARED = 16  # images that `fill` compares with those that were segmented

Indices = int | Sequence[int] | npt.NDArray[np.integer] | Tensor
"""One index of the dataset, or several, from 0 on."""


class MaskCache:
    """Lung masks of a dataset, computed once: segmentation is most of the work of an augmentation.

    A mask is looked up by the content of its image (bytes, dtype and shape), or by its index in the dataset that filled
    the cache. Masks need one bit per pixel: 100,000 masks of 256×256 need about 1 GB. The file is an SQLite database.

    Convention:
        * Masks equal the segmenter's bit for bit. After a change of the segmenter or of an image, its mask is missing.
        * Threads, workers of a DataLoader and several processes may read and fill one file at once. On a network file
          system, this needs one with working locks.
        * A killed process only loses the batch that it was working on. The next `fill` continues from there.
        * Every mask is verified when it is read: a file damaged by a power failure, say, gives no wrong masks.

    Args:
        path: The file. It is created if it does not exist.
        segmenter: Callable from B×C×H×W images to boolean B×1×H×W masks. None is `LungSegmenter()`.
        fingerprint: A text that changes whenever the masks do. It is required for functions and networks, because their
            ``repr`` does not show their settings or weights. None uses the class and settings of the segmenter.

    Raises:
        MaskCacheError: The file cannot be opened or created, is damaged, or is not a mask cache.
        ValueError: The segmenter needs a fingerprint.

    Example:
        >>> import tempfile
        >>> from anatpaste_aug import AnatPasteTransform
        >>> images = torch.rand(8, 1, 64, 64)
        >>> cache = MaskCache(os.path.join(tempfile.mkdtemp(), "lungs.sqlite"))
        >>> cache.fill(images, progress=False)
        >>> indices = torch.tensor([5, 2])
        >>> result = AnatPasteTransform().augment(images[indices], cache[indices])
    """

    def __init__(
        self, path: str | os.PathLike[str], *, segmenter: Segmenter | None = None, fingerprint: str | None = None
    ) -> None:
        self.segmenter: Segmenter = LungSegmenter() if segmenter is None else segmenter
        self._key = key_of(fingerprint_of(self.segmenter) if fingerprint is None else fingerprint)
        self._store = MaskStore(Path(path).absolute())

    @property
    def path(self) -> Path:
        """The file."""
        return self._store.path

    def __len__(self) -> int:
        """Return the number of indices that have masks."""
        return len(self._store.positions(self._key))

    def __getitem__(self, indices: Indices) -> Tensor:
        """Look up boolean masks by index: 1×H×W for one index, B×1×H×W for several, on the CPU.

        Raises:
            TypeError: The indices are not integers.
            ValueError: The masks have different sizes, so that they cannot form a batch.
            MaskCacheError: A mask is missing or damaged.
        """
        given = np.asarray(indices.cpu() if isinstance(indices, Tensor) else indices)
        if given.ndim > 1 or (given.size and given.dtype.kind not in "iu"):
            raise TypeError(
                f"indices must be integers, one or a list of them, got {given.dtype} of shape {given.shape}; use "
                "range() in place of a slice, and nonzero() in place of a boolean mask"
            )
        positions: list[int] = given.reshape(-1).tolist()
        images = self._store.images_at(positions)
        found = self._store.find(self._key, [image or b"" for image in images])
        masks = [mask for mask in found if mask is not None]
        if len(masks) < len(found):
            lost = [position for position, mask in zip(positions, found, strict=True) if mask is None]
            raise MaskCacheError(
                f"{self.path} has no undamaged masks of images {_first(lost)} with this segmenter; "
                "cache.fill(dataset) computes them"
            )
        stacked = _stack(masks)
        return stacked[0] if given.ndim == 0 else stacked

    def for_images(self, images: Tensor, *, device: torch.device | str | None = None) -> Tensor:
        """Look up masks by the content of the images; compute and store those that are missing.

        If they cannot be stored, a warning says why, and the masks are returned all the same.

        Args:
            images: B×1×H×W or B×3×H×W on the CPU, where they are hashed.
            device: Where to segment. None is the CPU.

        Returns:
            Boolean B×1×H×W on the CPU.

        Raises:
            TypeError, ValueError: These are not images, or not on the CPU.
        """
        keys = image_keys(images)
        masks, new = self._find_or_compute(images, keys, device)
        try:
            self._put(keys, masks, new)
        except MaskCacheError as error:
            warnings.warn(f"new masks are not kept: {error}", stacklevel=3)
        return _stack(masks) if masks else images.new_zeros(images[:, :1].shape, dtype=torch.bool)

    def fill(
        self,
        dataset: Dataset,
        *,
        batch_size: int = 64,
        workers: int = 0,
        device: torch.device | str | None = None,
        progress: bool = True,
    ) -> None:
        """Compute the missing masks, reading only the images that need them.

        Up to 16 of the other images are compared with those that were segmented: a dataset in another order, or with
        random transforms, is an error.

        Args:
            dataset: Tensor N×C×H×W, or any object with a length and integer indices. Its items are C×H×W tensors, uint8
                or floating point, or PIL images (L, RGB), or tuples or lists that begin with one, or mappings with one
                under "image".
            batch_size: Number of images to segment at once.
            workers: Number of threads that read images, for thread-safe datasets. With 0, the calling thread does.
            device: Where to segment. None is the images' device.
            progress: Show a progress bar.

        Raises:
            MaskCacheError: The file cannot be written, or was filled with other images.
            TypeError, ValueError: A setting is invalid, or an image has an unsupported type, shape or dtype.
        """
        for name, value, least in (("batch_size", batch_size, 1), ("workers", workers, 0)):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        self._store.check_writable()
        done = [position for position in self._store.positions(self._key) if position < len(dataset)]
        todo = sorted(set(range(len(dataset))) - set(done))
        compared = [done[i] for i in np.linspace(0, len(done) - 1, min(_COMPARED, len(done))).astype(int)]
        for positions, images in load_batches(dataset, compared, batch_size=1, workers=0):
            self._store.compare(positions, image_keys(images.cpu()))
        with tqdm(total=len(dataset), initial=len(done), desc="lung masks", unit="image", disable=not progress) as bar:
            for positions, images in load_batches(dataset, todo, batch_size=batch_size, workers=workers):
                keys = image_keys(images.cpu())
                self._store.place(positions, keys)
                self._put(keys, *self._find_or_compute(images, keys, device))
                bar.update(len(positions))

    def _find_or_compute(
        self, images: Tensor, keys: Sequence[bytes], device: torch.device | str | None
    ) -> tuple[list[Mask], list[int]]:
        """Return the H×W masks of these images, and which of them are new."""
        stored = self._store.find(self._key, keys)
        new = [i for i, mask in enumerate(stored) if mask is None]
        computed = iter(segment(self.segmenter, images[new], device).cpu()[:, 0].numpy() if new else [])
        return [next(computed) if mask is None else mask for mask in stored], new

    def _put(self, keys: Sequence[bytes], masks: Sequence[Mask], new: Sequence[int]) -> None:
        if new:
            self._store.put(self._key, [keys[i] for i in new], [masks[i] for i in new])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r}, segmenter={self.segmenter!r})"


@torch.no_grad()
def segment(segmenter: Segmenter, images: Tensor, device: torch.device | str | None = None) -> Tensor:
    """Return boolean B×1×H×W masks. Images that did not converge on an accelerator are segmented on the CPU."""
    moved = images if device is None else images.to(device)
    if not isinstance(segmenter, LungSegmenter):
        return check_region_mask(segmenter(moved), moved, "the segmenter's result")
    masks, converged = segmenter.segment(moved)
    if not converged.all():
        masks = torch.where(converged.view(-1, 1, 1, 1), masks, segmenter(moved.cpu()).to(masks.device))
    return masks


def _stack(masks: Sequence[Mask]) -> Tensor:
    """Stack B masks to boolean B×1×H×W."""
    if len(sizes := {mask.shape for mask in masks}) > 1:
        text = ", ".join(f"{height}×{width}" for height, width in sorted(sizes))
        raise ValueError(f"the masks are of different sizes ({text}); read them one at a time")
    return torch.from_numpy(np.stack(masks)).unsqueeze(1) if masks else torch.zeros(0, 1, 0, 0, dtype=torch.bool)


def _first(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:5])) + (f", … ({len(numbers)} in all)" if len(numbers) > 5 else "")
