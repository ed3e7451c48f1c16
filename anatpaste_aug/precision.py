"""Double precision, for the few small tables whose definition needs it."""

from torch import Tensor


def to_float64(values: Tensor) -> Tensor:
    """The values in float64, on their device, or on the CPU where the device has none (Apple's MPS).

    Only for tables of a few numbers per image; whoever calls this moves the result back. On MPS the copy waits for the
    device.
    """
    return (values.cpu() if values.device.type == "mps" else values).double()
