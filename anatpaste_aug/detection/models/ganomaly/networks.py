"""The networks of GANomaly: DCGAN's, of 4×4 convolutions with stride 2."""

from __future__ import annotations

import math

from torch import Tensor, nn

from anatpaste_aug.detection.models.reconstruction.networks import ReconstructionNet


def make_encoder(image_size: int, width: int, outputs: int) -> nn.Sequential:
    """Return convolutions that halve the image down to 4×4 pixels, and one that makes a vector of it.

    Args:
        image_size: Side of the images, a power of two.
        width: Channels after the first convolution; each further one doubles them.
        outputs: Length of the vector.

    Returns:
        From B×1×S×S to B×`outputs`×1×1. The last layer is the one that makes the vector.

    Example:
        >>> import torch
        >>> make_encoder(32, 64, 100)(torch.zeros(2, 1, 32, 32)).shape
        torch.Size([2, 100, 1, 1])
    """
    layers: list[nn.Module] = [nn.Conv2d(1, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    channels = width
    for _ in range(_halvings(image_size) - 1):
        layers += [
            nn.Conv2d(channels, 2 * channels, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * channels),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        channels *= 2
    return nn.Sequential(*layers, nn.Conv2d(channels, outputs, 4, 1, 0, bias=False))


def make_decoder(image_size: int, width: int, inputs: int) -> nn.Sequential:
    """Return the mirror image of `make_encoder`: from B×`inputs`×1×1 to B×1×S×S in [-1, 1].

    Example:
        >>> import torch
        >>> make_decoder(32, 64, 100)(torch.zeros(2, 100, 1, 1)).shape
        torch.Size([2, 1, 32, 32])
    """
    channels = width * 2 ** (_halvings(image_size) - 1)
    layers: list[nn.Module] = [nn.ConvTranspose2d(inputs, channels, 4, 1, 0, bias=False)]
    layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
    while channels > width:
        layers += [
            nn.ConvTranspose2d(channels, channels // 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(channels // 2),
            nn.ReLU(inplace=True),
        ]
        channels //= 2
    return nn.Sequential(*layers, nn.ConvTranspose2d(width, 1, 4, 2, 1, bias=False), nn.Tanh())


class Generator(ReconstructionNet):
    """Encoder, decoder, and a second encoder that codes the reconstruction.

    Args:
        image_size: Side of the images, a power of two.
        width: Channels after the first convolution.
        latent: Length of the codes.
    """

    def __init__(self, image_size: int, width: int, latent: int) -> None:
        super().__init__()
        self.encoder = make_encoder(image_size, width, latent)
        self.decoder = make_decoder(image_size, width, latent)
        self.second_encoder = make_encoder(image_size, width, latent)
        self.apply(init_weights)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the reconstruction of B×1×S×S inputs in [-1, 1], their codes, and those of the reconstruction."""
        code = self.encoder(x)
        reconstruction = self.decoder(code)
        return reconstruction, code, self.second_encoder(reconstruction)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Return the reconstruction of B×1×S×S images in [0, 1]."""
        reconstruction: Tensor = self.decoder(self.encoder(2 * images - 1))
        return (reconstruction + 1) / 2

    def errors(self, images: Tensor) -> Tensor:
        """Return the mean squared difference of the two codes of B×1×S×S images in [0, 1]."""
        _, code, second_code = self.forward(2 * images - 1)
        return (code - second_code).square().mean((1, 2, 3))


class Discriminator(nn.Module):
    """The encoder with one output; its last features are compared in the generator's loss.

    Args:
        image_size: Side of the images, a power of two.
        width: Channels after the first convolution.
    """

    def __init__(self, image_size: int, width: int) -> None:
        super().__init__()
        layers = make_encoder(image_size, width, 1)
        self.features, self.classifier = layers[:-1], layers[-1]
        self.apply(init_weights)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the B logits of being a real image, and the features, of B×1×S×S inputs in [-1, 1]."""
        features = self.features(x)
        return self.classifier(features).flatten(), features


def init_weights(module: nn.Module) -> None:
    """Draw the weights as DCGAN does: normal of deviation 0.02 about 0, for BatchNorm about 1."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def _halvings(image_size: int) -> int:
    return int(math.log2(image_size)) - 2
