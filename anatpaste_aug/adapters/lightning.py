"""The transforms in Lightning: on whole batches, on the device that they were moved to."""

from typing import Any

from torch import Tensor

from anatpaste_aug.adapters.common import Writes, check_writes, mask_of, unite
from anatpaste_aug.transforms import PasteTransform
from anatpaste_aug.validation import check_anomaly_mask, check_images

try:
    from lightning.pytorch.core.hooks import DataHooks
except ImportError as error:
    raise ImportError(
        'anatpaste_aug.adapters.lightning needs Lightning: pip install "anatpaste_aug[lightning]"', name=error.name
    ) from error


class LightningPasteMixin(DataHooks):
    """Augment the training batches of a ``LightningModule`` or a ``LightningDataModule`` after their transfer.

    Add it to the base classes of one of the two (not both), in any order, and set ``self.paste``. It implements
    ``on_after_batch_transfer``; a callback is not possible, because it cannot replace the batch.

    Convention:
        * only training batches are augmented; those of validation, test and prediction pass through unchanged
        * the mask, B×1×H×W, is added to the batch: a tensor of images becomes ``(images, mask)``, ``(images, y)``
          becomes ``(images, y, mask)`` (a list stays a list), and a dictionary gets a new key. Labels are unchanged:
          ``mask.flatten(1).any(1)`` tells which images were augmented
        * an existing anomaly mask in a dictionary, boolean, integer or floating point, is united with the new one
        * region masks in a dictionary, boolean or integer, are used instead of the segmenter
        * the batch itself is not modified
        * randomness: the device's generator, seeded by ``seed_everything``. It gives the processes of several devices
          the same seed, so that they draw the same numbers; call ``torch.manual_seed(seed + self.global_rank)`` in
          ``on_fit_start`` to make them differ

    Attributes:
        paste: The transform with all settings.
        writes: The mask to write: "anomaly", "target" or a threshold (`anatpaste_aug.adapters.common.Writes`).
        image_key: Key of the images in a dictionary.
        anomaly_mask_key: Key of the anomaly mask to write to a dictionary.
        region_mask_key: Key of the region masks in a dictionary.

    Example:
        >>> import torch
        >>> from anatpaste_aug import AnatPasteTransform
        >>> from lightning.pytorch import LightningModule
        >>> class Detector(LightningPasteMixin, LightningModule):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.paste = AnatPasteTransform()
        ...         self.net = torch.nn.Conv2d(1, 1, 3, padding=1)
        ...     def training_step(self, batch, batch_idx):
        ...         images, mask = batch
        ...         return torch.nn.functional.binary_cross_entropy_with_logits(self.net(images), mask.float())
        >>> images, mask = Detector().augment_batch(torch.rand(2, 1, 64, 64))
        >>> mask.shape
        torch.Size([2, 1, 64, 64])
    """

    trainer: Any  # set by Lightning in both classes
    paste: PasteTransform
    writes: Writes = "anomaly"
    image_key: str = "image"
    anomaly_mask_key: str = "anomaly_mask"
    region_mask_key: str = "region_mask"

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment a training batch; called by Lightning."""
        batch = super().on_after_batch_transfer(batch, dataloader_idx)
        return self.augment_batch(batch) if self.trainer.training else batch

    def augment_batch(self, batch: Any) -> Any:
        """Return the augmented batch with its anomaly mask.

        Raises:
            TypeError, ValueError, KeyError: The batch has no images at the expected place, or invalid ones.
        """
        transform = getattr(self, "paste", None)
        if not isinstance(transform, PasteTransform):
            raise TypeError(
                f"{type(self).__name__}.paste must be a transform of this package, got {type(transform).__name__}; "
                "set self.paste = AnatPasteTransform() in __init__"
            )
        check_writes(self.writes)
        if isinstance(batch, dict):
            return self._augment_dict(batch)
        images, rest = (batch[0], batch[1:]) if isinstance(batch, list | tuple) and batch else (batch, ())
        if not isinstance(images, Tensor):
            raise TypeError(
                "a batch must be a tensor of images, a tuple or list that begins with one, or a dictionary, "
                f"got {_described(batch)}; for any other batch, override augment_batch and call self.paste.augment"
            )
        result = self.paste.augment(images)
        augmented = (result.image, *rest, mask_of(result, self.writes))
        return list(augmented) if isinstance(batch, list) else augmented

    def _augment_dict(self, batch: dict[Any, Any]) -> dict[Any, Any]:
        if self.image_key not in batch:
            raise KeyError(f"no {self.image_key!r} in a batch with the keys {list(batch)}; set image_key")
        images, earlier = batch[self.image_key], batch.get(self.anomaly_mask_key)
        if earlier is not None:
            shape = (len(check_images(images)), 1, *images.shape[2:])
            check_anomaly_mask(f"the batch's {self.anomaly_mask_key!r}", earlier, shape)
        result = self.paste.augment(images, batch.get(self.region_mask_key))
        mask = mask_of(result, self.writes)
        mask = mask if earlier is None else unite(earlier, mask)
        return batch | {self.image_key: result.image, self.anomaly_mask_key: mask}


def _described(batch: Any) -> str:
    if isinstance(batch, list | tuple):
        return f"a {type(batch).__name__} of {', '.join(type(item).__name__ for item in batch) or 'nothing'}"
    return type(batch).__name__
