"""Values of options: numbers within a range, and available devices."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["COUNT", "SEED", "SIDE", "device", "fraction", "whole"]


def whole(low: int, high: int = 2**63 - 1) -> Callable[[str], int]:
    """Return the ``type=`` of an option for an integer from ``low`` to ``high``."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if not low <= value <= high:
            limits = f"of at least {low}" if high == 2**63 - 1 and value < low else f"from {low} to {high}"
            raise argparse.ArgumentTypeError(f"{value} is out of range, give a number {limits}")
        return value

    return convert


COUNT = whole(1)
SEED = whole(0)
SIDE = whole(32, 4096)
"""Side of images in pixels: the augmentation needs at least 32; radiographs have up to about 4000."""


def fraction(text: str) -> float:
    """Convert an option to a number between 0 and 1, both excluded; for ``type=``."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is out of range, give a number between 0 and 1, such as 0.05")
    return value


def device(text: str) -> str:
    """Return the device if torch can compute on it here; for ``type=``."""
    import torch  # takes seconds, which --help need not wait for

    try:
        fault = _fault(torch.device(text))
    except RuntimeError as error:
        fault = str(error).split("\n")[0]
    if fault:
        raise argparse.ArgumentTypeError(f"{text}: {fault}; use {_usable()}")
    return text


def _fault(wanted: "torch.device") -> str:
    import torch

    # Do not allocate memory on a GPU: under torchrun, the processes have not chosen theirs yet.
    if wanted.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not count:
            return "there is no GPU with a working driver, or this torch is built without CUDA"
        return f"there are {count} GPUs, counted from 0" if (wanted.index or 0) >= count else ""
    try:
        torch.ones(1, device=wanted).add(1).item()
    except Exception as error:  # drivers raise more than RuntimeError
        return f"torch cannot compute on it here ({str(error).split('. ')[0].splitlines()[0]})"
    return ""


def _usable() -> str:
    import torch

    return "cuda or cpu" if torch.cuda.is_available() else "cpu"
