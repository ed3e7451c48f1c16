"""The settings of the augmentation as command-line options, generated from the fields of its config."""

import argparse
from dataclasses import fields
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from anatpaste_aug.paste.config import PasteConfig
from anatpaste_aug.paste.recipes import ANATPASTE

if TYPE_CHECKING:
    from anatpaste_aug.transforms import AnatPasteTransform

__all__ = ["add_settings", "transform_from"]

_EXCLUDED = ("p", "source")  # single images are shown, always augmented
_OPTIONS = {"size": "--patch-size"}  # --size is the size of the images
_DESTINATION = "paste_"


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add an option for each setting of `AnatPasteTransform`; the defaults are those of the paper."""
    group = parser.add_argument_group("augmentation (defaults: the paper's)")
    hints = get_type_hints(PasteConfig)
    for entry in fields(ANATPASTE):
        if entry.name not in _EXCLUDED:
            default = getattr(ANATPASTE, entry.name)
            text = f"{entry.metadata.get('help', '')} Default: {_format(default)}.".replace("%", "%%")
            group.add_argument(
                _OPTIONS.get(entry.name, "--" + entry.name.replace("_", "-")),
                dest=_DESTINATION + entry.name,
                default=default,
                help=text,
                **_argument_options(hints[entry.name]),
            )


def transform_from(arguments: argparse.Namespace, **settings: Any) -> "AnatPasteTransform":
    """Make the transform that the arguments describe; ``settings`` are those without an option."""
    from anatpaste_aug.transforms import AnatPasteTransform  # imports torch

    for entry in fields(ANATPASTE):
        if entry.name not in _EXCLUDED:
            value = getattr(arguments, _DESTINATION + entry.name)
            value = tuple(value) if isinstance(value, list) else value
            if value != getattr(ANATPASTE, entry.name):
                settings[entry.name] = value
    return AnatPasteTransform(**settings)


def _argument_options(hint: Any) -> dict[str, Any]:
    """Return the keywords of ``add_argument`` for a type."""
    if get_origin(hint) is Literal:
        return {"choices": get_args(hint)}
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    if NoneType in get_args(hint):
        hint = Union[tuple(kind for kind in get_args(hint) if kind is not NoneType)]  # noqa: UP007
    if get_origin(hint) is tuple:
        numbers = get_args(hint)
        metavar = ("LOW", "HIGH") if len(numbers) == 2 else ("N",) * len(numbers)
        return {"nargs": len(numbers), "type": numbers[0], "metavar": metavar}
    return {"type": hint, "metavar": "N"}


def _format(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_format, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
