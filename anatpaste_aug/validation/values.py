"""Checks of settings: numbers, choices and segmenters."""

import math
from collections.abc import Sequence
from numbers import Integral, Real


def check_number(
    name: str, value: object, lowest: float = -math.inf, highest: float = math.inf, *, or_: str | None = None
) -> float:
    """Check for a finite number in [lowest, highest]; ``or_`` names what else is allowed."""
    number = float(value) if isinstance(value, Real) else math.nan
    if not (lowest <= number <= highest and math.isfinite(number)):
        limits = {
            (False, False): "a finite number",
            (True, False): f"a finite number of at least {lowest:g}",
            (False, True): f"a finite number of at most {highest:g}",
            (True, True): f"a number in [{lowest:g}, {highest:g}]",
        }[math.isfinite(lowest), math.isfinite(highest)]
        raise ValueError(f"{name} must be {limits}{f' or {or_}' if or_ else ''}, got {value!r}")
    return number


def check_count(name: str, value: object, lowest: int = 1) -> int:
    """Check for an integer of at least ``lowest``."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < lowest:
        raise ValueError(f"{name} must be a whole number of at least {lowest}, got {value!r}")
    return int(value)


def check_choice(name: str, value: object, choices: Sequence[str]) -> str:
    """Check for one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return str(value)


def check_segmenter(segmenter: object) -> None:
    """Check that a segmenter can be called."""
    if not callable(segmenter):
        raise TypeError(
            f"a segmenter must be callable (images to boolean masks), got {type(segmenter).__name__}; "
            "wrap a mask in FixedMask"
        )
