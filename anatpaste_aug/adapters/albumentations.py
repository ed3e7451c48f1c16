"""The transforms as an albumentations transform."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from anatpaste_aug.adapters.common import Writes, as_transform, check_writes, format_repr, mask_of, unite
from anatpaste_aug.adapters.numpy import to_array, to_batch, to_batch_mask
from anatpaste_aug.segmentation import LungSegmenter
from anatpaste_aug.transforms import PasteTransform, recipes

try:
    from albumentations.core.transforms_interface import BasicTransform, DualTransform
except ImportError as error:
    raise ImportError(
        'anatpaste_aug.adapters.albumentations needs albumentations: pip install "anatpaste_aug[albumentations]"',
        name=error.name,
    ) from error


class AlbumentationsPaste(DualTransform):
    """Paste a synthetic anomaly into the image, and add the changed pixels to the mask.

    Convention:
        * image: H×W or H×W×C with 1 or 3 channels, uint8 or float32 in [0, 1]; further images, listed in
          ``additional_targets``, share the random numbers and the region
        * mask: H×W or H×W×1. Changed pixels that are 0 become 1, in the mask's dtype; all else is kept, so that after a
          chain of transforms a mask of zeros holds the changes of all of them. To keep your annotations separate from
          the anomalies, set another target for these
        * every other target (further masks, boxes, keypoints, labels) passes through as the identical object
        * patches of other images need ``donors=``, because albumentations augments images one at a time
        * randomness: ``A.Compose(..., seed=...)`` or ``set_random_seed``. A call draws one seed, which
          ``ReplayCompose`` records; it also determines whether the image is augmented. All ``DataLoader`` workers have
          the same random state in albumentations: call ``set_random_seed(torch.initial_seed() % 2**32)`` on the
          pipeline in ``worker_init_fn``

    Args:
        transform: The transform with all settings, including the probability; None is ``AnatPasteTransform()``.
            ``A.from_dict`` passes the dictionary that ``A.to_dict`` has stored.
        anomaly_target: The mask target to write, ``"mask"`` or a name from ``additional_targets``.
        region_target: A mask target to read the region from, boolean or integer; None calls the segmenter.
        writes: The mask to write: "anomaly", "target" or a threshold (`anatpaste_aug.adapters.common.Writes`).
        p: Must be 1, since albumentations stores it; set the probability of the transform instead.

    Example:
        >>> import albumentations as A
        >>> from anatpaste_aug import AnatPasteTransform
        >>> pipeline = A.Compose([AlbumentationsPaste(AnatPasteTransform()), A.HorizontalFlip()], seed=0)
        >>> image = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
        >>> result = pipeline(image=image, mask=np.zeros_like(image))
        >>> result["image"].shape, np.unique(result["mask"]).tolist()
        ((64, 64), [0, 1])
    """

    def __init__(
        self,
        transform: PasteTransform | Mapping[str, Any] | None = None,
        *,
        anomaly_target: str = "mask",
        region_target: str | None = None,
        writes: Writes = "anomaly",
        p: float = 1.0,
    ) -> None:
        if p != 1:
            raise ValueError(
                f"p must be 1, got {p!r}; set the probability of the transform: AnatPasteTransform(p={p!r})"
            )
        super().__init__(p=p)
        self.transform = _restored(transform) if isinstance(transform, Mapping) else as_transform(transform)
        self.anomaly_target = anomaly_target
        self.region_target = region_target
        self.writes = check_writes(writes)

    @property
    def targets(self) -> dict[str, Any]:
        # Other targets pass through.
        return {"image": self.apply, "mask": self.apply_to_mask}

    def get_params(self) -> dict[str, Any]:
        # Only a seed: a replay on another image segments that image.
        return {"seed": self.py_random.getrandbits(63)}

    def apply_with_params(self, params: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        # All targets at once, so that the image is segmented once.
        if kwargs.get("image") is None:
            raise ValueError(
                f"{type(self).__name__} needs image=, got {list(kwargs)}; pass the images of a batch one at a time"
            )
        images = {key: kwargs[key] for key in kwargs if self._is_image(key) and kwargs[key] is not None}
        batches = {key: to_batch(image) for key, image in images.items()}
        for key, image in images.items():
            if image.ndim == 4 or image.shape[:2] != images["image"].shape[:2]:
                raise ValueError(f"images must be (H, W) or (H, W, C) of the same size, got {image.shape} for {key}")
        mask = self._given_mask(kwargs)
        region = self._region(kwargs)
        result = self.transform.augment(
            batches.pop("image"), region, generator=torch.Generator().manual_seed(params["seed"])
        )
        out = kwargs | {"image": to_array(result.image, images["image"])}
        for key, batch in batches.items():
            other = self.transform.augment(batch, result.region_mask, params=result.params)
            out[key] = to_array(other.image, images[key])
        if mask is not None:
            out[self.anomaly_target] = _unite(mask, mask_of(result, self.writes))
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

    def _region(self, data: dict[str, Any]) -> Tensor | None:
        if self.region_target is None:
            return None
        if data.get(self.region_target) is None:
            raise ValueError(f"{type(self).__name__} needs the region mask {self.region_target}=, got {list(data)}")
        return to_batch_mask(data[self.region_target], data["image"])

    # Serialization: the recipe and its settings by name, so that A.to_dict, A.save and ReplayCompose work.

    def get_transform_init_args(self) -> dict[str, Any]:
        names = ("anomaly_target", "region_target", "writes")
        return {"transform": _stored(self.transform)} | {name: getattr(self, name) for name in names}

    def to_dict_private(self) -> dict[str, Any]:
        state: dict[str, Any] = super().to_dict_private()
        if isinstance(state["transform"], PasteTransform):
            raise NotImplementedError(
                f"{type(self).__name__} can't be serialized with your own segmenter, donors or subclass; create "
                "the pipeline in code, or pass the masks of your segmenter by region_target="
            )
        return state

    def get_dict_with_id(self) -> dict[str, Any]:
        # A replay stays in memory, so that it may hold any transform.
        state: dict[str, Any] = BasicTransform.to_dict_private(self) | {"id": id(self)}
        return state

    def __repr__(self) -> str:
        names = ("anomaly_target", "region_target", "writes")
        return format_repr(self, self.transform, **{name: getattr(self, name) for name in names})


def _unite(mask: npt.NDArray[Any], later: Tensor) -> npt.NDArray[Any]:
    """Add a mask to that of earlier augmentations."""
    later = later.reshape(mask.shape)
    if later.dtype == torch.bool:
        return np.where(later.numpy(), np.maximum(mask, mask.dtype.type(1)), mask)
    return unite(torch.from_numpy(np.ascontiguousarray(mask)), later).numpy()


def _stored(transform: PasteTransform) -> PasteTransform | dict[str, Any]:
    """Return the recipe's name and the settings that differ from it, or the transform if a file can't store it."""
    settings = dict(transform.settings)
    usual = repr(settings.pop("segmenter")) in (repr(None), repr(LungSegmenter()))
    if not usual or settings.pop("donors") is not None or type(transform).__module__ != recipes.__name__:
        return transform
    changed = {name: value for name, value in settings.items() if value != getattr(transform.recipe, name, None)}
    return {type(transform).__name__: changed}


def _restored(stored: Mapping[str, Any]) -> PasteTransform:
    ((name, settings),) = stored.items()
    kind = getattr(recipes, str(name), None)
    if not (isinstance(kind, type) and issubclass(kind, PasteTransform)):
        raise ValueError(f"unknown recipe {name!r}; pass a transform, or a dictionary from A.to_dict")
    return kind(**settings)
