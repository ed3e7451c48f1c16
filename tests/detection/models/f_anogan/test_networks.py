"""The networks of f-AnoGAN: sizes worked out by hand from the authors' blocks, and their parts by definition."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from anatpaste_aug.detection.models.f_anogan.networks import (
    Downsampler,
    FAnoGanNet,
    Generator,
    ResidualBlock,
    layer_norm,
)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def block(inputs, outputs, up):
    """Two numbers per channel of each normalization, two 3×3 kernels of which the first has no bias, one 1×1 kernel."""
    middle = outputs if up else inputs
    convolutions = 9 * inputs * middle + 9 * middle * outputs + outputs + inputs * outputs + outputs
    return 2 * inputs + 2 * middle + convolutions


def test_parameters_at_the_published_size():
    net = FAnoGanNet(64, 64, 128)
    up = [(512, 512), (512, 256), (256, 128), (128, 64)]
    generator = (128 + 1) * 512 * 16 + sum(block(*each, up=True) for each in up) + 2 * 64 + 9 * 64 + 1
    assert count(net.generator) == generator == 8_539_329
    down = [(64, 128), (128, 256), (256, 512), (512, 512)]
    blocks = 9 * 64 + 64 + sum(block(*each, up=False) for each in down)
    assert count(net.critic) == blocks + 512 * 16 + 1
    assert count(net.encoder) == blocks + (512 * 16 + 1) * 128


@pytest.mark.parametrize(("size", "blocks"), [(32, 3), (64, 4), (128, 5)])
def test_blocks_are_added_with_the_size(size, blocks):
    net = FAnoGanNet(size, 2, 6)
    x = torch.rand(3, 1, size, size) * 2 - 1
    assert sum(isinstance(module, ResidualBlock) for module in net.critic.modules()) == blocks
    assert sum(isinstance(module, ResidualBlock) for module in net.generator.modules()) == blocks
    assert net.encoder(x).shape == (3, 6)
    assert net.critic(x).shape == (3, 1)
    assert net.critic.features(x).shape == (3, 8 * 2 * 16)
    images = net.generator(torch.randn(3, 6))
    assert images.shape == x.shape
    assert images.abs().max() <= 1


@pytest.mark.parametrize("up", [True, False])
def test_a_block_is_two_convolutions_and_a_shortcut(up):
    """In the authors' order, with the 1×1 convolution after the pixels are repeated."""
    torch.manual_seed(0)
    own, x = ResidualBlock(3, 5, up=up, norm=layer_norm), torch.randn(2, 3, 8, 8)

    def repeat(y):
        return y.repeat_interleave(2, 2).repeat_interleave(2, 3)

    def mean(y):
        return (y[..., ::2, ::2] + y[..., 1::2, ::2] + y[..., ::2, 1::2] + y[..., 1::2, 1::2]) / 4

    def normalized(y):
        flat = y.flatten(1)
        flat = (flat - flat.mean(1, keepdim=True)) / (flat.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        return flat.view_as(y)

    y = normalized(x).clamp(min=0)
    y = F.conv2d(repeat(y) if up else y, own.first.weight, padding=1)
    y = F.conv2d(normalized(y).clamp(min=0), own.second.weight, own.second.bias, padding=1)
    expected = y + own.shortcut(repeat(x)) if up else mean(y) + own.shortcut(mean(x))
    torch.testing.assert_close(own(x), expected, rtol=1e-4, atol=1e-5)
    assert own(x).shape == ((2, 5, 16, 16) if up else (2, 5, 4, 4))


def test_weights_are_drawn_as_in_the_authors_code():
    torch.manual_seed(0)
    net = Downsampler(64, 64, 1, layer_norm)
    convolution = net.blocks[1].first  # 3×3, 128 to 128 channels: He
    assert convolution.weight.std().item() == pytest.approx(math.sqrt(4 / (9 * 128 + 9 * 128)), rel=0.01)
    assert convolution.weight.abs().max() <= math.sqrt(3 * 4 / (9 * 128 + 9 * 128))
    shortcut = net.blocks[1].shortcut  # 1×1, 128 to 256: Glorot
    assert shortcut.weight.std().item() == pytest.approx(math.sqrt(2 / (128 + 256)), rel=0.02)
    output = Generator(64, 64, 128).output  # 3×3, 64 channels to 1: He, too
    assert output.weight.std().item() == pytest.approx(math.sqrt(4 / (9 * 64 + 9 * 1)), rel=0.1)
    assert net.input.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 1 + 9 * 64)), rel=0.1)
    biases = [module.bias for module in net.modules() if isinstance(module, nn.Conv2d) and module.bias is not None]
    assert not any(bias.any() for bias in biases)


def test_the_score_is_the_difference_of_pixels_and_of_features():
    net = FAnoGanNet(32, 2, 6, feature_weight=3.0).eval()
    images = torch.rand(4, 1, 32, 32)
    with torch.no_grad():
        x = 2 * images - 1
        again = net.generator(net.encoder(x))
        torch.testing.assert_close(net.reconstruct(images), (again + 1) / 2)
        pixels = ((x - again) ** 2).sum((1, 2, 3)) / 32**2
        features = ((net.critic.features(x) - net.critic.features(again)) ** 2).sum(1) / 256
        torch.testing.assert_close(net.errors(images), pixels + 3 * features)
