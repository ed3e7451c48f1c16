"""The engine without its pixels: settings, recipes, the sampler, parameters and the result.

It depends on torch alone. `anatpaste_aug.functional` computes the pixels.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from anatpaste_aug.paste.config import PasteConfig
from anatpaste_aug.paste.recipes import ANATPASTE, CUTPASTE, FPI, NSA, PII

if TYPE_CHECKING:
    from anatpaste_aug.paste.draws import draw_uniforms
    from anatpaste_aug.paste.params import PasteParams
    from anatpaste_aug.paste.result import PasteResult
    from anatpaste_aug.paste.sampling import sample_params

__all__ = [
    "ANATPASTE",
    "CUTPASTE",
    "FPI",
    "NSA",
    "PII",
    "PasteConfig",
    "PasteParams",
    "PasteResult",
    "draw_uniforms",
    "sample_params",
]

# Modules that need torch are imported at their first use: `anatpaste-aug preview --help` needs only the config.
_SOURCES = {"PasteParams": "params", "PasteResult": "result", "draw_uniforms": "draws", "sample_params": "sampling"}

if not TYPE_CHECKING:  # to a type checker, this function would make every name valid

    def __getattr__(name: str) -> Any:
        if name in _SOURCES:
            value = globals()[name] = getattr(import_module(f"{__name__}.{_SOURCES[name]}"), name)
            return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted(__all__)
