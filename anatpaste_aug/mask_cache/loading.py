"""Read batches of images, with their indices, from any dataset."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any, Protocol

import PIL.Image
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tvf

from anatpaste_aug.validation import check_images


class Dataset(Protocol):
    """Anything with a length that gives an image, or a sample with one, for an integer index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


def load_batches(
    dataset: Dataset, indices: Sequence[int], *, batch_size: int, workers: int
) -> Iterator[tuple[Sequence[int], Tensor]]:
    """Read these images in batches.

    Args:
        dataset: See `MaskCache.fill`.
        indices: Which images to read.
        batch_size: Number of images per batch; the last batch may have fewer.
        workers: Number of threads that read the images of a batch. With 0, the calling thread does.

    Yields:
        The indices of a batch and its B×C×H×W images, on the dataset's device.

    Raises:
        TypeError: The dataset gives something that is not an image.
        ValueError: Images of one batch differ in shape or dtype.
    """
    with ThreadPoolExecutor(workers) if workers else nullcontext() as pool:
        for start in range(0, len(indices), batch_size):
            some = indices[start : start + batch_size]
            read = map if pool is None else pool.map
            yield some, _stack(some, list(read(lambda index: _image(dataset[index], index), some)))


def _image(sample: Any, index: int) -> Tensor:
    image = sample
    if isinstance(sample, Mapping):
        image = sample.get("image")
    elif isinstance(sample, tuple | list) and sample:
        image = sample[0]
    if isinstance(image, PIL.Image.Image) and image.mode in ("L", "RGB"):
        image = tvf.pil_to_tensor(image)
    if not isinstance(image, Tensor) or image.ndim != 3:
        raise TypeError(
            f"sample {index} of the dataset must be a C×H×W tensor or a PIL image (L, RGB), or have one as first item "
            f'or under "image", got {_kind(image)}'
        )
    return image.as_subclass(Tensor)


def _stack(indices: Sequence[int], images: Sequence[Tensor]) -> Tensor:
    first = images[0]
    for index, image in zip(indices, images, strict=True):
        if image.shape != first.shape or image.dtype != first.dtype:
            raise ValueError(
                f"image {index} has {image.dtype} of shape {tuple(image.shape)}, and image {indices[0]} has "
                f"{first.dtype} of shape {tuple(first.shape)}; convert and resize them to one dtype and shape"
            )
    return check_images(torch.stack(list(images)))


def _kind(item: object) -> str:
    if isinstance(item, Tensor):
        return f"a tensor of shape {tuple(item.shape)}"
    return f"{type(item).__name__} {item.mode}" if isinstance(item, PIL.Image.Image) else type(item).__name__
