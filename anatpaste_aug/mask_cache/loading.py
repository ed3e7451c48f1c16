"""Batches of images from any dataset, with the index of each."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import PIL.Image
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms.v2 import functional as tvf

from ..validation import check_images


class Dataset(Protocol):
    """Anything with a length that gives an image, or a sample with one, for an integer index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


def load_batches(
    dataset: Dataset, indices: Sequence[int], *, batch_size: int, workers: int
) -> Iterator[tuple[list[int], Tensor]]:
    """Read these images in batches.

    Args:
        dataset: See `MaskCache.fill`.
        indices: Which images to read.
        batch_size: Number of images per batch; the last batch may have fewer.
        workers: Number of processes that read. With 0, this process does.

    Returns:
        An iterator over the batches: the indices and the B×C×H×W images, on whatever device the dataset has them.

    Raises:
        TypeError: The dataset gives something that is not an image.
        ValueError: A number is impossible, or images of one batch differ in shape or dtype.
    """
    for name, value, least in (("batch_size", batch_size, 1), ("workers", workers, 0)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    loader: DataLoader[tuple[list[int], Tensor]] = DataLoader(
        _Images(dataset),  # type: ignore[arg-type]
        batch_size=batch_size,
        sampler=indices,
        num_workers=workers,
        collate_fn=_collate,
        generator=torch.Generator(),  # without it, the loader would draw from the user's stream of random numbers
    )
    return iter(loader)


class _Images:
    """A dataset's images as C×H×W tensors, each with its index."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def __getitem__(self, index: int) -> tuple[int, Tensor]:
        sample = self._dataset[index]
        found = sample
        if isinstance(sample, Mapping):
            found = sample.get("image")
        elif isinstance(sample, tuple | list) and sample:
            found = sample[0]
        if isinstance(found, PIL.Image.Image) and found.mode in ("L", "RGB"):
            found = tvf.pil_to_tensor(found)
        if not isinstance(found, Tensor) or found.ndim != 3:
            raise TypeError(
                f"sample {index} of the dataset must be a C×H×W tensor or a PIL image (L, RGB), or have one in first "
                f'place or under "image", got {_kind(found)}'
            )
        return index, found.as_subclass(Tensor)


def _collate(samples: list[tuple[int, Tensor]]) -> tuple[list[int], Tensor]:
    first, one = samples[0]
    for index, image in samples:
        if image.shape != one.shape or image.dtype != one.dtype:
            raise ValueError(
                f"image {index} has {image.dtype} of shape {tuple(image.shape)}, and image {first} has {one.dtype} of "
                f"shape {tuple(one.shape)}; convert and resize them to one dtype and shape"
            )
    return [index for index, _ in samples], check_images(torch.stack([image for _, image in samples]))


def _kind(found: object) -> str:
    if isinstance(found, Tensor):
        return f"a tensor of shape {tuple(found.shape)}"
    return f"{type(found).__name__} {found.mode}" if isinstance(found, PIL.Image.Image) else type(found).__name__
