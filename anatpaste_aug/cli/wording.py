"""Reword errors for the command line: one line that names options instead of Python arguments."""

import re
import sys
from collections.abc import Collection

from anatpaste_aug.files import shown

__all__ = ["explain", "in_options", "one_line"]

# Remedies whose option has another name than the argument.
_REMEDIES = {
    "on_error=skip": "--skip-unreadable",
    "segmentation=False": "--no-segmentation",
    "blur=False": "--no-blur",
    "resume=True": "--resume",
    "anatomy=True": "--anatomy",
}
_ASSIGNMENT = re.compile(r"""\b([a-z_]+)=("[^"]*"|'[^']*'|\([^()]*\)|[^\s,;:()]+)""")
_SUBJECT = re.compile(r"^([a-z_]+)(?= (?:must|needs|is) )")
# Messages that name both the argument and the option keep only the option.
_TWICE = re.compile(r"(--[a-z-]+(?: \w+)?)(?: \(\1\b[^()]*\)|(?:,? or |, )\1\b(?: on the command line)?)")


def explain(error: BaseException) -> str:
    """Return the message of an error, without error numbers and names of Python modules."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    if isinstance(error, ModuleNotFoundError) and str(error).startswith("No module named"):
        return f"{error.name} is not installed: pip install 'anatpaste_aug[examples]'"
    if is_memory(error):
        return f"not enough memory ({str(error).split('. ')[0]}): choose smaller images, or fewer at a time"
    return str(error) or type(error).__name__


def is_memory(error: BaseException) -> bool:
    """Return whether an error means that the memory of the computer or of a GPU is insufficient."""
    torch = sys.modules.get("torch")  # not imported here: the help of the command line need not wait for it
    gpu = torch is not None and isinstance(error, torch.OutOfMemoryError)
    return gpu or isinstance(error, MemoryError) or "can't allocate memory" in str(error)


def in_options(message: str, options: Collection[str]) -> str:
    """Replace Python arguments in a message by options.

    Args:
        message: An error message of the package.
        options: The options of the command, such as ``--size``; arguments without an option are kept.

    Example:
        >>> in_options('size=8: expected at least 32', {"--size"})
        '--size 8: expected at least 32'
        >>> in_options('leave them out (on_error="skip")', {"--skip-unreadable"})
        'leave them out (--skip-unreadable)'
    """

    def assignment(match: re.Match[str]) -> str:
        name, value = match[1], match[2].strip("\"'")
        remedy = _REMEDIES.get(f"{name}={value}")
        option = "--" + name.replace("_", "-")
        if remedy is not None:
            return remedy if remedy in options else match[0]
        return f"{option} {value}" if option in options else match[0]

    def subject(match: re.Match[str]) -> str:
        option = "--" + match[1].replace("_", "-")
        return option if option in options else match[0]

    return _TWICE.sub(r"\1", _SUBJECT.sub(subject, _ASSIGNMENT.sub(assignment, message)))


def one_line(message: str) -> str:
    r"""Format a message as one printable line.

    >>> one_line("2 files cannot be read:\n  a.png is empty")
    '2 files cannot be read: a.png is empty'
    """
    return " ".join(shown(line.strip()) for line in message.splitlines() if line.strip())
