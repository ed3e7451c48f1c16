"""SQUID's inpainting block: each window's code is predicted from what the memories know of its neighbors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anatpaste_aug.detection.models.squid.memory import CodeQueue, mixed

SIDE = 4
"""Side of the feature maps that the block sees, one of each window."""

_WINDOWS = 4
_HEADS = 8
_CODE_BITS = 3  # of a window's number


class InpaintingBlock(nn.Module):
    """Replace the features of each window by what memory and attention make of those around it.

    Args:
        channels: Channels of the feature maps, a multiple of 4.
        slots: Codes of each memory queue.
        kept: Codes that a window's code is replaced by.
        share: Share of the places where the training takes the block's output; elsewhere the feature passes through.
    """

    def __init__(self, channels: int, slots: int, kept: int, share: float) -> None:
        super().__init__()
        self.share = share
        inner = channels // 4
        length = inner * SIDE**2
        self.squeeze = nn.Sequential(nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU())
        self.queues = nn.ModuleList(CodeQueue(slots, length, kept) for _ in range(_WINDOWS))
        self.attention = nn.MultiheadAttention(length, _HEADS, batch_first=True)
        self.feed_forward = nn.Sequential(nn.Linear(length, length // 4), nn.ReLU(), nn.Linear(length // 4, length))
        self.norms = nn.ModuleList([nn.LayerNorm(length), nn.LayerNorm(length)])
        self.expand = nn.Sequential(nn.Conv2d(inner + _CODE_BITS, channels, 1), nn.BatchNorm2d(channels), nn.ReLU())
        self.seen: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape, 4B×C×4×4; the windows of an image follow one another."""
        codes = self.squeeze(x).flatten(1).unflatten(0, (-1, _WINDOWS))
        self.seen = codes.detach() if self.training else None
        read = torch.stack([queue(codes[:, i]) for i, queue in enumerate(self.queues)], dim=1)
        around = neighbors(read).flatten(0, 1)
        attended = self.attention(codes.reshape(-1, 1, codes.shape[-1]), around, around, need_weights=False)[0]
        y = F.relu(self.norms[0](attended[:, 0]) + read.flatten(0, 1))
        y = F.relu(self.norms[1](self.feed_forward(y)) + y).unflatten(1, (-1, SIDE, SIDE))
        y = self.expand(torch.cat([y, window_numbers(y)], dim=1))
        return mixed(y, x, self.share if self.training else 1.0)

    def remember(self) -> None:
        """Put the codes of the last images that the block has seen into the queues."""
        if self.seen is not None:
            for i, queue in enumerate(self.queues):
                assert isinstance(queue, CodeQueue)
                queue.push(self.seen[:, i])
            self.seen = None


def neighbors(codes: Tensor) -> Tensor:
    """Return the codes around each window, zeros where there is none.

    Args:
        codes: B×4×D, of the 2×2 windows of each image, row by row.

    Returns:
        B×4×8×D: of each window the eight places around it, row by row.

    Example:
        >>> neighbors(torch.tensor([[[1.0], [2.0], [3.0], [4.0]]]))[0, 0, :, 0]
        tensor([0., 0., 0., 0., 2., 0., 3., 4.])
    """
    grid = F.pad(codes.unflatten(1, (2, 2)), (0, 0, 1, 1, 1, 1))  # B×4×4×D
    places = [(row, column) for row in range(3) for column in range(3) if (row, column) != (1, 1)]
    around = [grid[:, row : row + 2, column : column + 2] for row, column in places]
    return torch.stack(around, dim=3).flatten(1, 2)


def window_numbers(x: Tensor) -> Tensor:
    """Return the number of each window, 0 to 3, as three binary digits, one channel each, largest digit first.

    Args:
        x: 4B×C×H×W.

    Returns:
        4B×3×H×W.
    """
    numbers = torch.arange(_WINDOWS, device=x.device)
    digits = torch.stack([numbers // 2**power % 2 for power in reversed(range(_CODE_BITS))], dim=1).to(x.dtype)
    return digits.repeat(len(x) // _WINDOWS, 1)[:, :, None, None].expand(-1, -1, *x.shape[-2:])
