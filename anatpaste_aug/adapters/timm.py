"""The transforms in timm's training loops, in place of ``RandomErasing`` and ``Mixup``.

timm is not imported: its loader and loops call any object in these places.
"""

import torch
from torch import Tensor

from anatpaste_aug.adapters.common import as_transform, format_repr
from anatpaste_aug.transforms import PasteTransform
from anatpaste_aug.validation import check_images


class TimmPasteErasing:
    """A transform of this package in place of timm's ``RandomErasing``, for normalized images.

    ``timm.data.PrefetchLoader`` calls its attribute ``random_erasing`` on its side stream, after normalizing; nothing
    here waits for the device. Targets are unchanged: for targets that say what was augmented, use `TimmPasteMixup`.
    The loader works one batch ahead, so the attributes of this object cannot describe the current batch.

    The prefetcher is required. With ``use_prefetcher=False`` (timm's ``--no-prefetcher``), timm does not call
    ``random_erasing``, so that images are silently not augmented. In that case, append it to the transform of the
    dataset after ``create_loader``: ``dataset.transform.transforms.append(TimmPasteErasing(...))``; patches of other
    images then need ``donors=``. On a machine without CUDA, the prefetcher needs
    ``create_loader(..., device=torch.device("cpu"))``.

    Args:
        transform: The transform, with the ``mean`` and ``std`` that the loader normalizes with.
        num_splits: As in timm: if above 1, the first of that many equal parts of a batch is not augmented.

    Raises:
        TypeError: ``transform`` is something else, or has no ``mean`` and ``std``.
        ValueError: The images were normalized with other numbers (checked on the CPU only).

    Example:
        >>> from anatpaste_aug import AnatPasteTransform
        >>> erasing = TimmPasteErasing(AnatPasteTransform(p=0.5, mean=(0.5,), std=(0.25,)))
        >>> erasing(torch.zeros(4, 1, 64, 64)).shape  # loader.random_erasing = erasing
        torch.Size([4, 1, 64, 64])
    """

    def __init__(self, transform: PasteTransform, *, num_splits: int = 0) -> None:
        self.transform = _for_normalized(transform)
        self.num_splits = num_splits

    def __call__(self, input: Tensor) -> Tensor:
        """Augment B×C×H×W or C×H×W images, which are not modified."""
        if isinstance(input, Tensor) and input.ndim == 3:
            return self.transform.augment(input.unsqueeze(0)).image[0]
        if self.num_splits <= 1:
            return self.transform.augment(input).image
        clean = len(input) // self.num_splits
        return self.transform.augment(input, apply=torch.arange(len(input), device=input.device) >= clean).image

    def __repr__(self) -> str:
        return format_repr(self, self.transform, num_splits=self.num_splits)


class TimmPasteMixup:
    """A transform of this package in place of the ``mixup_fn`` of a timm loop: (x, target) in, (x, target) out.

    The returned target is binary: 1 (anomalous) for an image that was augmented or whose target was not 0. Only images
    of target 0, the normal class, are augmented; with ``source="batch"``, their patches may come from any other image
    of the batch.

    Args:
        transform: The transform, with the ``mean`` and ``std`` that the loader normalizes with.
        pairs: Return twice the batch: first the original images, then their augmentations. The training of Sato et al.
            (arXiv 2205.04282) is ``TimmPasteMixup(AnatPasteTransform(mean=..., std=...), pairs=True)``.
        one_hot: Return float32 targets of shape B×2, as ``Mixup`` does for ``SoftTargetCrossEntropy``, instead of int64
            class indices of shape B for ``CrossEntropyLoss``.

    Attributes:
        mixup_enabled: False disables the augmentation; timm's loops set it for their last epochs.

    Raises:
        TypeError: ``transform`` is something else, or has no ``mean`` and ``std``.
        ValueError: There is not one class index per image, or the images were normalized with other numbers (checked on
            the CPU only).

    Example:
        >>> from anatpaste_aug import AnatPasteTransform
        >>> mixup_fn = TimmPasteMixup(AnatPasteTransform(mean=(0.5,), std=(0.25,)), pairs=True)
        >>> images, target = mixup_fn(torch.zeros(2, 1, 64, 64), torch.zeros(2, dtype=torch.int64))
        >>> images.shape, target.tolist()
        (torch.Size([4, 1, 64, 64]), [0, 0, 1, 1])
    """

    def __init__(self, transform: PasteTransform, *, pairs: bool = False, one_hot: bool = False) -> None:
        self.transform = _for_normalized(transform)
        self.pairs = pairs
        self.one_hot = one_hot
        self.mixup_enabled = True

    def __call__(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Augment normalized B×C×H×W images with one class index each; neither is modified."""
        check_images(x)
        if not isinstance(target, Tensor) or target.is_floating_point() or tuple(target.shape) != (len(x),):
            got = f"{target.dtype} {tuple(target.shape)}" if isinstance(target, Tensor) else type(target).__name__
            raise ValueError(
                f"target must hold one class index per image, 0 for normal, as integers of shape ({len(x)},), "
                f"got {got}; for dense targets pass target.argmax(1)"
            )
        anomalous = target != 0
        if self.mixup_enabled:
            result = self.transform.augment(x, apply=~anomalous)
            changed = anomalous | (result.label > 0)
            x = torch.cat([x, result.image]) if self.pairs else result.image
            anomalous = torch.cat([anomalous, changed]) if self.pairs else changed
        return x, torch.stack([~anomalous, anomalous], 1).float() if self.one_hot else anomalous.long()

    def __repr__(self) -> str:
        return format_repr(self, self.transform, pairs=self.pairs, one_hot=self.one_hot)


def _for_normalized(transform: PasteTransform) -> PasteTransform:
    transform = as_transform(transform)
    if transform.mean is None:
        name = type(transform).__name__
        raise TypeError(
            f"the transform needs the mean= and std= that the loader normalizes with: {name}(mean=..., std=...), "
            "such as timm.data.IMAGENET_DEFAULT_MEAN and _STD; for images in [0, 1] pass mean=(0.0,), std=(1.0,)"
        )
    return transform
