"""The engine's settings: distributions, parameters, the sampler, the recipes and the result.

It depends on torch alone. The pixels are the business of `anatpaste_aug.functional`.
"""

from .config import PasteConfig
from .params import PasteParams
from .recipes import ANATPASTE, CUTPASTE, FPI, NSA, PII
from .result import PasteResult
from .sampling import draw_uniforms, sample_params

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
