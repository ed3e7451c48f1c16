"""Code that all adapters share: the transform that they wrap, and the mask that they write."""

from numbers import Real
from typing import Any, Literal

from torch import Tensor

from anatpaste_aug.functional.masks import unite_masks
from anatpaste_aug.paste import PasteResult
from anatpaste_aug.transforms import AnatPasteTransform, PasteTransform

Writes = Literal["anomaly", "target"] | float
"""The mask that an adapter writes.

"anomaly" is `PasteResult.anomaly_mask`, boolean: every pixel that may have changed. "target" is `PasteResult.target`,
float32 in [0, 1], for losses that use such a target. A number in [0, 1) is a threshold for that target: it gives a
boolean mask without the pixels that hardly changed.
"""


def as_transform(transform: object) -> PasteTransform:
    """Check a transform, and return it; None gives `AnatPasteTransform` with its defaults.

    Raises:
        TypeError: It is not a transform of this package.
    """
    if transform is None:
        return AnatPasteTransform()
    if not isinstance(transform, PasteTransform):
        raise TypeError(
            f"transform must be a transform of this package, such as AnatPasteTransform(p=0.5), got {transform!r}"
        )
    return transform


def check_writes(writes: Any) -> Writes:
    """Check for one of the choices of `Writes`.

    Raises:
        ValueError: It is not one of them.
    """
    number = isinstance(writes, Real) and not isinstance(writes, bool)
    if writes in ("anomaly", "target") if not number else 0 <= writes < 1:
        chosen: Writes = writes
        return chosen
    raise ValueError(f"writes must be 'anomaly', 'target' or a threshold in [0, 1), got {writes!r}")


def chosen_mask(anomaly_mask: Tensor, target: Tensor, writes: Writes) -> Tensor:
    """Choose the mask to write from the two that a transform gives."""
    if isinstance(writes, str):
        return anomaly_mask if writes == "anomaly" else target.detach()
    return target.detach() > writes


def mask_of(result: PasteResult, writes: Writes) -> Tensor:
    """Return the mask to write, boolean or float32 B×1×H×W."""
    return chosen_mask(result.anomaly_mask, result.target, writes)


def unite(earlier: Tensor, later: Tensor) -> Tensor:
    """Unite the mask of earlier augmentations with that of this one.

    Raises:
        ValueError: The later mask is a target, and the earlier one is boolean or integer.
    """
    if later.is_floating_point() and not earlier.is_floating_point():
        raise ValueError(
            f"writes='target' needs a floating-point mask to write to, got {earlier.dtype}; convert the mask, or pass "
            "writes='anomaly' or a threshold such as writes=0.05"
        )
    return unite_masks(earlier, later)


def format_repr(adapter: object, *arguments: object, **settings: object) -> str:
    """Format the ``repr`` of an adapter."""
    parts = [repr(argument) for argument in arguments] + [f"{name}={value!r}" for name, value in settings.items()]
    return f"{type(adapter).__name__}({', '.join(parts)})"
