"""The transforms for NumPy arrays, for dataset code like that of DRAEM and NSA."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from anatpaste_aug.adapters.common import Writes, as_transform, check_writes, format_repr, mask_of, unite
from anatpaste_aug.transforms import PasteTransform

Image = npt.NDArray[Any]


class NumpyPaste:
    """A transform of this package for arrays.

    Convention:
        * in: H×W, H×W×C or N×H×W×C with 1 or 3 channels, uint8 or floating point in [0, 1]; never modified
        * out: the augmented image in the same shape and dtype, and a mask: H×W for H×W, else with one channel, so that
          it broadcasts against the image. The anomaly mask is boolean; DRAEM uses ``mask.astype(np.float32)``
        * patches of other images need a batch, or ``donors=``
        * in a chain, pass the mask along: ``image, mask = second(image, anomaly_mask=mask)`` returns the union
        * randomness: from ``rng``. In the workers of a ``DataLoader`` it is combined with the worker's seed, so that
          workers and epochs differ, and ``torch.manual_seed`` makes them reproducible

    Args:
        transform: The transform with all settings; None is ``AnatPasteTransform()``.
        rng: A seed or a ``numpy.random.Generator``; None uses PyTorch's global generator, like the transform.
        writes: The mask to return: "anomaly", "target" or a threshold (`anatpaste_aug.adapters.common.Writes`).

    Example:
        >>> from anatpaste_aug import AnatPasteTransform
        >>> paste = NumpyPaste(AnatPasteTransform(p=0.5), rng=0)
        >>> image = np.random.default_rng(0).random((64, 64, 1), dtype=np.float32)
        >>> augmented, mask = paste(image)
        >>> augmented.shape, augmented.dtype, mask.shape, mask.dtype
        ((64, 64, 1), dtype('float32'), (64, 64, 1), dtype('bool'))
    """

    def __init__(
        self,
        transform: PasteTransform | None = None,
        *,
        rng: np.random.Generator | int | None = None,
        writes: Writes = "anomaly",
    ) -> None:
        self.transform = as_transform(transform)
        self.rng = None if rng is None else np.random.default_rng(rng)
        self.writes = check_writes(writes)
        self._worker: int | None = None  # the seed of the worker that self.rng belongs to

    def __call__(
        self, image: Image, region_mask: Image | None = None, anomaly_mask: Image | None = None
    ) -> tuple[Image, Image]:
        """Augment one image, or each of a batch.

        Args:
            image: H×W, H×W×C or N×H×W×C.
            region_mask: Boolean or integer, of the image's shape with one channel or none; None calls the segmenter.
            anomaly_mask: The mask of earlier augmentations, likewise; floating point with writes="target".

        Returns:
            The augmented image and its mask, boolean or float32, united with ``anomaly_mask``.

        Raises:
            TypeError, ValueError: Wrong type, shape, dtype or range; the message says what to pass.
        """
        batch = to_batch(image)
        region = None if region_mask is None else to_batch_mask(region_mask, image)
        earlier = None if anomaly_mask is None else self._earlier(anomaly_mask, image)
        result = self.transform.augment(batch, region, generator=self._generator())
        mask = mask_of(result, self.writes)
        mask = mask if earlier is None else unite(earlier, mask)
        mask_shape = image.shape if image.ndim == 2 else (*image.shape[:-1], 1)
        return to_array(result.image, image), mask.numpy().reshape(mask_shape)

    def _earlier(self, mask: Image, image: Image) -> Tensor:
        if self.writes != "target":
            return to_batch_mask(mask, image, "anomaly_mask")
        marked = to_batch_mask(np.asarray(mask) != 0, image, "anomaly_mask")
        return torch.from_numpy(np.ascontiguousarray(mask)).view_as(marked)

    def _generator(self) -> torch.Generator | None:
        if self.rng is None:
            return None
        worker = get_worker_info()
        if worker is not None and worker.seed != self._worker:
            # Every worker starts with a copy of this object; without this, all of them would draw the same numbers.
            self._worker = worker.seed
            self.rng = np.random.default_rng([int(self.rng.integers(2**63)), worker.seed])
        return torch.Generator().manual_seed(int(self.rng.integers(2**63)))

    def __repr__(self) -> str:
        return format_repr(self, self.transform, writes=self.writes)


def to_batch(image: object) -> Tensor:
    """Convert an array H×W, H×W×C or N×H×W×C to B×C×H×W; raise an error for any other layout."""
    if not isinstance(image, np.ndarray):
        remedy = "; PasteTransform.augment takes tensors" if isinstance(image, Tensor) else "; use numpy.asarray"
        raise TypeError(f"the image must be a numpy.ndarray, got {type(image).__name__}{remedy}")
    if image.ndim not in (2, 3, 4) or (image.ndim > 2 and image.shape[-1] not in (1, 3)):
        remedy = "add a channel axis to a batch of gray images with images[..., None]"
        if image.ndim in (3, 4) and image.shape[-3] in (1, 3):
            remedy = "move the channels to the end with numpy.moveaxis(image, -3, -1)"
        raise ValueError(
            f"the image must have shape (H, W), (H, W, C) or (N, H, W, C) with 1 or 3 channels, got {image.shape}; "
            f"{remedy}"
        )
    if image.dtype != np.uint8 and not (image.dtype.kind == "f" and image.dtype.itemsize <= 8):
        raise TypeError(
            f"the image must be uint8 or floating point of at most 64 bits, got {image.dtype}; "
            "scale other integers to float32 in [0, 1] by their own maximum"
        )
    image = image[..., None] if image.ndim == 2 else image
    image = image[None] if image.ndim == 3 else image
    # PyTorch supports no negative strides, read-only memory or foreign byte order. The tensor is not written to.
    native = image.dtype.newbyteorder("=")
    return torch.from_numpy(np.require(np.moveaxis(image, -1, 1), native, requirements=["C", "W"]))


def to_batch_mask(mask: object, image: Image, name: str = "region_mask") -> Tensor:
    """Convert a mask with the shape of the array ``image``, with one channel or none, to boolean B×1×H×W."""
    if not isinstance(mask, np.ndarray):
        raise TypeError(f"{name} must be a numpy.ndarray, got {type(mask).__name__}")
    size = image.shape if image.ndim == 2 else image.shape[:-1]
    if mask.shape not in (size, (*size, 1)):
        raise ValueError(f"{name} must have shape {size} or {(*size, 1)} for this image, got {mask.shape}")
    if mask.dtype.kind not in "bui":
        raise TypeError(f"{name} must be boolean or integer, got {mask.dtype}; threshold it first, as in mask > 0.5")
    return torch.from_numpy(mask != 0).view(-1, 1, *size[-2:])


def to_array(images: Tensor, like: Image) -> Image:
    """Invert `to_batch`: convert a batch to an array of the shape and dtype of ``like``."""
    array: Image = np.ascontiguousarray(np.moveaxis(images.numpy(), 1, -1), like.dtype).reshape(like.shape)
    return array
