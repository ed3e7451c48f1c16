"""What torchvision hands over leaf by leaf, as batches and back."""

from typing import Any

import PIL.Image
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as tvf

from .tv_tensors import AnomalyMask, LungMask


def images_of_sample(leaves: list[Any], name: str) -> list[Tensor]:
    """The images among the leaves of a sample as batches of one B, H and W, which its anomaly masks fit.

    Raises:
        TypeError: There is none; ``name`` is the transform that looked for it.
        ValueError: An image has a mode or a shape that can't be read, or the sizes differ.
    """
    images = [as_batch(leaf) for leaf in leaves if not isinstance(leaf, LungMask | AnomalyMask)]
    if not images:
        raise TypeError(
            f"{name} found no image in the sample: no PIL image, tv_tensors.Image or plain tensor; "
            "convert numpy arrays with torchvision.transforms.v2.functional.to_image"
        )
    sizes = [(image.shape[0], *image.shape[2:]) for image in images]
    if any(size != sizes[0] for size in sizes):
        raise ValueError(f"the images of one sample must be of one size, got (B, H, W) = {sizes}")
    for leaf in leaves:
        if isinstance(leaf, AnomalyMask):
            mask_batch(leaf, "AnomalyMask", sizes[0])
    return images


def as_batch(image: Any) -> Tensor:
    """B×C×H×W of a PIL image or of a tensor with any leading dimensions."""
    if isinstance(image, PIL.Image.Image):
        if image.mode not in ("L", "RGB"):
            remedy = (
                'image.convert("L")' if image.mode[0] not in "IF" else "a float tensor in [0, 1], scaled by its range"
            )
            raise ValueError(f"PIL images must be of mode L or RGB, got {image.mode}; use {remedy}")
        return torch.as_tensor(tvf.pil_to_tensor(image)).unsqueeze(0)
    tensor: Tensor = image.as_subclass(Tensor) if isinstance(image, tv_tensors.TVTensor) else image
    if tensor.ndim < 3:
        raise ValueError(f"an image tensor must have shape (..., C, H, W), got {tuple(tensor.shape)}")
    return tensor.reshape(-1, *tensor.shape[-3:])


def mask_batch(mask: Tensor, kind: str, size: tuple[int, ...]) -> Tensor:
    """B×H×W of a mask whose leading dimensions are those of the images."""
    if tuple(mask.shape[-2:]) != size[1:] or mask.numel() != size[0] * size[1] * size[2]:
        raise ValueError(f"{kind} has shape {tuple(mask.shape)}, which does not fit images of (B, H, W) = {size}")
    return mask.as_subclass(Tensor).reshape(size)


def image_like(batch: Tensor, leaf: Any) -> Any:
    """A B×C×H×W batch as the type and in the shape of the image it came from."""
    if isinstance(leaf, PIL.Image.Image):
        return tvf.to_pil_image(batch[0])
    image = batch.reshape(leaf.shape)
    return tv_tensors.wrap(image, like=leaf) if isinstance(leaf, tv_tensors.TVTensor) else image


def mask_like(batch: Tensor, leaf: AnomalyMask) -> Any:
    """A B×1×H×W mask as the dtype and in the shape of the `AnomalyMask` it is written to."""
    written = batch if leaf.is_floating_point() else batch > 0
    return tv_tensors.wrap(written.reshape(leaf.shape).to(leaf.dtype), like=leaf)
