"""AnatPaste as MONAI transforms, on an array and on a dictionary."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..functional.masks import unite_masks
from ..params import AnatPasteParams
from ..validation import check_anomaly_mask
from .anatpaste import AnatPasteResult, AnatPasteTransform

try:
    from monai.config import KeysCollection, NdarrayOrTensor
    from monai.transforms import MapTransform, RandomizableTransform
    from monai.utils import TransformBackends, convert_to_dst_type, convert_to_tensor
except ImportError as error:
    raise ImportError(
        'anatpaste_aug.transforms.monai needs MONAI: pip install "anatpaste_aug[monai]"', name=error.name
    ) from error

_SEEDS = 2**32


class RandAnatPaste(RandomizableTransform):
    """Paste a synthetic anomaly into one image; `RandAnatPasted` also gives the anomaly mask.

    Convention:
        * in: C×H×W with 1 or 3 channels, uint8 or floating point in [0, 1]; not modified
        * out: the same type (``MetaTensor`` with its metadata, tensor or array), shape and dtype
        * randomness: ``set_random_state``, ``set_determinism`` and MONAI's ``DataLoader``, as every MONAI transform

    Args:
        prob: Probability that the image is augmented.
        settings: Every setting of `AnatPasteTransform` but ``p``, such as ``value_range=(0, 255)`` for images that
            ``LoadImage`` has read.

    Example:
        >>> transform = RandAnatPaste().set_random_state(seed=0)
        >>> transform(np.random.default_rng(0).random((1, 64, 64), dtype=np.float32)).shape
        (1, 64, 64)
    """

    backend = [TransformBackends.TORCH, TransformBackends.NUMPY]  # noqa: RUF012 (MONAI's declaration)

    def __init__(self, prob: float = 1.0, **settings: Any) -> None:
        _refuse_p(settings)
        RandomizableTransform.__init__(self, prob)
        self.transform = AnatPasteTransform(**settings)
        self._seed: int | None = None

    def randomize(self, data: Any = None) -> None:
        super().randomize(None)
        # Drawn in any case: what comes later in the stream does not depend on prob.
        self._seed = int(self.R.randint(_SEEDS, dtype=np.uint32))

    def __call__(
        self, img: NdarrayOrTensor, lung_mask: NdarrayOrTensor | None = None, randomize: bool = True
    ) -> NdarrayOrTensor:
        """Augment one C×H×W image; ``lung_mask`` 1×H×W takes the place of the segmenter.

        ``randomize=False`` repeats the random numbers of the last call.
        """
        _check_image(img)
        if randomize:
            self.randomize()
        if not self._do_transform:
            return img
        return convert_to_dst_type(self.augment(img, lung_mask).image[0], dst=img)[0]

    def augment(
        self, img: NdarrayOrTensor, lung_mask: NdarrayOrTensor | None = None, params: AnatPasteParams | None = None
    ) -> AnatPasteResult:
        """`AnatPasteTransform.augment` on a batch of this one image, with the numbers drawn by `randomize`."""
        _check_image(img)
        if self._seed is None:
            raise RuntimeError("please call the randomize() function first")
        images = _to_tensor(img).unsqueeze(0)
        lungs = None if lung_mask is None else _to_tensor(lung_mask, images.device).unsqueeze(0)
        generator = torch.Generator(images.device).manual_seed(self._seed)
        return self.transform.augment(images, lungs, params=params, generator=generator)


class RandAnatPasted(RandomizableTransform, MapTransform):
    """Dictionary-based version of `RandAnatPaste`, which also writes the anomaly mask under a key of its own.

    Convention:
        * the images of all ``keys`` share the random numbers and the lung mask of the first, and must be of one size
        * the anomaly mask is boolean 1×H×W, of the first image's type and with its metadata, so that spatial
          transforms which follow can take ``keys=["image", "anomaly_mask"]``; it is empty where ``prob`` left the
          image alone
        * a mask that stands under ``anomaly_mask_key`` already, 1×H×W, keeps its type, dtype and content; what is
          changed is added as 1. So a chain leaves the union of what its transforms changed, and zeros put there
          before give every sample a mask where ``OneOf`` or ``SomeOf`` may choose other transforms
        * ``LoadImage`` transposes PNG and JPEG: read them upright with ``LoadImaged(keys, reverse_indexing=False)``,
          or add ``Transposed(keys, indices=(0, 2, 1))`` after ``EnsureChannelFirstd``. `LungSegmenter` finds the same
          lungs in an image that lies on its side, but `LungFieldSegmenter` finds wrong ones, without an error

    Args:
        keys: Keys of the images.
        prob: Probability that they are augmented.
        anomaly_mask_key: Where the anomaly mask goes.
        lung_mask_key: Key of a lung mask, boolean or integer 1×H×W; None calls the segmenter. Lungs never change:
            computed before this transform in a ``CacheDataset``, they are computed once.
        allow_missing_keys: Don't raise an exception if a key is missing.
        settings: Every setting of `AnatPasteTransform` but ``p``.

    Example:
        >>> transform = RandAnatPasted(keys="image").set_random_state(seed=0)
        >>> sample = transform({"image": torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(0))})
        >>> sample["image"].shape, sample["anomaly_mask"].dtype
        (torch.Size([1, 64, 64]), torch.bool)
    """

    backend = RandAnatPaste.backend

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 1.0,
        anomaly_mask_key: str = "anomaly_mask",
        lung_mask_key: str | None = None,
        allow_missing_keys: bool = False,
        **settings: Any,
    ) -> None:
        _refuse_p(settings)
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.anomaly_mask_key = anomaly_mask_key
        self.lung_mask_key = lung_mask_key
        self.rand_anatpaste = RandAnatPaste(prob=1.0, **settings)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> "RandAnatPasted":
        super().set_random_state(seed, state)
        self.rand_anatpaste.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        """Augment the images of a sample."""
        sample = dict(data)
        keys = list(self.key_iterator(sample))
        lungs = self._check(sample, keys) if keys else None
        self.randomize(None)
        if not keys:
            return sample
        first = sample[keys[0]]
        if self.anomaly_mask_key not in sample:
            empty = torch.zeros(1, *first.shape[1:], dtype=torch.bool, device="cpu")
            kind = torch.bool if isinstance(first, Tensor) else np.bool_
            sample[self.anomaly_mask_key] = convert_to_dst_type(empty, dst=first, dtype=kind)[0]
        if not self._do_transform:
            return sample
        self.rand_anatpaste.randomize()
        result = self.rand_anatpaste.augment(first, lungs)
        earlier = sample[self.anomaly_mask_key]
        changed = result.anomaly_mask[0]
        united = unite_masks(_to_tensor(earlier, changed.device), changed)
        sample[self.anomaly_mask_key] = convert_to_dst_type(united, dst=earlier)[0]
        sample[keys[0]] = convert_to_dst_type(result.image[0], dst=first)[0]
        for key in keys[1:]:
            shared = None if result.lung_mask is None else result.lung_mask[0]
            other = self.rand_anatpaste.augment(sample[key], shared, result.params)
            sample[key] = convert_to_dst_type(other.image[0], dst=sample[key])[0]
        return sample

    def _check(self, sample: dict[Hashable, Any], keys: list[Hashable]) -> Any:
        """The lung mask of a sample in which everything is as it should be."""
        for key in keys:
            _check_image(sample[key])
            if sample[key].shape[1:] != sample[keys[0]].shape[1:]:
                sizes = {key: tuple(sample[key].shape) for key in keys}
                raise ValueError(f"the images of one sample must be of one size, got {sizes}")
        if self.anomaly_mask_key in sample:
            name = f"the sample's {self.anomaly_mask_key!r}"
            check_anomaly_mask(name, sample[self.anomaly_mask_key], (1, *sample[keys[0]].shape[1:]))
        if self.lung_mask_key is None:
            return None
        if self.lung_mask_key not in sample and not self.allow_missing_keys:
            raise KeyError(f"no lung mask {self.lung_mask_key!r} in a sample with the keys {list(sample)}")
        return sample.get(self.lung_mask_key)


RandAnatPasteD = RandAnatPasteDict = RandAnatPasted


def _check_image(img: Any) -> None:
    if not isinstance(img, np.ndarray | Tensor):
        raise TypeError(f"the image must be a numpy.ndarray, torch.Tensor or MetaTensor, got {type(img).__name__}")
    if img.ndim != 3 or img.shape[0] not in (1, 3):
        raise ValueError(
            f"the image must be channel-first, (1, H, W) or (3, H, W), got {tuple(img.shape)}; "
            "use EnsureChannelFirst before, and for volumes one slice at a time"
        )


def _refuse_p(settings: dict[str, Any]) -> None:
    if "p" in settings:
        raise TypeError("the probability is called prob in MONAI; pass prob= instead of p=")


def _to_tensor(array: NdarrayOrTensor, device: torch.device | None = None) -> Tensor:
    """A plain tensor, on the CPU if an array is given and no device, whatever the default device is."""
    if device is None:
        device = array.device if isinstance(array, Tensor) else torch.device("cpu")
    tensor: Tensor = convert_to_tensor(array, device=device, track_meta=False)
    return tensor
