"""A torchvision sample, flattened to its leaves: which of them are images and masks, and how they become batches."""

from typing import Any

import PIL.Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as tvf

from anatpaste_aug.functional.masks import unite_masks
from anatpaste_aug.transforms.tv_tensors import AnomalyMask, RegionMask


def is_image_tensor(leaf: Any) -> bool:
    """A plain tensor that can be an image; labels and boxes have fewer than three dimensions."""
    return isinstance(leaf, Tensor) and not isinstance(leaf, tv_tensors.TVTensor) and leaf.ndim >= 3


def read_sample(leaves: list[Any]) -> tuple[list[Tensor], Tensor | None]:
    """The images of a sample as batches of one size, and its region mask, if it holds one.

    Args:
        leaves: The images, `RegionMask` and `AnomalyMask` of one sample.

    Returns:
        B×C×H×W each, and boolean or integer B×H×W or None.

    Raises:
        TypeError, ValueError: No image, images of different sizes, a mask of another size or a second `RegionMask`.
    """
    images = [as_batch(leaf) for leaf in leaves if not isinstance(leaf, (RegionMask, AnomalyMask))]
    if not images:
        raise TypeError(
            "found no image in the sample: no PIL image, tv_tensors.Image or plain tensor of shape (..., C, H, W); "
            "add a missing dimension with unsqueeze(0), or convert numpy arrays with "
            "torchvision.transforms.v2.functional.to_image"
        )
    sizes = [(image.shape[0], *image.shape[2:]) for image in images]
    if any(size != sizes[0] for size in sizes):
        raise ValueError(
            f"the images of one sample must be of one size, got (B, H, W) = {sizes}; "
            "resize them first, or pass them in samples of their own"
        )
    masks = {kind: [_as_mask_batch(leaf, sizes[0]) for leaf in leaves if isinstance(leaf, kind)] for kind in _MASKS}
    region = masks[RegionMask]
    if len(region) > 1:
        raise ValueError(f"a sample may hold one RegionMask, got {len(region)}; unite them with torch.logical_or")
    return images, region[0] if region else None


_MASKS = (RegionMask, AnomalyMask)


def as_batch(image: Any) -> Tensor:
    """B×C×H×W of a PIL image or of a tensor with any leading dimensions."""
    if isinstance(image, PIL.Image.Image):
        if image.mode not in ("L", "RGB"):
            remedy = (
                'image.convert("L")' if image.mode[0] not in "IF" else "a float tensor in [0, 1], scaled by its range"
            )
            raise ValueError(f"PIL images must be of mode L or RGB, got {image.mode}; use {remedy}")
        pixels: Tensor = tvf.pil_to_tensor(image)
        return pixels.unsqueeze(0)
    tensor: Tensor = image.as_subclass(Tensor) if isinstance(image, tv_tensors.TVTensor) else image
    return tensor.reshape(-1, *tensor.shape[-3:])


def like_input(images: Tensor, given: Any) -> Any:
    """The inverse of `as_batch`: the batch as the type and shape that were given."""
    if isinstance(given, PIL.Image.Image):
        return tvf.to_pil_image(images[0])
    images = images.reshape(given.shape)
    return tv_tensors.wrap(images, like=given) if isinstance(given, tv_tensors.TVTensor) else images


def united_with(given: AnomalyMask, changed: Tensor) -> Any:
    """The anomaly mask of a sample with what this transform changed, B×1×H×W, added to it."""
    return tv_tensors.wrap(unite_masks(given.as_subclass(Tensor), changed.reshape(given.shape)), like=given)


def _as_mask_batch(mask: Tensor, size: tuple[int, int, int]) -> Tensor:
    """B×H×W of a mask whose leading dimensions are those of the images."""
    if tuple(mask.shape[-2:]) != size[1:] or mask.numel() != size[0] * size[1] * size[2]:
        raise ValueError(
            f"{type(mask).__name__} has shape {tuple(mask.shape)}, which does not fit images of (B, H, W) = {size}"
        )
    return mask.as_subclass(Tensor).reshape(size)
