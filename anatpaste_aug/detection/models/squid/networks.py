"""SQUID's networks: an encoder of windows, two decoders, and a discriminator."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anatpaste_aug.detection.models.reconstruction.networks import ReconstructionNet
from anatpaste_aug.detection.models.squid.config import SquidConfig
from anatpaste_aug.detection.models.squid.inpainting import SIDE, InpaintingBlock
from anatpaste_aug.detection.models.squid.memory import RegionMemory, from_windows, to_windows

# Levels of the decoders, from the smallest, that see the encoder's features and have memories; and levels of the
# encoder, from the largest, at which the decoders see the whole image instead of its windows.
_SKIPS = _WHOLE = 2


class Decoded(NamedTuple):
    """A reconstruction, B×1×S×S in [0, 1], and the features at each level of its decoder."""

    image: Tensor
    features: list[Tensor]


class ConvBlock(nn.Module):
    """A 3×3 convolution, and two more beside an identity; BatchNorm and ReLU.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
        stride: Stride of the first convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        )
        self.rest = nn.Sequential(
            nn.Conv2d(outputs, outputs, 3, 1, 1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, 1, 1),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return B×`outputs`×H/stride×W/stride from B×`inputs`×H×W."""
        x = self.first(x)
        return F.relu(self.rest(x) + x)


class Decoder(nn.Module):
    """Blocks that double the side of the feature maps up to the whole image.

    Args:
        widths: Channels at each level, from the largest maps to the smallest.
        memories: Memories of the first levels; none for the teacher.
    """

    def __init__(self, widths: list[int], memories: list[RegionMemory]) -> None:
        super().__init__()
        self.levels = len(widths) - 1
        self.ups = nn.ModuleList(
            ConvBlock(widths[-1 - i] + (widths[-2 - i] if i < _SKIPS else 0), widths[-2 - i])
            for i in range(self.levels)
        )
        self.memories = nn.ModuleList(memories)
        self.output = nn.Conv2d(widths[0], 1, 1)

    def forward(self, x: Tensor, skips: list[Tensor]) -> Decoded:
        """Return the decoded image.

        Args:
            x: 4B×C×4×4 features of the windows.
            skips: The encoder's features that the first levels see, in their order.
        """
        features = []
        for i, up in enumerate(self.ups):
            if i == self.levels - _WHOLE:
                x = from_windows(x)
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear")
            x = up(torch.cat([skips[i], x], dim=1) if i < _SKIPS else x)
            if i < len(self.memories):
                x = self.memories[i](x)
            features.append(x)
        return Decoded(self.output(x).sigmoid(), features)


class Generator(nn.Module):
    """Encoder, inpainting block, and the decoders of student and teacher.

    Args:
        config: The settings.
    """

    def __init__(self, config: SquidConfig) -> None:
        super().__init__()
        self.levels = int(math.log2(config.network_size // (2 * SIDE)))
        widths = [min(16, 2**i) * config.width for i in range(self.levels + 1)]
        self.stem = ConvBlock(1, widths[0])
        self.downs = nn.ModuleList(ConvBlock(widths[i], widths[i + 1], stride=2) for i in range(self.levels))
        self.inpainting = InpaintingBlock(widths[-1], config.slots, config.kept, config.memory_share)
        memories = []
        for i in range(_SKIPS):
            side = SIDE * 2 ** (i + 1) * (1 if i < self.levels - _WHOLE else 2)
            memories.append(RegionMemory(config.slots, widths[-2 - i], side, config.kept, config.memory_share))
        self.student = Decoder(widths, memories)
        self.teacher = Decoder(widths, [])

    def encode(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return 4B×C×4×4 features of the windows of B×1×S×S images, and those that the decoders' first levels see."""
        x, skips = self.stem(to_windows(images)), []
        for i, down in enumerate(self.downs):
            skips.append(from_windows(x) if i < _WHOLE else x)
            x = down(x)
        return x, skips[: -_SKIPS - 1 : -1]

    def forward(self, images: Tensor) -> tuple[Decoded, Decoded]:
        """Return what student and teacher make of B×1×S×S images in [0, 1].

        No gradient goes from the teacher to the encoder.
        """
        codes, skips = self.encode(images)
        student = self.student(self.inpainting(codes), skips)
        return student, self.teacher(codes.detach(), [skip.detach() for skip in skips])

    def reconstruct(self, images: Tensor) -> Tensor:
        """Return the student's reconstruction of B×1×S×S images in [0, 1]."""
        codes, skips = self.encode(images)
        decoded: Decoded = self.student(self.inpainting(codes), skips)
        return decoded.image


class Discriminator(nn.Module):
    """Five 5×5 convolutions of stride 2, and a linear layer.

    Args:
        image_size: Side of the images.
        width: Channels of the first convolution.
    """

    def __init__(self, image_size: int, width: int = 16) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, width, 5, 2, 2), nn.LeakyReLU(0.2, inplace=True)]
        channels = width
        for outputs in (2 * width, 4 * width, 8 * width, 8 * width):
            layers += [nn.Conv2d(channels, outputs, 5, 2, 2), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2, inplace=True)]
            channels = outputs
        self.convolutions = nn.Sequential(*layers)
        self.linear = nn.Linear(channels * (image_size // 32) ** 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the B logits of being real of B×1×S×S images in [0, 1]."""
        logits: Tensor = self.linear(self.convolutions(images).flatten(1))
        return logits[:, 0]


class SquidNet(ReconstructionNet):
    """Generator and discriminator together: the latter's view of the reconstruction is the score.

    Args:
        config: The settings.
    """

    def __init__(self, config: SquidConfig) -> None:
        super().__init__()
        self.generator = Generator(config)
        self.discriminator = Discriminator(config.network_size)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Return the student's reconstruction of B×1×S×S images in [0, 1]."""
        return self.generator.reconstruct(images)

    def errors(self, images: Tensor) -> Tensor:
        """Return minus the discriminator's logits of the reconstructions of B×1×S×S images in [0, 1]."""
        logits: Tensor = self.discriminator(self.reconstruct(images))
        return -logits
