"""The images of an update: shuffled batches, and their brightness and contrast jitter."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from anatpaste_aug.functional import color_jitter


class ShuffledBatches:
    """Indices of shuffled passes over the images, without what is left at a pass's end, as a DataLoader with drop_last.

    Fewer images than a batch: as many whole shuffles as it takes, cut to the batch.

    Args:
        count: Number of images.
        batch_size: Number of indices that `draw` returns.
        generator: CPU generator of the shuffles.

    Attributes:
        order: What is left of the present pass. With the generator's state it decides about all batches to come.

    Example:
        >>> batches = ShuffledBatches(4, 2, torch.Generator().manual_seed(0))
        >>> torch.cat([batches.draw(), batches.draw()]).sort().values
        tensor([0, 1, 2, 3])
    """

    def __init__(self, count: int, batch_size: int, generator: torch.Generator) -> None:
        self.count = count
        self.batch_size = batch_size
        self.generator = generator
        self.order = torch.empty(0, dtype=torch.long)

    def draw(self) -> Tensor:
        """Return the next `batch_size` indices, int64."""
        if len(self.order) < self.batch_size:
            passes = math.ceil(self.batch_size / self.count)
            order = torch.cat([torch.randperm(self.count, generator=self.generator) for _ in range(passes)])
            self.order = order[: max(self.batch_size, self.count)]
        batch, self.order = self.order[: self.batch_size], self.order[self.batch_size :]
        return batch


def jitter_images(images: Tensor, strength: float, generator: torch.Generator | None = None) -> Tensor:
    """Brightness and contrast jitter as torchvision's `ColorJitter`, its factors and order drawn per image.

    Args:
        images: B×1×H×W float in [0, 1].
        strength: Both factors are uniform in [1 - strength, 1 + strength]; contrast is about the image's mean.
        generator: CPU generator of the 3·B random numbers; None is torch's global one.

    Returns:
        B×1×H×W float in [0, 1].
    """
    uniform = torch.rand(3, len(images), generator=generator).to(images)
    brightness, contrast = 1 - strength + 2 * strength * uniform[:2]
    same, contrast_first = torch.ones_like(brightness), (uniform[2] < 0.5).long()
    steps = [contrast_first, 1 - contrast_first, torch.full_like(contrast_first, 2), torch.full_like(contrast_first, 3)]
    return color_jitter(images, brightness, contrast, same, 0 * same, torch.stack(steps, dim=1))
