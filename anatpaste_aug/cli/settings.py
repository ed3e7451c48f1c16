"""The settings of AnatPasteTransform on the command line."""

import argparse
from typing import Any

from anatpaste_aug.params import AnatPasteConfig
from anatpaste_aug.transforms import AnatPasteTransform

__all__ = ["add_settings", "transform_from"]

_RANGES = {
    "area": "the patch's area, as a share of the image",
    "aspect_ratio": "the patch's height / width",
    "opacity": "the value of the soft shape",
    "sigma": "the blur's sigma, in pixels at 256×256",
}
_NUMBERS = {
    "jitter": "strength of the patch's colour jitter",
    "margin": "distance of the shape from the patch's edges, in pixels at 256×256",
}


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add every range of the augmentation; the defaults are the paper's."""
    group = parser.add_argument_group("augmentation (defaults: the paper's)")
    for name, text in _RANGES.items():
        low, high = getattr(AnatPasteConfig, name)
        group.add_argument(
            _option(name),
            nargs=2,
            type=float,
            metavar=("LOW", "HIGH"),
            default=(low, high),
            help=f"{text}; default {low:g} {high:g}",
        )
    for name, text in _NUMBERS.items():
        value = getattr(AnatPasteConfig, name)
        group.add_argument(_option(name), type=float, default=value, help=f"{text}; default {value:g}")
    group.add_argument("--no-blur", action="store_true", help="leave the shape hard (ablation)")


def transform_from(arguments: argparse.Namespace, *, segmentation: bool = True) -> AnatPasteTransform:
    """The transform that the arguments describe."""
    settings: dict[str, Any] = {name: tuple(getattr(arguments, name)) for name in _RANGES}
    settings |= {name: getattr(arguments, name) for name in _NUMBERS}
    return AnatPasteTransform(segmentation=segmentation, blur=not arguments.no_blur, **settings)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
