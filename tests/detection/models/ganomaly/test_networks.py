"""The networks of GANomaly: sizes worked out by hand from the authors' layers, and anomalib's with the same weights."""

import pytest
import torch
from torch import nn

from anatpaste_aug.detection.models.ganomaly.networks import Discriminator, Generator, init_weights, make_encoder


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_at_the_published_size():
    """Weights of 4×4 kernels, and two numbers per channel of BatchNorm; no biases."""
    generator = Generator(32, 64, 100)
    pyramid = 16 * (1 * 64 + 64 * 128 + 128 * 256) + 2 * (128 + 256)
    encoder = pyramid + 16 * 256 * 100
    decoder = 16 * (100 * 256 + 256 * 128 + 128 * 64 + 64 * 1) + 2 * (256 + 128 + 64)
    assert [count(generator.encoder), count(generator.second_encoder)] == [encoder, encoder] == [1_066_752] * 2
    assert count(generator.decoder) == decoder == 1_066_880
    assert count(Discriminator(32, 64)) == pyramid + 16 * 256 * 1 == 661_248


@pytest.mark.parametrize("size", [32, 64, 128])
def test_shapes_grow_with_the_image(size):
    generator, discriminator = Generator(size, 4, 10), Discriminator(size, 4)
    reconstruction, code, second = generator(torch.rand(2, 1, size, size) * 2 - 1)
    assert reconstruction.shape == (2, 1, size, size)
    assert reconstruction.abs().max() <= 1
    assert code.shape == second.shape == (2, 10, 1, 1)
    logits, features = discriminator(reconstruction)
    assert (logits.shape, features.shape) == ((2,), (2, size // 2, 4, 4))
    widths = [layer.out_channels for layer in make_encoder(size, 4, 10) if isinstance(layer, nn.Conv2d)]
    assert widths == [4 * 2**i for i in range(len(widths) - 1)] + [10]
    assert 2 ** (len(widths) - 1) * 4 == size


def test_weights_are_drawn_as_dcgan_draws_them():
    torch.manual_seed(0)
    encoder = make_encoder(64, 64, 100).apply(init_weights)
    kernels = torch.cat([layer.weight.flatten() for layer in encoder if isinstance(layer, nn.Conv2d)])
    assert kernels.mean().item() == pytest.approx(0, abs=1e-4)
    assert kernels.std().item() == pytest.approx(0.02, abs=1e-4)
    scales = torch.cat([layer.weight for layer in encoder if isinstance(layer, nn.BatchNorm2d)])
    assert scales.mean().item() == pytest.approx(1, abs=3e-3)
    assert scales.std().item() == pytest.approx(0.02, abs=3e-3)


def test_scores_and_reconstructions_are_those_of_the_forward_pass():
    generator = Generator(32, 4, 10).eval()
    images = torch.rand(3, 1, 32, 32)
    with torch.no_grad():
        reconstruction, code, second = generator(images * 2 - 1)
        torch.testing.assert_close(generator.reconstruct(images) * 2 - 1, reconstruction)
        expected = [((a - b) ** 2).sum().item() / 10 for a, b in zip(code, second, strict=True)]
        torch.testing.assert_close(generator.errors(images), torch.tensor(expected))


def test_anomalib_gives_the_same_with_the_same_weights():
    """Its encoders pad the first convolution by 4 pixels instead of 1, and its discriminator ends in a sigmoid."""
    theirs = pytest.importorskip("anomalib.models.image.ganomaly.torch_model")
    torch.manual_seed(0)
    options = {"input_size": (64, 64), "num_input_channels": 1, "n_features": 8, "extra_layers": 0}
    generator, other = Generator(64, 8, 10).eval(), theirs.Generator(**options, latent_vec_size=10).eval()
    discriminator, judge = Discriminator(64, 8).eval(), theirs.Discriminator(**options).eval()
    for own, foreign in ((generator, other), (discriminator, judge)):
        # The same layers in the same order.
        names = dict(zip(foreign.state_dict(), own.state_dict().values(), strict=True))
        foreign.load_state_dict(names)
    for first in (other.encoder1.input_layers[0], other.encoder2.input_layers[0], judge.features[0]):
        assert first.padding == (4, 4)
        first.padding = (1, 1)
    x = torch.rand(2, 1, 64, 64) * 2 - 1
    with torch.no_grad():
        for mine, foreign in zip(generator(x), other(x), strict=False):  # it returns the padded images as well
            found = [each for each in other(x) if each.shape == mine.shape]
            assert any(torch.allclose(mine, each, atol=1e-6) for each in found), foreign.shape
        logits, features = discriminator(x)
        guess, their_features = judge(x)
    torch.testing.assert_close(logits.sigmoid(), guess)
    torch.testing.assert_close(features, their_features)
