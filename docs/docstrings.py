"""What the API reference cannot read from the source as it stands, for griffe.

The fields of `PasteConfig` are documented by the text in their ``setting(default, check, help)``, and the keywords of
the transforms are made of these fields when the package is imported.
"""

import ast
import re
from typing import Any

import griffe


class Docstrings(griffe.Extension):
    """Give settings their documentation, and examples their markup."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Mark up examples."""
        if obj.docstring is not None:
            obj.docstring.value = marked_up(obj.docstring.value)

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Document the settings, once the whole package is read."""
        settings = pkg["paste.config.PasteConfig"].attributes
        for field in settings.values():
            call = ast.parse(str(field.value), mode="eval").body if field.value is not None else None
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "setting":
                field.docstring = griffe.Docstring(ast.literal_eval(call.args[2]), parent=field)
                field.value = ast.unparse(call.args[0])
        shared = {"p": settings["p"].docstring.value + " None is the recipe's."}
        shared |= ast.literal_eval(str(pkg["transforms.signature.HELP"].value))
        shared["**settings"] = "Every field of [`PasteConfig`][anatpaste_aug.paste.PasteConfig] by its name."
        entries = "\n".join(f"    {name}: {text}" for name, text in shared.items())
        recipes = [recipe for recipe in pkg["transforms.recipes"].classes.values() if not recipe.is_alias]
        transforms = [pkg["transforms.base.PasteTransform"], *recipes]
        for transform in transforms:
            text = transform.docstring.value
            head, heading, tail = text.partition("\nArgs:\n")
            if not heading:
                head, raises, tail = text.partition("\nRaises:\n")
                tail = raises + tail
            own, blank, rest = tail.partition("\n\n") if heading else ("", "\n", tail)
            transform.docstring.value = f"{head}\nArgs:\n{own}{own and chr(10)}{entries}{blank}{rest}"


def marked_up(text: str) -> str:
    """Google's "Example:" as the section "Examples:", and examples in running text as blocks of code."""
    text = re.sub(r"^Example:$", "Examples:", text, flags=re.MULTILINE)
    lines, inside = [], False
    for line in [*text.splitlines(), ""]:
        if not inside and line.startswith(">>>"):
            lines.append("```pycon")
            inside = True
        elif inside and not line.strip():
            lines.append("```")
            inside = False
        lines.append(re.sub(r"\s*# doctest:.*", "", line) if inside else line)
    return "\n".join(lines[:-1] if not lines[-1] else lines)
