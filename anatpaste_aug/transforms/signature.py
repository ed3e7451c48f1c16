"""Generate the signature and documentation of a transform from the fields of its config."""

import inspect
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import wraps
from typing import Any, get_type_hints

from torch import Tensor

from anatpaste_aug.segmentation import Segmenter

HELP: dict[str, str] = {
    "segmenter": "Callable from B×C×H×W images to boolean B×1×H×W masks of the lungs, or of another region "
    "(`anatpaste_aug.segmentation`); None uses `LungSegmenter` if the recipe needs a region. It gets the images as "
    "they are, or in [0, 1] if ``mean`` and ``std`` are set. It is called without gradients. For "
    "DistributedDataParallel, freeze your own module by ``requires_grad_(False)``; `NetworkSegmenter` does so itself.",
    "donors": "Images to cut patches from: a tensor N×C×H×W, or a callable from a number to that many images. "
    'Implies source="donors".',
    "value_range": "(black, white) of the images; None is (0, 255) for uint8 and (0, 1) for floating point.",
    "mean": "Mean that the images were normalized with, as for ``Normalize``: a number per channel, or one for all.",
    "std": "Standard deviation that they were normalized with, likewise.",
}
"""The settings of every transform that are not part of its config."""

_TYPES: dict[str, Any] = {
    "segmenter": Segmenter | None,
    "donors": Tensor | Callable[[int], Tensor] | None,
    "value_range": tuple[float, float] | None,
    "mean": Sequence[float] | None,
    "std": Sequence[float] | None,
}


def document(cls: Any) -> None:
    """Give a transform the signature of its ``recipe``, and list all settings in its documentation.

    Keywords of the class's own ``__init__`` come first; its docstring describes them under "Args:".
    """
    cls.__init__ = _with_signature(cls)
    if cls.__doc__:
        cls.__doc__ = _with_settings(cls.__doc__, cls.recipe)


def _with_signature(cls: Any) -> Any:
    """Make an ``__init__`` that has all settings in its signature."""
    written = cls.__dict__.get("__init__")
    if written is None:

        def written(self: Any, *args: Any, **settings: Any) -> None:
            super(cls, self).__init__(*args, **settings)

    @wraps(written)
    def init(self: Any, *args: Any, **settings: Any) -> None:
        written(self, *args, **settings)

    own = [
        parameter
        for name, parameter in inspect.signature(written).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    hints = get_type_hints(type(cls.recipe))
    parameters = [
        inspect.Parameter("self", positional),
        inspect.Parameter("p", positional, default=cls.recipe.p, annotation=float),
        *own,
    ]
    for name, kind in _TYPES.items():
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind))
    taken = {parameter.name for parameter in parameters}
    parameters.extend(
        inspect.Parameter(
            entry.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=getattr(cls.recipe, entry.name),
            annotation=hints[entry.name],
        )
        for entry in fields(cls.recipe)
        if entry.name not in taken
    )
    init.__name__ = "__init__"
    init.__signature__ = inspect.Signature(parameters, return_annotation=None)  # type: ignore[attr-defined]
    return init


def _with_settings(text: str, recipe: Any) -> str:
    """Add all settings to a docstring under "Args:", after those that are listed there."""
    lines = []
    for name, help_text in HELP.items():
        lines.append(_entry(name, help_text))
    for entry in fields(recipe):
        default = getattr(recipe, entry.name)
        lines.append(_entry(entry.name, f"{entry.metadata.get('help', '')} Default: {default!r}."))
    settings = "\n".join(lines)
    text = inspect.cleandoc(text)
    for heading in ("Raises:", "Example:"):
        head, heading_line, tail = text.partition(f"\n{heading}\n")
        if heading_line:
            break
    else:
        head, heading_line, tail = text + "\n", "", ""
    if "\nArgs:\n" in head:
        return f"{head.rstrip()}\n{settings}\n{heading_line}{tail}"
    return f"{head.rstrip()}\n\nArgs:\n{settings}\n{heading_line}{tail}"


def _entry(name: str, help_text: str) -> str:
    return textwrap.fill(f"{name}: {help_text}", 116, initial_indent="    ", subsequent_indent="        ")
