"""AnatPaste in timm's training loops: in the place of ``RandomErasing``, and in the place of ``Mixup``.

Nothing of timm is imported: its loader and its loops call whatever stands there.
"""

import re
from typing import Any, Self, Unpack

import torch
from torch import Tensor

from ..params import AnatPasteConfig
from ..validation import check_images
from .anatpaste import AnatPasteTransform
from .interface import AnatPasteSettings

# What each key of a config string sets: a setting, or the end of a range.
_KEYS: dict[str, tuple[str, int | None]] = {
    "p": ("p", None),
    "amin": ("area", 0),
    "amax": ("area", 1),
    "rmin": ("aspect_ratio", 0),
    "rmax": ("aspect_ratio", 1),
    "omin": ("opacity", 0),
    "omax": ("opacity", 1),
    "blur": ("sigma", 1),
    "jit": ("jitter", None),
    "margin": ("margin", None),
    "seg": ("segmentation", None),
    "skip": ("skip_without_lungs", None),
}
_SWITCHES = ("seg", "skip")
_NUMBER = re.compile(r"\d+(\.\d+)?|\.\d+", re.ASCII)


def parse_config(config: str) -> dict[str, Any]:
    """The settings of a config string in timm's style, as keyword arguments of `AnatPasteTransform`.

    Args:
        config: ``anatpaste``, then sections of a key and a number, each after a dash and in any order, as in
            ``anatpaste-p0.5-amin0.02-amax0.15-blur15``. Keys: p, amin and amax (area), rmin and rmax (aspect_ratio),
            omin and omax (opacity), blur (upper end of sigma, in pixels at 256×256), jit (jitter), margin (pixels at
            256×256), seg (segmentation, 0 or 1), skip (skip_without_lungs, 0 or 1).

    Returns:
        The settings that the string names; an end of a range that it doesn't name keeps its default.

    Raises:
        ValueError: An unknown or repeated key, a malformed or an impossible number; the message names the key.

    Example:
        >>> parse_config("anatpaste-p0.5-amax0.1-seg0")
        {'p': 0.5, 'area': (0.02, 0.1), 'segmentation': False}
    """
    name, *sections = str(config).split("-")
    if name != "anatpaste":
        raise ValueError(f"a config string starts with 'anatpaste', as in 'anatpaste-p0.5-blur15', got {config!r}")
    values: dict[str, float] = {}
    for section in sections:
        key = re.match("[A-Za-z_]*", section).group()  # type: ignore[union-attr]  # it always matches
        number = section[len(key) :]
        if key not in _KEYS:
            raise ValueError(f"unknown key {key!r} in {config!r}; the keys are {', '.join(_KEYS)}")
        if key in values:
            raise ValueError(f"key {key!r} is repeated in {config!r}; the keys are {', '.join(_KEYS)}, once each")
        if key in _SWITCHES and number not in ("0", "1"):
            raise ValueError(f"key {key!r} needs 0 or 1, got {number!r} in {config!r}")
        if not _NUMBER.fullmatch(number):
            raise ValueError(
                f"key {key!r} needs a number such as 15 or 0.5, got {number!r} in {config!r}; "
                f"the keys are {', '.join(_KEYS)}"
            )
        values[key] = float(number)
    return _settings(config, values)


def _settings(config: str, values: dict[str, float]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for key, value in values.items():
        name, end = _KEYS[key]
        if end is None:
            settings[name] = bool(value) if key in _SWITCHES else value
        else:
            pair = settings.get(name, getattr(AnatPasteConfig, name))
            settings[name] = (value, pair[1]) if end == 0 else (pair[0], value)
    try:
        AnatPasteConfig(**{name: value for name, value in settings.items() if hasattr(AnatPasteConfig, name)})
    except ValueError as error:
        raise ValueError(f"impossible config {config!r}: {error}") from error
    return settings


class _OnNormalizedBatches:
    """What both adapters share: the transform, on batches that the loader has normalised."""

    def __init__(self, p: float = 0.5, **settings: Unpack[AnatPasteSettings]) -> None:
        if settings.get("mean") is None or settings.get("std") is None:
            raise TypeError(
                f"{type(self).__name__} needs the mean= and std= that the loader normalises with, such as "
                "timm.data.IMAGENET_DEFAULT_MEAN and _STD; for images in [0, 1] pass mean=(0.0,), std=(1.0,)"
            )
        self.transform = AnatPasteTransform(p, **settings)

    @classmethod
    def from_config(cls, config: str, **settings: Any) -> Self:
        """Build it from a config string (see `parse_config`) and the keyword arguments that no key stands for."""
        return cls(**parse_config(config), **settings)

    def __repr__(self) -> str:
        shown = self.transform.settings | {name: value for name, value in vars(self).items() if name != "transform"}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


class AnatPasteErasing(_OnNormalizedBatches):
    """AnatPaste (Sato et al., arXiv 2205.04282) where timm has ``RandomErasing``: normalised images in, the same out.

    ``timm.data.PrefetchLoader`` calls what stands in its attribute ``random_erasing`` on its side stream, after
    normalising; nothing here waits for the device. Targets stay as they are: for targets that tell what was augmented
    take `AnatPasteMixup`. The loader works one batch ahead, so nothing can be read here about the batch at hand.

    The prefetcher is needed. With ``use_prefetcher=False`` (timm's ``--no-prefetcher``) nothing calls
    ``random_erasing``, and nothing is augmented, without an error: append the augmentation to the transform of the data
    set instead, ``dataset.transform.transforms.append(AnatPasteErasing(...))``, after ``create_loader``. On a machine
    without CUDA the prefetcher needs ``create_loader(..., device=torch.device("cpu"))``.

    Args:
        p: Probability that an image is augmented, drawn per image.
        num_splits: As in timm: above 1, the first of that many equal parts of a batch stays clean.
        **settings: Every other setting of `AnatPasteTransform`; ``mean`` and ``std`` are needed.

    Raises:
        TypeError: ``mean`` and ``std`` are missing.
        ValueError: A setting is impossible, or (on the CPU) the images were normalised with other numbers.

    Example:
        >>> erasing = AnatPasteErasing.from_config("anatpaste-p0.5-blur15", mean=(0.5,), std=(0.25,))
        >>> erasing(torch.zeros(4, 1, 64, 64)).shape  # loader.random_erasing = erasing
        torch.Size([4, 1, 64, 64])
    """

    def __init__(self, p: float = 0.5, *, num_splits: int = 0, **settings: Unpack[AnatPasteSettings]) -> None:
        super().__init__(p, **settings)
        self.num_splits = num_splits

    def __call__(self, input: Tensor) -> Tensor:
        """The augmented B×C×H×W or C×H×W images; the given ones are not modified."""
        if isinstance(input, Tensor) and input.ndim == 3:
            return self.transform.augment(input.unsqueeze(0)).image[0]
        if self.num_splits <= 1:
            return self.transform.augment(input).image
        clean = len(input) // self.num_splits
        return self.transform.augment(input, apply=torch.arange(len(input), device=input.device) >= clean).image


class AnatPasteMixup(_OnNormalizedBatches):
    """AnatPaste (Sato et al., arXiv 2205.04282) where a timm loop has ``mixup_fn``: (x, target) in, (x, target) out.

    The target that comes out is binary, 1 for anomalous: an image that was augmented, or one whose given target is not
    0. Only images of target 0, the normal class, are augmented.

    Args:
        p: Probability that a normal image is augmented, drawn per image.
        pairs: Give twice the batch: first the images as they are, then their augmentations. The paper's training is
            ``AnatPasteMixup(1.0, pairs=True, ...)``.
        one_hot: Give float32 targets of shape B×2, as ``Mixup`` does for ``SoftTargetCrossEntropy``, instead of int64
            class indices of shape B for ``CrossEntropyLoss``.
        **settings: Every other setting of `AnatPasteTransform`; ``mean`` and ``std`` are needed.

    Attributes:
        mixup_enabled: False leaves the images alone, as timm's loops ask for in their last epochs.

    Raises:
        TypeError: ``mean`` and ``std`` are missing.
        ValueError: A setting is impossible, there isn't one class index per image, or (on the CPU) the images were
            normalised with other numbers.

    Example:
        >>> mixup_fn = AnatPasteMixup(1.0, pairs=True, mean=(0.5,), std=(0.25,))
        >>> images, target = mixup_fn(torch.zeros(2, 1, 64, 64), torch.zeros(2, dtype=torch.int64))
        >>> images.shape, target.tolist()
        (torch.Size([4, 1, 64, 64]), [0, 0, 1, 1])
    """

    def __init__(
        self, p: float = 0.5, *, pairs: bool = False, one_hot: bool = False, **settings: Unpack[AnatPasteSettings]
    ) -> None:
        super().__init__(p, **settings)
        self.pairs = pairs
        self.one_hot = one_hot
        self.mixup_enabled = True

    def __call__(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Augment normalised B×C×H×W images with one class index each; neither is modified."""
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
            changed = anomalous | result.anomaly_mask.flatten(1).any(1)
            x = torch.cat([x, result.image]) if self.pairs else result.image
            anomalous = torch.cat([anomalous, changed]) if self.pairs else changed
        return x, torch.stack([~anomalous, anomalous], 1).float() if self.one_hot else anomalous.long()
