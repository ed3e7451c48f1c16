"""Double precision where a definition needs it, on a device that supports it."""

import torch
from torch import Tensor


def has_float64(device: torch.device) -> bool:
    """Return whether a device supports float64; Apple's MPS does not."""
    return device.type != "mps"


def to_float64(values: Tensor) -> Tensor:
    """Convert values to float64, on the CPU if their device does not support it; the caller moves the result back.

    Use it for a few numbers per image or line, not for images: the copy from MPS waits for the device.
    """
    return (values if has_float64(values.device) else values.cpu()).double()
