"""AnatPaste: realistic synthetic anomalies for unsupervised anomaly detection in chest radiographs.

from anatpaste_aug import AnatPasteTransform
transform = AnatPasteTransform()
augmented = transform(image)               # PIL image, tv_tensors.Image or tensor, alone or in a sample
result = transform.augment(batch)          # B×C×H×W: image, anomaly_mask, soft_mask, target, label, region_mask, params
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anatpaste_aug.mask_cache import CachedSegmenter, MaskCache
    from anatpaste_aug.paste import PasteConfig, PasteParams, PasteResult
    from anatpaste_aug.segmentation import (
        CTLungSegmenter,
        FixedMask,
        LungFieldSegmenter,
        LungSegmenter,
        NetworkSegmenter,
        ThresholdSegmenter,
    )
    from anatpaste_aug.transforms import (
        AnatPasteTransform,
        AnomalyMask,
        CutPasteTransform,
        FPITransform,
        NSATransform,
        OneClassPairs,
        PasteTransform,
        PIITransform,
        RegionMask,
        collate_one_class,
        one_class_batch,
        warm_up,
    )

__version__ = "0.2.0.dev0"

__all__ = [
    "AnatPasteTransform",
    "AnomalyMask",
    "CTLungSegmenter",
    "CachedSegmenter",
    "CutPasteTransform",
    "FPITransform",
    "FixedMask",
    "LungFieldSegmenter",
    "LungSegmenter",
    "MaskCache",
    "NSATransform",
    "NetworkSegmenter",
    "OneClassPairs",
    "PIITransform",
    "PasteConfig",
    "PasteParams",
    "PasteResult",
    "PasteTransform",
    "RegionMask",
    "ThresholdSegmenter",
    "collate_one_class",
    "one_class_batch",
    "warm_up",
]

# Everything is imported at its first use: torch takes seconds, which `anatpaste-aug --help` need not wait for, and the
# experiments need optional dependencies.
_SOURCES = ("transforms", "segmentation", "paste", "mask_cache")  # of the names in __all__
_OF_DETECTION = ("jinja2", "matplotlib", "scipy", "sklearn")  # packages that it needs
_SUBPACKAGES = ("adapters", "datasets", "detection", "functional", "inspection", *_SOURCES)

if not TYPE_CHECKING:  # to a type checker, this function would make every name valid

    def __getattr__(name: str) -> Any:
        if name in _SUBPACKAGES:
            return import_module(f"{__name__}.{name}")
        if name in __all__:
            modules = (import_module(f"{__name__}.{source}") for source in _SOURCES)
            value = globals()[name] = next(getattr(module, name) for module in modules if name in module.__all__)
            return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    # What lists all members gets each of them, and `detection` cannot be imported without its extra.
    installed = all(find_spec(package) for package in _OF_DETECTION)
    return sorted(["__version__", *__all__, *(name for name in _SUBPACKAGES if installed or name != "detection")])
