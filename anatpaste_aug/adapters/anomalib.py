"""The transforms in anomalib: the anomaly generator of DRAEM and DSR, and an augmentation for its data modules.

anomalib itself is not imported.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten
from torchvision import tv_tensors
from torchvision.transforms import v2

from anatpaste_aug.adapters.common import Writes, as_transform, check_writes, chosen_mask, format_repr, mask_of, unite
from anatpaste_aug.transforms import AnomalyMask, PasteTransform

HARDLY_VISIBLE = 0.05
"""The default threshold of the ground truth, for a target in [0, 1].

Almost half of the pixels under AnatPaste's blurred shapes have a target below it, and many of them do not change at
all. A network that is trained to find them learns noise. The α of FPI and PII is always above it.
"""


class AnomalibPaste(nn.Module):
    """A transform of this package in place of anomalib's ``PerlinAnomalyGenerator``.

    It is the ``augmenter`` of DRAEM and the ``perlin_generator`` of DSR. DRAEM leaves half of the images normal: create
    the transform with ``p=0.5``.

    Convention:
        * in: C×H×W or B×C×H×W in [0, 1], like anomalib's batches without normalization
        * out: the augmented images and their ground truth 1×H×W or B×1×H×W of the images' dtype, on the images' device

    Args:
        transform: The transform with all settings; None is ``AnatPasteTransform()``.
        writes: The ground truth: a threshold of the target, "anomaly" or "target"
            (`anatpaste_aug.adapters.common.Writes`). DRAEM and DSR convert it to class indices, so "target", with
            values between 0 and 1, is for other models.

    Raises:
        TypeError, ValueError: An invalid setting, or images of a wrong type, dtype or shape.

    Example:
        >>> from anatpaste_aug import AnatPasteTransform
        >>> generator = AnomalibPaste(AnatPasteTransform(p=0.5))
        >>> images, mask = generator(torch.rand(4, 3, 64, 64))
        >>> images.shape, mask.shape, mask.dtype
        (torch.Size([4, 3, 64, 64]), torch.Size([4, 1, 64, 64]), torch.float32)

        DRAEM downloads a dataset of textures for the generator that is replaced here, unless ``dtd_dir`` is an existing
        folder; nothing is read from it:

        >>> from anomalib.models import Draem  # doctest: +SKIP
        >>> model = Draem(dtd_dir="data")  # doctest: +SKIP
        >>> model.augmenter = generator  # doctest: +SKIP
    """

    def __init__(self, transform: PasteTransform | None = None, *, writes: Writes = HARDLY_VISIBLE) -> None:
        super().__init__()
        self.transform = as_transform(transform)
        self.writes = check_writes(writes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the augmented images and their ground truth."""
        if not isinstance(images, Tensor) or not images.is_floating_point():
            got = images.dtype if isinstance(images, Tensor) else type(images).__name__
            raise TypeError(f"images must be a float tensor in [0, 1], got {got}; convert with images / 255")
        if images.ndim not in (3, 4):
            raise ValueError(f"images must have shape (C, H, W) or (B, C, H, W), got {tuple(images.shape)}")
        images = images.as_subclass(Tensor)  # data modules may pass tv_tensors
        result = self.transform.augment(images if images.ndim == 4 else images.unsqueeze(0))
        mask = mask_of(result, self.writes).to(images.dtype)
        return (result.image, mask) if images.ndim == 4 else (result.image[0], mask[0])

    def __repr__(self) -> str:
        return format_repr(self, self.transform, writes=self.writes)


class AnomalibPasteAugmentation(v2.Transform):
    """A transform of this package for the ``train_augmentations`` of an anomalib data module.

    anomalib augments an image together with its ``gt_mask``, a ``tv_tensors.Mask``. `PasteTransform` passes that mask
    through unchanged; this class adds the changed pixels to it. Augmentations in anomalib cannot change ``gt_label``,
    which stays as determined by the file's folder. Patches of other images need ``donors=``, because anomalib
    augments images one at a time.

    Args:
        transform: The transform with all settings; None is ``AnatPasteTransform()``.
        writes: What is added to ``gt_mask``: a threshold of the target, "anomaly" or "target"
            (`anatpaste_aug.adapters.common.Writes`).

    Example:
        >>> augmentation = AnomalibPasteAugmentation()
        >>> mask = tv_tensors.Mask(torch.zeros(64, 64, dtype=torch.uint8))
        >>> image, mask = augmentation(tv_tensors.Image(torch.rand(3, 64, 64)), mask)
        >>> mask.unique().tolist()
        [0, 1]

        >>> from anomalib.data import Folder  # doctest: +SKIP
        >>> Folder(name="chest", root="data", normal_dir="normal", train_augmentations=augmentation)  # doctest: +SKIP
    """

    def __init__(self, transform: PasteTransform | None = None, *, writes: Writes = HARDLY_VISIBLE) -> None:
        super().__init__()
        self.paste = as_transform(transform)
        self.writes = check_writes(writes)

    def forward(self, *inputs: Any) -> Any:
        """Return the augmented sample, in the same structure."""
        leaves, structure = tree_flatten(inputs if len(inputs) > 1 else inputs[0])
        kinds = (torch.bool, torch.float32)  # the anomaly mask and the target
        marked = [[_empty(leaf, kind) for kind in kinds] if _is_gt_mask(leaf) else leaf for leaf in leaves]
        pasted = self.paste(tree_unflatten(marked, structure))
        out = [
            tv_tensors.wrap(unite(given.as_subclass(Tensor), chosen_mask(leaf[0], leaf[1], self.writes)), like=given)
            if _is_gt_mask(given)
            else leaf
            for given, leaf in zip(leaves, structure.flatten_up_to(pasted), strict=True)
        ]
        return tree_unflatten(out, structure)

    def __repr__(self) -> str:
        return format_repr(self, self.paste, writes=self.writes)


def _is_gt_mask(leaf: Any) -> bool:
    return type(leaf) is tv_tensors.Mask


def _empty(mask: Tensor, dtype: torch.dtype) -> AnomalyMask:
    zeros = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    return AnomalyMask(zeros, device=mask.device)  # without device=, it would move to the default device
