"""AnatPaste as an albumentations transform."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from .anatpaste import AnatPasteTransform
from .numpy import to_array, to_batch, to_batch_mask

try:
    from albumentations.core.transforms_interface import BasicTransform, DualTransform
except ImportError as error:
    raise ImportError(
        'anatpaste_aug.transforms.albumentations needs albumentations: pip install "anatpaste_aug[albumentations]"',
        name=error.name,
    ) from error


class AnatPaste(DualTransform):
    """Paste a synthetic anomaly into the image, and add the changed pixels to the mask.

    Convention:
        * image: H×W or H×W×C with 1 or 3 channels, uint8 or float32 in [0, 1]; further images, named in
          ``additional_targets``, share the random numbers and the lung mask
        * mask: H×W or H×W×1. Where a pixel was changed, a 0 becomes 1, in the mask's dtype; everything else stays, so
          that after a chain of transforms a mask of zeros holds what all of them changed. To keep an annotation apart
          from anomalies, name another target for them
        * every other target (further masks, boxes, keypoints, labels) passes through as the identical object
        * randomness: ``A.Compose(..., seed=...)`` or ``set_random_seed``. A call draws one number, which
          ``ReplayCompose`` records. albumentations gives all ``DataLoader`` workers one random state: call
          ``set_random_seed(torch.initial_seed() % 2**32)`` on the pipeline in ``worker_init_fn``

    Args:
        p: Probability that the image is augmented. An image left alone keeps its mask as it is.
        anomaly_target: The mask target to write, ``"mask"`` or a name from ``additional_targets``.
        lung_target: A mask target to read the lungs from, boolean or integer; None calls the segmenter.
        settings: Every other setting of `AnatPasteTransform`.

    Example:
        >>> import albumentations as A
        >>> pipeline = A.Compose([AnatPaste(), A.HorizontalFlip()], seed=0)
        >>> image = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
        >>> result = pipeline(image=image, mask=np.zeros_like(image))
        >>> result["image"].shape, np.unique(result["mask"]).tolist()
        ((64, 64), [0, 1])
    """

    def __init__(
        self, p: float = 1.0, *, anomaly_target: str = "mask", lung_target: str | None = None, **settings: Any
    ) -> None:
        super().__init__(p=p)
        self.anomaly_target = anomaly_target
        self.lung_target = lung_target
        self.settings = settings
        self.transform = AnatPasteTransform(**settings)

    @property
    def targets(self) -> dict[str, Any]:
        # What is not listed passes through.
        return {"image": self.apply, "mask": self.apply_to_mask}

    def get_params(self) -> dict[str, Any]:
        # Only a seed: a replay on the same image repeats it, on another one finds the lungs of that one.
        return {"seed": self.py_random.getrandbits(63)}

    def apply_with_params(self, params: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        # All targets at once, so that the lungs are segmented once.
        if kwargs.get("image") is None:
            raise ValueError(f"AnatPaste needs image=, got {list(kwargs)}; give images of a batch one at a time")
        images = {key: kwargs[key] for key in kwargs if self._is_image(key) and kwargs[key] is not None}
        batches = {key: to_batch(image) for key, image in images.items()}
        for key, image in images.items():
            if image.ndim == 4 or image.shape[:2] != images["image"].shape[:2]:
                raise ValueError(f"images must be (H, W) or (H, W, C) of one size, got {image.shape} as {key}")
        mask = self._given_mask(kwargs)
        lungs = self._lungs(kwargs)
        result = self.transform.augment(
            batches.pop("image"), lungs, generator=torch.Generator().manual_seed(params["seed"])
        )
        out = kwargs | {"image": to_array(result.image, images["image"])}
        for key, batch in batches.items():
            other = self.transform.augment(batch, result.lung_mask, params=result.params)
            out[key] = to_array(other.image, images[key])
        if mask is not None:
            changed = result.anomaly_mask.numpy().reshape(mask.shape)
            out[self.anomaly_target] = np.where(changed, np.maximum(mask, mask.dtype.type(1)), mask)
        return out

    def _is_image(self, key: str) -> bool:
        return key == "image" or self._additional_targets.get(key) == "image"

    def _given_mask(self, data: dict[str, Any]) -> npt.NDArray[Any] | None:
        name, size = self.anomaly_target, data["image"].shape[:2]
        mask = data.get(name)
        if mask is None:
            return None
        if not isinstance(mask, np.ndarray):
            raise TypeError(f"the target {name!r} must be a numpy.ndarray, got {type(mask).__name__}")
        if mask.shape not in (size, (*size, 1)):
            raise ValueError(f"the target {name!r} must have shape {size} or {(*size, 1)}, got {mask.shape}")
        return mask

    def _lungs(self, data: dict[str, Any]) -> torch.Tensor | None:
        if self.lung_target is None:
            return None
        if data.get(self.lung_target) is None:
            raise ValueError(f"AnatPaste needs the lung mask {self.lung_target}=, got {list(data)}")
        return to_batch_mask(data[self.lung_target], data["image"])

    # Serialisation: the settings by name, so that A.to_dict, A.save and ReplayCompose work.

    def get_transform_init_args(self) -> dict[str, Any]:
        return {"anomaly_target": self.anomaly_target, "lung_target": self.lung_target, **self.settings}

    def to_dict_private(self) -> dict[str, Any]:
        if self.settings.get("segmenter") is not None:
            raise NotImplementedError("an AnatPaste with a segmenter of your own can't be serialised; pass lung masks")
        state: dict[str, Any] = super().to_dict_private()
        return state

    def get_dict_with_id(self) -> dict[str, Any]:
        # A replay stays in memory, where a segmenter may go along.
        state: dict[str, Any] = BasicTransform.to_dict_private(self) | {"id": id(self)}
        return state
