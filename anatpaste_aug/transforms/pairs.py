"""Normal images with their augmentations, labels and pixel masks, for one-class training."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, overload

import PIL.Image
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as tvf

from anatpaste_aug.transforms.tv_tensors import AnomalyMask, RegionMask


class OneClassSample(NamedTuple):
    """One normal image and its n − 1 augmentations, as `OneClassPairs` returns them.

    Attributes:
        images: The normal image, then one image per augmentation.
        masks: n boolean 1×H×W anomaly masks; that of the normal image is empty.
        targets: n float32 1×H×W in [0, 1], the target of a pixel loss: see ``target`` of `PasteConfig`.
        labels: int64 n: 0 for the normal image, k for the k-th augmentation; 0 if it left the image unchanged (p < 1),
            since such an image is normal.
    """

    images: tuple[Any, ...]
    masks: tuple[AnomalyMask, ...]
    targets: tuple[AnomalyMask, ...]
    labels: Tensor


class OneClassBatch(NamedTuple):
    """B normal images and their n − 1 augmentations each, from `one_class_batch` or `collate_one_class`.

    Images are grouped by kind: all normal ones, then all of the first augmentation, and so on. With one
    augmentation the cross entropy over ``labels`` is equation 2 of Sato et al. (arXiv 2205.04282); with the two of
    CutPaste, "normal" and "scar", it is the 3-way classification of Li et al. (arXiv 2104.04015).

    Attributes:
        images: nB×C×H×W.
        masks: Boolean nB×1×H×W anomaly masks; empty for normal images.
        targets: float32 nB×1×H×W in [0, 1], the target of a pixel loss: see ``target`` of `PasteConfig`.
        labels: int64 nB: 0 for a normal image, k for the k-th augmentation; 0 if it left the image unchanged (p < 1, or
            ``skip_without_region``), since such an image is normal.
    """

    images: Tensor
    masks: Tensor
    targets: Tensor
    labels: Tensor


class Augmented(Protocol):
    """The result of `Augmentation.augment`; without a ``target``, the anomaly mask is used."""

    @property
    def image(self) -> Tensor: ...
    @property
    def anomaly_mask(self) -> Tensor: ...


class Augmentation(Protocol):
    """A batched augmentation: `AnatPasteTransform`, `CutPasteTransform`, or any object with this method."""

    def augment(
        self, images: Tensor, *, region_mask: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Augmented: ...


class OneClassPairs(nn.Module):
    """Pair a normal image with its augmentations, their masks and labels.

    It replaces the transform of CutPaste-style code that returns ``(normal, augmented)``: ``.images`` is that tuple.
    Subsequent torchvision v2 transforms apply to all images and masks of the sample alike. `collate_one_class` collates
    samples to batches. If you have whole batches, `one_class_batch` is faster.

    Convention:
        * image: PIL (L, RGB), ``tv_tensors.Image`` or a plain C×H×W tensor. A plain tensor comes back as a
          ``tv_tensors.Image``, because v2 transforms apply to only one plain tensor of a sample.
        * randomness: ``torch.manual_seed``

    Args:
        *augmentations: v2 transforms that write an `AnomalyMask`: `AnatPasteTransform`, `CutPasteTransform`, or a
            choice of them by v2's ``RandomChoice`` or ``RandomApply``. Two give three images (3-way).

    Raises:
        ValueError: No augmentation was given.
        TypeError: One of them is not a module.

    Example:
        >>> from anatpaste_aug import AnatPasteTransform
        >>> pairs = OneClassPairs(AnatPasteTransform())
        >>> sample = pairs(torch.rand(1, 64, 64))
        >>> normal, augmented = sample.images
        >>> normal.shape, sample.labels
        (torch.Size([1, 64, 64]), tensor([0, 1]))
    """

    def __init__(self, *augmentations: nn.Module) -> None:
        super().__init__()
        _check_augmentations(augmentations, "forward")
        self.augmentations = nn.ModuleList(augmentations)

    def forward(self, image: Any, region_mask: Tensor | None = None) -> OneClassSample:
        """Make a sample of one image.

        Args:
            image: The normal image; not modified.
            region_mask: Its region, H×W or 1×H×W, boolean or integer, for augmentations that read a `RegionMask`; None
                lets them segment the image.

        Raises:
            TypeError, ValueError: ``image`` is not a single image.
        """
        if not isinstance(image, PIL.Image.Image | Tensor) or isinstance(image, tv_tensors.Mask):
            raise TypeError(
                f"image must be a PIL image or a C×H×W tensor, got {type(image).__name__}; pass labels outside "
                "of OneClassPairs, as with ImageFolder(root, transform=OneClassPairs(...)) and collate_one_class"
            )
        if isinstance(image, Tensor) and image.ndim != 3:
            raise ValueError(
                f"image must be one C×H×W image, got shape {tuple(image.shape)}; for batches use one_class_batch"
            )
        # Without device=, the constructors of tv_tensors would move a tensor to the default device.
        if isinstance(image, Tensor) and not isinstance(image, tv_tensors.Image):
            image = tv_tensors.Image(image, device=image.device)
        height, width = tvf.get_size(image)
        device = image.device if isinstance(image, Tensor) else torch.device("cpu")
        empty = AnomalyMask(torch.zeros(1, height, width, dtype=torch.bool, device=device), device=device)
        region = () if region_mask is None else (RegionMask(region_mask, device=region_mask.device),)
        no_target = AnomalyMask(torch.zeros(1, height, width, device=device), device=device)
        images, masks, targets = [image], [empty], [no_target]
        for augmentation in self.augmentations:
            augmented, mask, target, *_ = augmentation(image, empty, no_target, *region)
            images.append(augmented)
            masks.append(mask)
            targets.append(target)
        return OneClassSample(tuple(images), tuple(masks), tuple(targets), _labels(masks).flatten())


@overload
def collate_one_class(samples: Sequence[OneClassSample]) -> OneClassBatch: ...
@overload
def collate_one_class(samples: Sequence[tuple[Any, ...]]) -> Any: ...
def collate_one_class(samples: Sequence[Any]) -> Any:
    """Collate samples of `OneClassPairs`: the ``collate_fn`` of a ``DataLoader``.

    Args:
        samples: Samples with the same number of images, which must be tensors of one shape and dtype by then. Or tuples
            that begin with a sample, such as ``(sample, label)`` from an ``ImageFolder`` with
            ``transform=OneClassPairs(...)``.

    Returns:
        The batch, all normal images first, as from `one_class_batch`. For tuples, ``(batch, labels, ...)``, where the
        items after the sample are collated by ``default_collate``, with one entry for each of the B normal images.

    Raises:
        TypeError: A sample is something else, or its images are still PIL images.
        ValueError: There are no samples.

    Example:
        >>> from anatpaste_aug import AnatPasteTransform
        >>> pairs = OneClassPairs(AnatPasteTransform())
        >>> batch = collate_one_class([pairs(image) for image in torch.rand(4, 1, 64, 64)])
        >>> batch.images.shape, batch.labels
        (torch.Size([8, 1, 64, 64]), tensor([0, 0, 0, 0, 1, 1, 1, 1]))
    """
    if not samples:
        raise ValueError("there are no samples to collate")
    if all(_starts_with_sample(item) for item in samples):
        batch = collate_one_class([item[0] for item in samples])
        return (batch, *default_collate([tuple(item[1:]) for item in samples]))
    for sample in samples:
        if not isinstance(sample, OneClassSample):
            raise TypeError(
                f"collate_one_class takes the samples of OneClassPairs, or tuples that begin with one, got "
                f"{_kind(sample)}; give OneClassPairs to the data set as its transform"
            )
        if not all(isinstance(image, Tensor) for image in sample.images):
            kind = type(sample.images[0]).__name__
            raise TypeError(f"images must be tensors to be collated, got {kind}; add v2.ToImage() after OneClassPairs")
    images = torch.stack([torch.stack(sample.images) for sample in samples], 1)
    masks = torch.stack([torch.stack(sample.masks) for sample in samples], 1)
    targets = torch.stack([torch.stack(sample.targets) for sample in samples], 1)
    labels = torch.stack([sample.labels for sample in samples], 1)
    return OneClassBatch(*(field.flatten(0, 1).as_subclass(Tensor) for field in (images, masks, targets, labels)))


def one_class_batch(
    images: Tensor,
    *augmentations: Augmentation,
    region_mask: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> OneClassBatch:
    """Make a batch for one-class training from a batch of normal images, on their device.

    Args:
        images: B×C×H×W normal images as the augmentations take them; not modified.
        *augmentations: `AnatPasteTransform`, `CutPasteTransform`, or other objects with such a method ``augment``. Two
            give a batch three times as large (3-way).
        region_mask: Boolean B×1×H×W, passed to every augmentation; None lets them segment the images.
        generator: Source of the random numbers, on the images' device; None uses the global one.

    Returns:
        The images and their augmentations, masks and labels. Nothing waits for the device.

    Raises:
        ValueError: No augmentation was given.
        TypeError, ValueError: The augmentations reject their input.

    Example:
        >>> from anatpaste_aug import AnatPasteTransform
        >>> batch = one_class_batch(torch.rand(4, 1, 64, 64), AnatPasteTransform())
        >>> batch.images.shape, batch.labels
        (torch.Size([8, 1, 64, 64]), tensor([0, 0, 0, 0, 1, 1, 1, 1]))
    """
    _check_augmentations(augmentations, "augment")
    results = [
        augmentation.augment(images, region_mask=region_mask, generator=generator) for augmentation in augmentations
    ]
    masks = [result.anomaly_mask for result in results]
    targets = [getattr(result, "target", result.anomaly_mask.float()) for result in results]
    masks.insert(0, torch.zeros_like(masks[0]))
    targets.insert(0, torch.zeros_like(targets[0]))
    pictures = torch.cat([images, *(result.image for result in results)])
    return OneClassBatch(pictures, torch.cat(masks), torch.cat(targets), _labels(masks).flatten())


def _starts_with_sample(item: Any) -> bool:
    pair = isinstance(item, tuple | list) and not isinstance(item, OneClassSample)
    return pair and len(item) > 1 and isinstance(item[0], OneClassSample)


def _kind(item: Any) -> str:
    inside = f" of {', '.join(type(part).__name__ for part in item)}" if isinstance(item, tuple | list) else ""
    return type(item).__name__ + inside


def _labels(masks: Sequence[Tensor]) -> Tensor:
    """Label n batches of masks: int64 n×B, the index of the batch, or 0 where a mask is empty.

    The mask decides and not p, because an image can be left unchanged for other reasons too.
    """
    changed = torch.stack([mask.as_subclass(Tensor).flatten(1).any(1) for mask in masks])
    return changed * torch.arange(len(masks), device=changed.device).unsqueeze(1)


def _check_augmentations(augmentations: Sequence[Any], method: str) -> None:
    if not augmentations:
        raise ValueError("give at least one augmentation, such as AnatPasteTransform()")
    for augmentation in augmentations:
        if not hasattr(augmentation, method):
            raise TypeError(
                f"an augmentation must have the method {method}, as AnatPasteTransform() does, got {augmentation!r}"
            )
