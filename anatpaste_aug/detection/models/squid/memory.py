"""SQUID's memories of normal patterns: a queue of codes seen in training, and codes that are learned."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def sparse_weights(similarities: Tensor, kept: int) -> Tensor:
    """Return softmax weights of which only the largest stay, scaled to the sum 1.

    Args:
        similarities: B×M.
        kept: How many stay in each row; M is larger.

    Returns:
        B×M. The gradient is that of the whole softmax (straight-through).

    Example:
        >>> sparse_weights(torch.tensor([[0.0, 2.0, 2.0, 1.0]]), 2)
        tensor([[0.0000, 0.5000, 0.5000, 0.0000]])
    """
    soft = similarities.softmax(dim=1)
    left_out = soft.topk(kept + 1, dim=1).values[:, -1:]
    hard = F.normalize(torch.where(soft > left_out, soft, torch.zeros_like(soft)), p=1, dim=1)
    return (hard - soft).detach() + soft


class CodeQueue(nn.Module):
    """The codes of the last training images; read by similarity, without gradient.

    Args:
        slots: Number of codes.
        length: Length of a code.
        kept: Codes that a query is replaced by.
    """

    codes: Tensor
    position: Tensor

    def __init__(self, slots: int, length: int, kept: int) -> None:
        super().__init__()
        self.kept = kept
        self.register_buffer("codes", random_codes(slots, length))
        self.register_buffer("position", torch.zeros((), dtype=torch.long))

    def forward(self, queries: Tensor) -> Tensor:
        """Return the weighted mean of the codes most similar to each of B×`length` queries."""
        return sparse_weights(queries @ self.codes.T, self.kept) @ self.codes

    def push(self, codes: Tensor) -> None:
        """Put B×`length` codes in the places of the oldest ones."""
        slots = len(self.codes)
        codes = codes.detach()[-slots:]
        places = (self.position + torch.arange(len(codes), device=codes.device)) % slots
        # A new tensor: the old one may still be needed for a gradient.
        self.codes = self.codes.index_copy(0, places, codes)
        self.position = (self.position + len(codes)) % slots


class LearnedMemory(nn.Module):
    """Codes that are learned; read by similarity.

    Args:
        slots: Number of codes.
        length: Length of a code.
        kept: Codes that a query is replaced by.
    """

    def __init__(self, slots: int, length: int, kept: int) -> None:
        super().__init__()
        self.kept = kept
        self.codes = nn.Parameter(random_codes(slots, length))

    def forward(self, queries: Tensor) -> Tensor:
        """Return the weighted mean of the codes most similar to each of B×`length` queries."""
        return sparse_weights(queries @ self.codes.T, self.kept) @ self.codes


class RegionMemory(nn.Module):
    """A `LearnedMemory` for each quarter of a feature map.

    Args:
        slots: Codes of each.
        channels: Channels of the feature maps.
        side: Side of the feature maps.
        kept: Codes that a quarter is replaced by.
        share: Share of the places where the training takes what the memory gives; elsewhere the feature passes through.
    """

    def __init__(self, slots: int, channels: int, side: int, kept: int, share: float) -> None:
        super().__init__()
        self.share = share
        length = channels * (side // 2) ** 2
        self.memories = nn.ModuleList(LearnedMemory(slots, length, kept) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """Return feature maps of the same shape, B×C×S×S."""
        quarters = to_windows(x).flatten(1).unflatten(0, (len(x), 4))
        read = torch.stack([memory(quarters[:, i]) for i, memory in enumerate(self.memories)], dim=1)
        side = x.shape[-1] // 2
        return mixed(from_windows(read.reshape(-1, x.shape[1], side, side)), x, self.share if self.training else 1.0)


def random_codes(slots: int, length: int) -> Tensor:
    """Return codes that are uniform within ± 1 / √length, slots×length."""
    bound = 1 / math.sqrt(length)
    return torch.empty(slots, length).uniform_(-bound, bound)


def mixed(x: Tensor, other: Tensor, share: float) -> Tensor:
    """Return a random share of the places of B×C×H×W `x`, and `other` elsewhere; all of `x` for a share of 1."""
    if share == 1:
        return x
    chosen = torch.bernoulli(torch.full_like(x[:, :1], share))
    return chosen * x + (1 - chosen) * other


def to_windows(x: Tensor) -> Tensor:
    """Return the quarters of B×C×H×W images, 4B×C×H/2×W/2: those of the first image first, row by row.

    Example:
        >>> to_windows(torch.arange(4.0).view(1, 1, 2, 2)).flatten()
        tensor([0., 1., 2., 3.])
    """
    batch, channels, height, width = x.shape
    parts = x.reshape(batch, channels, 2, height // 2, 2, width // 2).permute(0, 2, 4, 1, 3, 5)
    return parts.reshape(4 * batch, channels, height // 2, width // 2)


def from_windows(windows: Tensor) -> Tensor:
    """Put what `to_windows` returned together again."""
    count, channels, height, width = windows.shape
    parts = windows.reshape(count // 4, 2, 2, channels, height, width).permute(0, 3, 1, 4, 2, 5)
    return parts.reshape(count // 4, channels, 2 * height, 2 * width)
