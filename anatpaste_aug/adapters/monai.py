"""The transforms as MONAI transforms, for arrays and for dictionaries."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anatpaste_aug.adapters.common import Writes, as_transform, check_writes, format_repr, mask_of, unite
from anatpaste_aug.paste import PasteParams, PasteResult
from anatpaste_aug.transforms import PasteTransform
from anatpaste_aug.validation import check_anomaly_mask

try:
    from monai.config import KeysCollection, NdarrayOrTensor
    from monai.transforms import MapTransform, Randomizable, Transform
    from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor
except ImportError as error:
    raise ImportError(
        'anatpaste_aug.adapters.monai needs MONAI: pip install "anatpaste_aug[monai]"', name=error.name
    ) from error

_SEEDS = 2**32


class MonaiPaste(Randomizable, Transform):
    """Paste a synthetic anomaly into one image; `MonaiPasted` also gives the anomaly mask.

    Convention:
        * in: C×H×W with 1 or 3 channels, uint8 or floating point in [0, 1]; not modified. Images from
          ``LoadImage`` are in [0, 255]: create the transform with ``value_range=(0, 255)``
        * out: the same type (``MetaTensor`` with its metadata, tensor or array), shape and dtype
        * patches of other images need ``donors=``, because MONAI augments images one at a time
        * randomness: ``set_random_state``, ``set_determinism`` and MONAI's ``DataLoader``, as every MONAI transform

    Args:
        transform: The transform with all settings, including the probability; None is ``AnatPasteTransform()``.

    Example:
        >>> from anatpaste_aug import AnatPasteTransform
        >>> paste = MonaiPaste(AnatPasteTransform(p=0.5)).set_random_state(seed=0)
        >>> paste(np.random.default_rng(0).random((1, 64, 64), dtype=np.float32)).shape
        (1, 64, 64)
    """

    backend = [TransformBackends.TORCH, TransformBackends.NUMPY]  # noqa: RUF012 (MONAI's declaration)

    def __init__(self, transform: PasteTransform | None = None) -> None:
        self.transform = as_transform(transform)
        self._seed: int | None = None

    def randomize(self, data: Any = None) -> None:
        self._seed = int(self.R.randint(_SEEDS, dtype=np.uint32))

    def __call__(
        self, img: NdarrayOrTensor, region_mask: NdarrayOrTensor | None = None, randomize: bool = True
    ) -> NdarrayOrTensor:
        """Augment one C×H×W image; a ``region_mask`` 1×H×W replaces the segmentation.

        ``randomize=False`` repeats the random numbers of the last call.
        """
        _check_image(img)
        if randomize:
            self.randomize()
        return convert_to_dst_type(self.augment(img, region_mask).image[0], dst=img)[0]

    def augment(
        self, img: NdarrayOrTensor, region_mask: NdarrayOrTensor | None = None, params: PasteParams | None = None
    ) -> PasteResult:
        """Call `PasteTransform.augment` on a batch of one image, with the seed drawn by `randomize`."""
        _check_image(img)
        if self._seed is None:
            raise RuntimeError("call randomize() first")
        images = _to_tensor(img).unsqueeze(0)
        region = None if region_mask is None else _to_tensor(region_mask, images.device).unsqueeze(0)
        generator = torch.Generator(images.device).manual_seed(self._seed)
        return self.transform.augment(images, region, params=params, generator=generator)

    def __repr__(self) -> str:
        return format_repr(self, self.transform)


class MonaiPasted(Randomizable, MapTransform):
    """Dictionary-based version of `MonaiPaste`, which also writes the anomaly mask under its own key.

    Convention:
        * the images of all ``keys`` share the random numbers and the region of the first, and must have the same size
        * the mask is 1×H×W, boolean (a target: float32), of the first image's type and with its metadata, so that
          subsequent spatial transforms can use ``keys=["image", "anomaly_mask"]``; it is empty if the image was not
          augmented
        * an existing mask 1×H×W under ``anomaly_mask_key`` keeps its type, dtype and content; the changes are added to
          it. So a chain gives the union of the changes of its transforms. With ``OneOf`` or ``SomeOf``, start with a
          mask of zeros, so that every sample has one
        * ``LoadImage`` transposes PNG and JPEG: load them upright with ``LoadImaged(keys, reverse_indexing=False)``,
          or add ``Transposed(keys, indices=(0, 2, 1))`` after ``EnsureChannelFirstd``. `LungSegmenter` finds the same
          lungs in a transposed image, but `LungFieldSegmenter` silently gives a wrong mask

    Args:
        keys: Keys of the images.
        transform: The transform with all settings, including the probability; None is ``AnatPasteTransform()``.
        anomaly_mask_key: Key of the anomaly mask to write.
        region_mask_key: Key of a region mask, boolean or integer 1×H×W; None calls the segmenter. If an
            earlier transform of a ``CacheDataset`` computes the regions, they are computed only once.
        writes: The mask to write: "anomaly", "target" or a threshold (`anatpaste_aug.adapters.common.Writes`).
        allow_missing_keys: Skip missing keys instead of raising an error.

    Example:
        >>> from anatpaste_aug import AnatPasteTransform
        >>> paste = MonaiPasted("image", AnatPasteTransform(p=0.5)).set_random_state(seed=0)
        >>> sample = paste({"image": torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(0))})
        >>> sample["image"].shape, sample["anomaly_mask"].dtype
        (torch.Size([1, 64, 64]), torch.bool)
    """

    backend = MonaiPaste.backend

    def __init__(
        self,
        keys: KeysCollection,
        transform: PasteTransform | None = None,
        anomaly_mask_key: str = "anomaly_mask",
        region_mask_key: str | None = None,
        writes: Writes = "anomaly",
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.paste = MonaiPaste(transform)
        self.anomaly_mask_key = anomaly_mask_key
        self.region_mask_key = region_mask_key
        self.writes = check_writes(writes)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> "MonaiPasted":
        self.paste.set_random_state(seed, state)
        return self

    def randomize(self, data: Any = None) -> None:
        self.paste.randomize(data)

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        """Augment the images of a sample."""
        sample = dict(data)
        keys = list(self.key_iterator(sample))
        region = self._check(sample, keys) if keys else None
        self.randomize()
        if not keys:
            return sample
        first = sample[keys[0]]
        result = self.paste.augment(first, region)
        mask = mask_of(result, self.writes)[0]
        earlier = sample.get(self.anomaly_mask_key)
        if earlier is None:
            # A torch dtype for an array would make MONAI convert through torch's default device.
            kind = mask.dtype if isinstance(first, Tensor) else {torch.bool: np.bool_}.get(mask.dtype, np.float32)
            sample[self.anomaly_mask_key] = convert_to_dst_type(mask, dst=first, dtype=kind)[0]
        else:
            united = unite(_to_tensor(earlier, mask.device), mask)
            sample[self.anomaly_mask_key] = convert_to_dst_type(united, dst=earlier)[0]
        sample[keys[0]] = convert_to_dst_type(result.image[0], dst=first)[0]
        for key in keys[1:]:
            shared = None if result.region_mask is None else result.region_mask[0]
            other = self.paste.augment(sample[key], shared, result.params)
            sample[key] = convert_to_dst_type(other.image[0], dst=sample[key])[0]
        return sample

    def _check(self, sample: dict[Hashable, Any], keys: list[Hashable]) -> Any:
        """Check a sample, and return its region mask."""
        for key in keys:
            _check_image(sample[key])
            if sample[key].shape[1:] != sample[keys[0]].shape[1:]:
                sizes = {key: tuple(sample[key].shape) for key in keys}
                raise ValueError(f"the images of one sample must have the same size, got {sizes}")
        if self.anomaly_mask_key in sample:
            name = f"the sample's {self.anomaly_mask_key!r}"
            check_anomaly_mask(name, sample[self.anomaly_mask_key], (1, *sample[keys[0]].shape[1:]))
        if self.region_mask_key is None:
            return None
        if self.region_mask_key not in sample and not self.allow_missing_keys:
            raise KeyError(f"no region mask {self.region_mask_key!r} in a sample with the keys {list(sample)}")
        return sample.get(self.region_mask_key)

    def __repr__(self) -> str:
        names = ("anomaly_mask_key", "region_mask_key", "writes", "allow_missing_keys")
        return format_repr(self, self.keys, self.paste.transform, **{name: getattr(self, name) for name in names})


def _check_image(img: Any) -> None:
    if not isinstance(img, np.ndarray | Tensor):
        raise TypeError(f"the image must be a numpy.ndarray, torch.Tensor or MetaTensor, got {type(img).__name__}")
    if img.ndim != 3 or img.shape[0] not in (1, 3):
        raise ValueError(
            f"the image must be channel-first, (1, H, W) or (3, H, W), got {tuple(img.shape)}; "
            "apply EnsureChannelFirst first, and pass volumes one slice at a time"
        )


def _to_tensor(array: NdarrayOrTensor, device: torch.device | None = None) -> Tensor:
    """Convert to a plain tensor; without a device, arrays go to the CPU, not to the default device."""
    if device is None:
        device = array.device if isinstance(array, Tensor) else torch.device("cpu")
    tensor: Tensor = convert_to_tensor(array, device=device, track_meta=False)
    return tensor
