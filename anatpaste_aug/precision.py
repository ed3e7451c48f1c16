"""Double precision, where a definition needs it: on a device that has it."""

import torch
from torch import Tensor


def has_float64(device: torch.device) -> bool:
    """Whether a device can hold float64; Apple's MPS can't."""
    return device.type != "mps"


def to_float64(values: Tensor) -> Tensor:
    """The values in float64, on the CPU where their device has none; whoever calls this moves the result back.

    For tables of a few numbers per image or line, not for images: the copy from MPS waits for the device.
    """
    return (values if has_float64(values.device) else values.cpu()).double()
