"""The engine's settings: distributions, parameters, the sampler, the recipes and the result.

It depends on torch alone. `anatpaste_aug.functional` computes the pixels.
"""

from anatpaste_aug.paste.config import PasteConfig
from anatpaste_aug.paste.draws import draw_uniforms
from anatpaste_aug.paste.params import PasteParams
from anatpaste_aug.paste.recipes import ANATPASTE, CUTPASTE, FPI, NSA, PII
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
