"""AnatPaste in anomalib: the anomaly generator of DRAEM and DSR, and an augmentation for its data modules."""

from typing import Any

from torch import Tensor, nn
from torchvision import tv_tensors

from .anatpaste import AnatPasteTransform
from .tv_tensors import AnomalyMask


class AnatPasteAnomalyGenerator(nn.Module):
    """Takes the place of anomalib's ``PerlinAnomalyGenerator``: DRAEM's ``augmenter`` and DSR's ``perlin_generator``.

    Convention:
        * in: C×H×W or B×C×H×W in [0, 1], as anomalib's batches are without normalisation
        * out: the augmented images and a mask 1×H×W or B×1×H×W of the images' dtype, 1 where a pixel was changed and
          0 elsewhere; on the images' device
        * anomalib itself is not imported

    Args:
        p: Probability that an image is augmented; the others stay normal, as DRAEM trains.
        settings: Every other setting of `AnatPasteTransform`.

    Example:
        >>> import torch
        >>> generator = AnatPasteAnomalyGenerator()
        >>> images, mask = generator(torch.rand(4, 3, 64, 64))
        >>> images.shape, mask.shape, mask.dtype
        (torch.Size([4, 3, 64, 64]), torch.Size([4, 1, 64, 64]), torch.float32)

        DRAEM downloads a data set of textures for the generator that is replaced here, unless ``dtd_dir`` is a folder
        that exists; nothing is read from it:

        >>> from anomalib.models import Draem  # doctest: +SKIP
        >>> model = Draem(dtd_dir="data")  # doctest: +SKIP
        >>> model.augmenter = AnatPasteAnomalyGenerator()  # doctest: +SKIP
    """

    def __init__(self, p: float = 0.5, **settings: Any) -> None:
        super().__init__()
        self.transform = AnatPasteTransform(p, **settings)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The augmented images and their anomaly masks."""
        if not isinstance(images, Tensor) or not images.is_floating_point():
            got = images.dtype if isinstance(images, Tensor) else type(images).__name__
            raise TypeError(f"images must be a float tensor in [0, 1], got {got}; convert with images / 255")
        if images.ndim not in (3, 4):
            raise ValueError(f"images must have shape (C, H, W) or (B, C, H, W), got {tuple(images.shape)}")
        images = images.as_subclass(Tensor)  # data modules may pass tv_tensors
        result = self.transform.augment(images if images.ndim == 4 else images.unsqueeze(0))
        mask = result.anomaly_mask.to(images.dtype)
        return (result.image, mask) if images.ndim == 4 else (result.image[0], mask[0])


class AnatPasteAugmentation(AnatPasteTransform):
    """`AnatPasteTransform` for the ``train_augmentations`` of an anomalib data module.

    anomalib augments an image together with its ``gt_mask``, a ``tv_tensors.Mask``. `AnatPasteTransform` passes that
    mask through as somebody's annotation; here the changed pixels are added to it. ``gt_label`` is out of reach of any
    augmentation in anomalib, and stays what the file's folder says.

    Example:
        >>> import torch
        >>> augmentation = AnatPasteAugmentation()
        >>> mask = tv_tensors.Mask(torch.zeros(64, 64, dtype=torch.uint8))
        >>> image, mask = augmentation(tv_tensors.Image(torch.rand(3, 64, 64)), mask)
        >>> mask.unique().tolist()
        [0, 1]

        >>> from anomalib.data import Folder  # doctest: +SKIP
        >>> Folder(name="chest", root="data", normal_dir="normal", train_augmentations=augmentation)  # doctest: +SKIP
    """

    _transformed_types: tuple[Any, ...] = (*AnatPasteTransform._transformed_types, tv_tensors.Mask)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return super().make_params([_as_anomaly_mask(leaf) if _is_gt_mask(leaf) else leaf for leaf in flat_inputs])

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if not _is_gt_mask(inpt):
            return super().transform(inpt, params)
        return tv_tensors.wrap(super().transform(_as_anomaly_mask(inpt), params).as_subclass(Tensor), like=inpt)


def _as_anomaly_mask(mask: tv_tensors.Mask) -> Any:
    return mask.as_subclass(Tensor).as_subclass(AnomalyMask)  # its constructor would move it to the default device


def _is_gt_mask(leaf: Any) -> bool:
    return type(leaf) is tv_tensors.Mask
