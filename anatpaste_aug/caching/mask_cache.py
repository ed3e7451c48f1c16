"""Lung masks that are computed once, packed to one bit a pixel, in a file or in memory."""

import os
from collections.abc import Iterable
from operator import index
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from ..segmentation import LungSegmenter, Segmenter
from .content import ContentTable
from .creation import Stale, open_file
from .filling import Images, fill
from .identity import fingerprint_of, image_keys
from .indexing import Indices, listed, slots_of
from .layout import Key, Layout, MaskCacheError
from .packing import unpack_masks
from .storage import MemoryStorage, Slots, Storage


class MaskCache:
    """Lung masks of a dataset, computed once: finding the lungs of an image is most of the work of its augmentation.

    One bit a pixel, so that 100,000 images of 256×256 take 0.82 GB. Every mask that is read is checked: it is what the
    segmenter gave for the image, or there is a MaskCacheError. A cache is made with `open` or `in_memory`, filled with
    `fill`, and read with ``cache[indices]``.

    Convention:
        * ``key="index"``: slot i belongs to image i of the dataset that filled it. ``key="content"``: slots belong to
          images in the order in which `CachedSegmenter` sees them, ``count`` of them at most.
        * many processes may read and fill at once, also on one file. A process that is killed loses the masks that it
          was about to write, and no others; the next `fill` goes on from there. Power may fail after `fill` or `close`
          has returned; before that, masks of the last minute or so may be missing afterwards.
        * the file is valid for one segmenter with its settings, one size and one count; see ``stale``
        * a pickled cache is a path: a worker of a DataLoader opens the file anew, by fork or by spawn. It cannot fill.

    Example:
        >>> from anatpaste_aug import AnatPasteTransform
        >>> images = torch.rand(8, 1, 64, 64)
        >>> cache = MaskCache.in_memory(count=8, size=(64, 64))
        >>> cache.fill(images, progress=False)
        >>> indices = torch.tensor([5, 2])
        >>> result = AnatPasteTransform().augment(images[indices], cache[indices])
    """

    def __init__(self, storage: Storage, segmenter: Segmenter | None) -> None:
        self._held: Storage | None = storage
        self._segmenter = segmenter
        self._table: ContentTable | None = None

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        count: int,
        size: tuple[int, int],
        segmenter: Segmenter | None = None,
        fingerprint: str | None = None,
        key: Key = "index",
        stale: Stale = "error",
    ) -> Self:
        """Open the cache in a file, or create it with all the space that it will take.

        Args:
            path: The file. An empty lock file is left beside it.
            count: Number of images; with ``key="content"``, the most that are held.
            size: (H, W) of the images.
            segmenter: Callable from B×C×H×W images to boolean B×1×H×W masks; None takes `LungSegmenter`.
            fingerprint: What the masks depend on, in words; needed where the segmenter cannot tell by itself. None
                takes its class and settings, and the version of the algorithm.
            key: "index", or "content" for a `CachedSegmenter`.
            stale: What to do about a file that is damaged or was made with other settings: "error", or "rebuild", which
                starts it anew. A file that is no mask cache is never replaced.

        Raises:
            MaskCacheError: The file cannot be opened or created: the disk is full, the folder read-only, the file
                another one. StaleMaskCacheError, one of its kind: it is stale.
            ValueError: A setting is impossible, or the segmenter needs a fingerprint.
        """
        if stale not in ("error", "rebuild"):
            raise ValueError(f'stale must be "error" or "rebuild", got {stale!r}')
        segmenter = LungSegmenter() if segmenter is None else segmenter
        layout = _layout(count, size, key, fingerprint_of(segmenter) if fingerprint is None else fingerprint)
        return cls(open_file(Path(path).absolute(), layout, stale), segmenter)

    @classmethod
    def in_memory(
        cls, *, count: int, size: tuple[int, int], segmenter: Segmenter | None = None, key: Key = "index"
    ) -> Self:
        """A cache in shared memory, which ends with the process; for the arguments see `open`.

        Workers of a DataLoader share it. A copy through plain ``pickle`` has its own memory.

        Raises:
            MaskCacheError: There is too little shared memory.
            ValueError: A setting is impossible.
        """
        storage = MemoryStorage(_layout(count, size, key, "in memory"))
        return cls(storage, LungSegmenter() if segmenter is None else segmenter)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the masks."""
        return self.storage.layout.height, self.storage.layout.width

    @property
    def key(self) -> Key:
        """What a slot stands for."""
        return self.storage.layout.key

    @property
    def nbytes(self) -> int:
        """Bytes of the file, or of the memory."""
        return self.storage.layout.nbytes

    @property
    def segmenter(self) -> Segmenter:
        """What the masks are computed with.

        Raises:
            MaskCacheError: This is a copy through pickle, which has none.
        """
        if self._segmenter is None:
            raise MaskCacheError("this cache came through pickle, without its segmenter; fill it where it was opened")
        return self._segmenter

    def __len__(self) -> int:
        return self.storage.layout.count

    def __getitem__(self, indices: Indices) -> Tensor:
        """Boolean masks on the CPU: 1×H×W of one index, as a dataset gives one image, B×1×H×W of many or a slice.

        Raises:
            IndexError: An index is out of range.
            TypeError: The indices are no integers, or the cache's slots have no index.
            MaskCacheError: A mask is missing or damaged.
        """
        masks = self.masks(indices)
        one = not isinstance(indices, slice) and np.ndim(indices) == 0  # type: ignore[arg-type]
        return masks[0] if one else masks

    def masks(self, indices: Indices, *, device: torch.device | str = "cpu") -> Tensor:
        """Boolean B×1×H×W masks on a device; an index alone is a batch of one. Raises what ``cache[indices]`` raises.

        The packed bytes are copied, an eighth of the masks, and unpacked there. Nothing waits for the device.
        """
        packed, device = self.packed(indices), torch.device(device)
        if device.type == "cuda":
            packed = packed.pin_memory()
        return unpack_masks(packed.to(device, non_blocking=True), self.size)

    def packed(self, indices: Indices = slice(None)) -> Tensor:
        """The masks as they are held, uint8 B×ceil(H·W / 8) on the CPU. Raises what ``cache[indices]`` raises.

        ``held = cache.packed().to("cuda")`` keeps a whole dataset on a device, and ``unpack_masks(held[indices],
        cache.size)`` takes indices that are there as well.
        """
        if self.key != "index":
            raise TypeError('the slots of a cache with key="content" have no index; use for_images or CachedSegmenter')
        slots = slots_of(indices, len(self))
        rows = self.storage.read(slots)
        if not rows.whole.all():
            self._complain(slots[~rows.committed], slots[rows.committed & ~rows.whole])
        return torch.from_numpy(rows.masks)

    def for_images(self, images: Tensor) -> Tensor:
        """Masks by the content of the images: of the very bytes, in the dtype, that `fill` or `CachedSegmenter` saw.

        Args:
            images: B×C×H×W on the CPU.

        Returns:
            Boolean B×1×H×W.

        Raises:
            MaskCacheError: A mask is missing or damaged.
            ValueError: The images are on another device or of another size.
        """
        packed, found = self.table.find(image_keys(images, self.size))
        if not found.all():
            which = listed(np.flatnonzero(~found))
            raise MaskCacheError(
                f"no mask in {self.storage!r} for images {which} of the batch; fill the cache with these very bytes, "
                "or use CachedSegmenter, which computes what is missing"
            )
        return unpack_masks(torch.from_numpy(packed), self.size)

    def missing(self) -> Tensor:
        """The indices, int64, that have no mask yet, or a damaged one. Every mask is looked at: 1 GB takes seconds."""
        return torch.from_numpy(self.storage.missing())

    def fill(
        self,
        dataset: Images,
        *,
        batch_size: int = 64,
        workers: int = 0,
        indices: Iterable[int] | None = None,
        device: torch.device | str | None = None,
        progress: bool = True,
    ) -> None:
        """Compute all masks that are missing. What is there already is not read again, so that a stopped run goes on.

        Before that, up to 16 images whose masks are there are compared with those that the masks were made of: a
        dataset in another order, or one with random transforms, is an error.

        Args:
            dataset: Tensor N×C×H×W, or anything with a length and integer indices that gives C×H×W tensors, uint8 or
                floating point, or PIL images (L, RGB), alone, first in a tuple or list, or under "image" in a mapping.
            batch_size: Images that are segmented at once.
            workers: Processes that read, segment and write, one thread each; with 0, this process does, in as many
                threads as torch has. The dataset and the segmenter must be picklable where processes are spawned.
            indices: Those to be filled, for instance a share of each machine; None is all.
            device: Where to segment; None leaves the images where they are. An accelerator needs ``workers=0``.
            progress: Show a progress bar.

        Raises:
            MaskCacheError: The cache cannot be written, holds masks of other images, or a worker process has died.
            TypeError, ValueError: The dataset is of another length, or an image of a kind or size that does not fit;
                the length is looked at before any work is done.
            ImportError: Without tqdm where ``progress`` is asked for.
        """
        fill(
            self,
            dataset,
            batch_size=batch_size,
            workers=workers,
            indices=range(len(self)) if indices is None else slots_of(list(indices), len(self)).tolist(),
            device=device,
            progress=progress,
        )

    def close(self) -> None:
        """Write everything to the disk and let go of the file; closing twice does nothing."""
        if self._held is not None:
            self._held.close()
        self._held = self._table = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        # Without the segmenter: readers need none, and a network would make a large parcel.
        return {"_held": self._held, "_segmenter": None, "_table": None}

    def __repr__(self) -> str:
        if self._held is None:
            return f"{type(self).__name__}(closed)"
        return f"{type(self).__name__}({self._held!r}, count={len(self)}, size={self.size}, key={self.key!r})"

    @property
    def storage(self) -> Storage:
        """The slots, for the package's own use."""
        if self._held is None:
            raise MaskCacheError("this cache is closed; open it again")
        return self._held

    @property
    def table(self) -> ContentTable:
        """The slots by content, for the package's own use."""
        if self._table is None:
            self._table = ContentTable(self.storage)
        return self._table

    def _complain(self, empty: Slots, damaged: Slots) -> None:
        parts = [f"{len(empty)} are missing ({listed(empty)})"] if len(empty) else []
        parts += [f"{len(damaged)} do not match their checksums ({listed(damaged)})"] if len(damaged) else []
        raise MaskCacheError(
            f"of the masks in {self.storage!r}, {' and '.join(parts)}; cache.fill(dataset) computes them"
        )


def _layout(count: int, size: tuple[int, int], key: Key, fingerprint: str) -> Layout:
    try:
        height, width = (index(side) for side in size)
        slots = index(count)
    except (TypeError, ValueError):
        raise ValueError(f"count must be an integer and size (H, W), got {count!r} and {size!r}") from None
    return Layout(count=slots, height=height, width=width, key=key, fingerprint=fingerprint)
