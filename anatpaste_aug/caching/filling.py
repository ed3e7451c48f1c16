"""Filling a mask cache from a dataset: read, segment, write; in worker processes if there are any."""

import multiprocessing
import os
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import PIL.Image
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms.v2 import functional as tvf

from ..validation import check_images
from .cached_segmenter import CachedSegmenter, segment
from .identity import image_keys
from .layout import MaskCacheError
from .packing import pack_masks

if TYPE_CHECKING:
    from .mask_cache import MaskCache

_COMPARED = 16  # images that are compared with what the masks were made of


class Images(Protocol):
    """Anything with a length that gives an image, or a sample with one, for an integer index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


def fill(
    cache: "MaskCache",
    dataset: Images,
    *,
    batch_size: int,
    workers: int,
    indices: Sequence[int],
    device: torch.device | str | None,
    progress: bool,
) -> None:
    """See `MaskCache.fill`; the indices are checked."""
    for name, value, least in (("batch_size", batch_size, 1), ("workers", workers, 0)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise TypeError(f"dataset must have a length and integer indices, got {type(dataset).__name__}")
    if cache.key == "index" and len(dataset) != len(cache):
        raise ValueError(
            f"the dataset has {len(dataset)} images and the cache {len(cache)} slots; they must be the same"
        )
    if workers and device is not None and torch.device(device).type != "cpu":
        raise ValueError(f"workers={workers} cannot share {device}; pass workers=0 and larger batches")
    cache.storage.check_writable()
    tqdm = _tqdm() if progress else None
    todo = list(indices)
    if cache.key == "index":
        gone = set(cache.missing().tolist())
        todo = [index for index in indices if index in gone]
        _compare(cache, dataset, [index for index in indices if index not in gone])
    batches = [todo[start : start + batch_size] for start in range(0, len(todo), batch_size)]
    loader: DataLoader[int] = DataLoader(
        _Filler(cache, dataset, device),  # type: ignore[arg-type]
        batch_size=None,
        sampler=batches,
        num_workers=workers,
        worker_init_fn=_end_with_parent,
        generator=torch.Generator(),  # or the loader draws from the user's stream of random numbers
    )
    bar = tqdm(total=len(indices), initial=len(indices) - len(todo), desc="lung masks", unit="image") if tqdm else None
    try:
        for done in loader:
            if bar is not None:
                bar.update(done)
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):  # which is how torch says that one is gone
            raise
        raise MaskCacheError(
            f"a worker process has died, killed for want of memory perhaps ({error}); what was finished is kept: fill "
            "again to go on, with fewer workers or smaller batches"
        ) from error
    finally:
        if bar is not None:
            bar.close()
        cache.storage.flush()


class _Filler:
    """The work of one process: a list of indices in, their masks written, their number out."""

    def __init__(self, cache: "MaskCache", dataset: Images, device: torch.device | str | None) -> None:
        self._cache, self._dataset, self._device = cache, dataset, device
        self._segmenter = cache.segmenter  # a cache loses it on the way to another process
        self._by_content = CachedSegmenter(cache, device=device) if cache.key == "content" else None

    def __getitem__(self, indices: list[int]) -> int:
        images = _batch(self._dataset, indices, self._cache.size)
        if self._by_content is not None:
            self._by_content(images.cpu())
            return len(indices)
        masks = segment(self._segmenter, images, self._device)
        slots, packed = np.array(indices, dtype=np.int64), pack_masks(masks).cpu().numpy()
        self._cache.storage.write(slots, image_keys(images.cpu(), self._cache.size), packed)
        return len(indices)


def _end_with_parent(worker: int) -> None:
    """A worker notices by itself if its parent is killed, but not while it starts: it would wait for work forever."""
    threading.Thread(target=_exit_after, args=(multiprocessing.parent_process(),), daemon=True).start()


def _exit_after(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _compare(cache: "MaskCache", dataset: Images, finished: Sequence[int]) -> None:
    """Raise where a finished mask was made of another image than the dataset has now."""
    chosen = [finished[i] for i in np.linspace(0, len(finished) - 1, min(_COMPARED, len(finished))).astype(int)]
    for index in chosen:
        key = image_keys(_batch(dataset, [index], cache.size).cpu(), cache.size)
        if not np.array_equal(key, cache.storage.keys(np.array([index]))):
            raise MaskCacheError(
                f"image {index} is not the one whose mask is in {cache.storage!r} (its bytes or dtype differ); "
                "give the same dataset in the same order without random transforms, or delete the cache"
            )


def _batch(dataset: Images, indices: Sequence[int], size: tuple[int, int]) -> Tensor:
    """B×C×H×W of these indices, on whatever device the dataset has them."""
    images = [_image(dataset[index], index) for index in indices]
    for index, image in zip(indices, images, strict=True):
        if tuple(image.shape[-2:]) != size:
            raise ValueError(
                f"image {index} is of {image.shape[-2]}×{image.shape[-1]} pixels and the cache of {size[0]}×{size[1]}"
            )
        if image.shape != images[0].shape or image.dtype != images[0].dtype:
            raise ValueError(
                f"image {index} has {image.dtype} of shape {tuple(image.shape)}, and image {indices[0]} has "
                f"{images[0].dtype} of shape {tuple(images[0].shape)}; bring them to one form"
            )
    return check_images(torch.stack(images))


def _image(sample: Any, index: int) -> Tensor:
    found = sample
    if isinstance(sample, Mapping):
        found = sample.get("image")
    elif isinstance(sample, tuple | list) and sample:
        found = sample[0]
    if isinstance(found, PIL.Image.Image) and found.mode in ("L", "RGB"):
        found = tvf.pil_to_tensor(found)
    if not isinstance(found, Tensor) or found.ndim != 3:
        raise TypeError(
            f"sample {index} of the dataset must be a C×H×W tensor or a PIL image (L, RGB), or have one in first place "
            f'or under "image", got {_kind(found)}'
        )
    return found.as_subclass(Tensor)


def _kind(found: object) -> str:
    if isinstance(found, Tensor):
        return f"a tensor of shape {tuple(found.shape)}"
    return f"{type(found).__name__} {found.mode}" if isinstance(found, PIL.Image.Image) else type(found).__name__


def _tqdm() -> Any:
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise ImportError('the progress bar needs tqdm: pip install "anatpaste_aug[datasets]"') from error
    return tqdm
