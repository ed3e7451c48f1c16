"""Networks that reconstruct images and score them, and their use on many images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ReconstructionNet(nn.Module, ABC):
    """Networks that reconstruct images and score them."""

    @abstractmethod
    def reconstruct(self, images: Tensor) -> Tensor:
        """Return the reconstruction of B×1×S×S images in [0, 1], of the same shape and range."""

    @abstractmethod
    def errors(self, images: Tensor) -> Tensor:
        """Return the B scores of B×1×S×S images in [0, 1]; larger is more anomalous."""


@torch.inference_mode()
def map_batches(
    net: ReconstructionNet,
    function: Callable[[Any, Tensor], Tensor],
    images: Tensor,
    *,
    reduction: int = 1,
    batch_size: int = 64,
) -> Tensor:
    """Return `function(net, batch)` of all images, on the CPU; batches are on the device of the networks.

    Args:
        net: Used in evaluation mode, and left in the mode it was in.
        function: Called with the networks and B×1×s×s floats in [0, 1], s = S / `reduction`; returns B rows.
        images: N×1×S×S, uint8 or float in [0, 1], on any device.
        reduction: See `network_inputs`.
        batch_size: Images per pass. In evaluation mode it changes only speed and memory.

    Raises:
        ValueError: There are no images.
    """
    if not len(images):
        raise ValueError("no images to score")
    device = next(net.parameters()).device
    was_training = net.training
    net.eval()
    try:
        batches = (network_inputs(batch.to(device), reduction) for batch in images.split(batch_size))
        return torch.cat([function(net, batch).cpu() for batch in batches])
    finally:
        net.train(was_training)


def network_inputs(images: Tensor, reduction: int = 1) -> Tensor:
    """Return images as the networks see them: floats in [0, 1].

    Args:
        images: B×1×S×S, uint8 or float in [0, 1].
        reduction: Each pixel of the result is the mean of `reduction`×`reduction` pixels.

    Example:
        >>> network_inputs(torch.tensor([[[[0, 0], [0, 255]]]], dtype=torch.uint8), 2)
        tensor([[[[0.2500]]]])
    """
    floats = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    return F.avg_pool2d(floats, reduction) if reduction > 1 else floats
