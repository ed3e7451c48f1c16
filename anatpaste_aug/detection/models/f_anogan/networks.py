"""The networks of f-AnoGAN: generator, critic and encoder, of residual blocks."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from anatpaste_aug.detection.models.reconstruction.networks import ReconstructionNet

_SIDE = 4  # of the smallest feature maps
_WIDEST = 8  # their channels, in widths


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions, each after normalization and ReLU, and a 1×1 convolution beside them.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
        up: Double the side of the image, by repeating pixels; else halve it, by their mean.
        norm: From a number of channels to its normalization.
    """

    def __init__(self, inputs: int, outputs: int, *, up: bool, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.up = up
        middle = outputs if up else inputs
        self.norms = nn.ModuleList([norm(inputs), norm(middle)])
        self.first = nn.Conv2d(inputs, middle, 3, padding=1, bias=False)
        self.second = nn.Conv2d(middle, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return B×`outputs`×2H×2W, or B×`outputs`×H/2×W/2, from B×`inputs`×H×W."""
        y = F.relu(self.norms[0](x))
        y = self.first(F.interpolate(y, scale_factor=2) if self.up else y)
        y = F.relu(self.norms[1](y))
        small: Tensor = self.shortcut(x if self.up else F.avg_pool2d(x, 2))
        if self.up:
            # A 1×1 convolution gives the same before pixels are repeated, with a quarter of the work.
            small = F.interpolate(small, scale_factor=2)
        grown: Tensor = self.second(y)
        return small + (grown if self.up else F.avg_pool2d(grown, 2))


class Generator(nn.Module):
    """From normal random numbers to images; BatchNorm.

    Args:
        image_size: Side of the images, a power of two.
        width: Channels at that size.
        latent: Length of the vector of random numbers.
    """

    def __init__(self, image_size: int, width: int, latent: int) -> None:
        super().__init__()
        count = _halvings(image_size)
        channels = [_WIDEST * width, *(min(_WIDEST, 2 ** (count - 1 - i)) * width for i in range(count))]
        self.linear = nn.Linear(latent, channels[0] * _SIDE**2)
        blocks = (
            ResidualBlock(inputs, outputs, up=True, norm=nn.BatchNorm2d) for inputs, outputs in pairwise(channels)
        )
        self.blocks = nn.Sequential(*blocks, nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.output = nn.Conv2d(width, 1, 3, padding=1)
        init_weights(self)

    def forward(self, z: Tensor) -> Tensor:
        """Return B×1×S×S images in [-1, 1] from B×`latent` random numbers."""
        x = self.linear(z).unflatten(1, (-1, _SIDE, _SIDE))
        images: Tensor = self.output(self.blocks(x))
        return images.tanh()


class Downsampler(nn.Module):
    """From images to vectors: the critic, whose vector is one number, and the encoder.

    Args:
        image_size: Side of the images, a power of two.
        width: Channels at that size.
        outputs: Length of the vector.
        norm: From a number of channels to its normalization.
    """

    def __init__(self, image_size: int, width: int, outputs: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        channels = [width, *(min(_WIDEST, 2 ** (i + 1)) * width for i in range(_halvings(image_size)))]
        self.input = nn.Conv2d(1, width, 3, padding=1)
        self.blocks = nn.Sequential(
            *(ResidualBlock(inputs, outputs, up=False, norm=norm) for inputs, outputs in pairwise(channels))
        )
        self.linear = nn.Linear(channels[-1] * _SIDE**2, outputs)
        init_weights(self, self.input)

    def features(self, x: Tensor) -> Tensor:
        """Return the last feature maps of B×1×S×S images in [-1, 1], flattened to B×D."""
        maps: Tensor = self.blocks(self.input(x))
        return maps.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Return B×`outputs` of B×1×S×S images in [-1, 1]."""
        vectors: Tensor = self.linear(self.features(x))
        return vectors


class FAnoGanNet(ReconstructionNet):
    """Encoder, generator and critic together: they reconstruct an image, and compare it with the reconstruction.

    Args:
        image_size: Side of the images, a power of two.
        width: Channels at that size.
        latent: Length of the code of an image.
        feature_weight: Weight of the squared difference of the critic's features.
    """

    def __init__(self, image_size: int, width: int, latent: int, feature_weight: float = 1.0) -> None:
        super().__init__()
        self.feature_weight = feature_weight
        self.generator = Generator(image_size, width, latent)
        # A gradient penalty needs a critic that normalizes every image by itself.
        self.critic = Downsampler(image_size, width, 1, layer_norm)
        self.encoder = Downsampler(image_size, width, latent, nn.BatchNorm2d)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reconstruction of B×1×S×S images in [-1, 1], and the B differences: of pixels and of features."""
        reconstruction: Tensor = self.generator(self.encoder(x))
        pixels = (x - reconstruction).square().mean((1, 2, 3))
        features = (self.critic.features(x) - self.critic.features(reconstruction)).square().mean(1)
        return reconstruction, pixels + self.feature_weight * features

    def reconstruct(self, images: Tensor) -> Tensor:
        """Return the reconstruction of B×1×S×S images in [0, 1]."""
        reconstruction: Tensor = self.generator(self.encoder(2 * images - 1))
        return (reconstruction + 1) / 2

    def errors(self, images: Tensor) -> Tensor:
        """Return the differences of B×1×S×S images in [0, 1] from their reconstructions."""
        return self.forward(2 * images - 1)[1]


def layer_norm(channels: int) -> nn.Module:
    """Return a normalization over channels and pixels of each image, with a scale and an offset per channel."""
    return nn.GroupNorm(1, channels)


def init_weights(net: nn.Module, first: nn.Module | None = None) -> None:
    """Draw the weights uniformly: as He et al. for 3×3 convolutions, as Glorot and Bengio for all others.

    Args:
        net: The network; biases become 0.
        first: The convolution from images of critic and encoder, which counts among the others.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            he = isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3) and module is not first
            nn.init.xavier_uniform_(module.weight, gain=math.sqrt(2) if he else 1.0)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _halvings(image_size: int) -> int:
    return int(math.log2(image_size // _SIDE))
