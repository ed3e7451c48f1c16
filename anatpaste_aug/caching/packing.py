"""Boolean masks to one bit a pixel, and back, on any device."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..functional.checks import check_masks


def pack_masks(masks: Tensor) -> Tensor:
    """Pack masks to one bit a pixel.

    Args:
        masks: Boolean B×1×H×W.

    Returns:
        uint8 B×ceil(H·W / 8) on the same device: the pixels in reading order, the first one in the highest bit, as
        ``numpy.packbits`` defines it.

    Example:
        >>> pack_masks(torch.tensor([[[[True, False, False], [False, False, True]]]]))
        tensor([[132]], dtype=torch.uint8)
    """
    check_masks(masks, batch=False)
    flat = masks.flatten(1)
    if flat.device.type == "cpu":
        return torch.from_numpy(np.packbits(flat.numpy(), axis=1))
    return _pack(flat)


def unpack_masks(packed: Tensor, size: tuple[int, int]) -> Tensor:
    """Undo `pack_masks`. On an accelerator nothing waits for the host.

    Args:
        packed: uint8 B×ceil(H·W / 8).
        size: (H, W) of the masks.

    Returns:
        Boolean B×1×H×W on the same device.

    Raises:
        ValueError: ``packed`` has another dtype or shape than masks of this size have.

    Example:
        >>> unpack_masks(torch.tensor([[132]], dtype=torch.uint8), (2, 3)).int()
        tensor([[[[1, 0, 0],
                  [0, 0, 1]]]], dtype=torch.int32)
    """
    height, width = size
    row = (height * width + 7) // 8
    if packed.dtype != torch.uint8 or packed.ndim != 2 or packed.shape[1] != row:
        raise ValueError(
            f"packed masks of {height}×{width} pixels must be uint8 of shape (B, {row}), "
            f"got {packed.dtype} of shape {tuple(packed.shape)}"
        )
    if packed.device.type == "cpu":
        # With its count argument, unpackbits is many times slower than with a slice afterwards.
        bits = torch.from_numpy(np.unpackbits(packed.numpy(), axis=1).view(np.bool_))
    else:
        bits = _unpack(packed)
    return bits[:, : height * width].reshape(len(packed), 1, height, width)


def _pack(flat: Tensor) -> Tensor:
    padded = F.pad(flat.view(torch.uint8), (0, -flat.shape[1] % 8))
    # No two bits of a byte meet, so their sum is their union.
    bits: Tensor = padded.unflatten(1, (-1, 8)) << _places(flat)
    return bits.sum(2, dtype=torch.uint8)


def _unpack(packed: Tensor) -> Tensor:
    return ((packed.unsqueeze(2) >> _places(packed)) & 1).bool().flatten(1)


def _places(like: Tensor) -> Tensor:
    return torch.arange(7, -1, -1, dtype=torch.uint8, device=like.device)
