"""Find the images and masks among the leaves of a torchvision sample, and convert them to batches."""

from typing import Any

import PIL.Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as tvf

from anatpaste_aug.functional.masks import unite_masks
from anatpaste_aug.transforms.tv_tensors import AnomalyMask, RegionMask


def is_image_tensor(leaf: Any) -> bool:
    """Test for a plain tensor that can be an image; labels and boxes have fewer than three dimensions."""
    return isinstance(leaf, Tensor) and not isinstance(leaf, tv_tensors.TVTensor) and leaf.ndim >= 3


def read_sample(leaves: list[Any]) -> tuple[list[Tensor], Tensor | None]:
    """Read the images of a sample as batches of one size, and its region mask, if it has one.

    Args:
        leaves: The images, `RegionMask` and `AnomalyMask` of one sample.

    Returns:
        The images, B×C×H×W each, and the region mask, boolean or integer B×H×W, or None.

    Raises:
        TypeError, ValueError: No image, images of different sizes, a mask of another size, or several `RegionMask`.
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
            f"the images of one sample must have the same size, got (B, H, W) = {sizes}; "
            "resize them first, or pass them in separate samples"
        )
    masks = {kind: [_as_mask_batch(leaf, sizes[0]) for leaf in leaves if isinstance(leaf, kind)] for kind in _MASKS}
    region = masks[RegionMask]
    if len(region) > 1:
        raise ValueError(f"a sample may hold one RegionMask, got {len(region)}; unite them with torch.logical_or")
    return images, region[0] if region else None


_MASKS = (RegionMask, AnomalyMask)


def as_batch(image: Any) -> Tensor:
    """Convert a PIL image, or a tensor with any leading dimensions, to B×C×H×W."""
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
    """Invert `as_batch`: convert the batch to the type and shape of ``given``."""
    if isinstance(given, PIL.Image.Image):
        return tvf.to_pil_image(images[0])
    images = images.reshape(given.shape)
    return tv_tensors.wrap(images, like=given) if isinstance(given, tv_tensors.TVTensor) else images


def add_changes(given: AnomalyMask, changed: Tensor) -> Any:
    """Unite the anomaly mask of a sample with the changes of this transform, B×1×H×W."""
    return tv_tensors.wrap(unite_masks(given.as_subclass(Tensor), changed.reshape(given.shape)), like=given)


def _as_mask_batch(mask: Tensor, size: tuple[int, int, int]) -> Tensor:
    """Convert a mask with the leading dimensions of the images to B×H×W."""
    if tuple(mask.shape[-2:]) != size[1:] or mask.numel() != size[0] * size[1] * size[2]:
        raise ValueError(
            f"{type(mask).__name__} has shape {tuple(mask.shape)}, which does not match images of (B, H, W) = {size}"
        )
    return mask.as_subclass(Tensor).reshape(size)
