"""GANomaly's training: its losses by their definitions, its two steps, and what it learns."""

import math

import pytest
import torch
from helpers.marked_phantoms import learned_from_phantoms
from helpers.tiny.task import TRAIN

from anatpaste_aug.detection.models.ganomaly import detector as module
from anatpaste_aug.detection.models.ganomaly.detector import (
    GanomalyConfig,
    GanomalyDetector,
    GanomalyTrainer,
    discriminator_loss,
    generator_loss,
)
from anatpaste_aug.detection.training.workers import Workers

CONFIG = GanomalyConfig(image_size=32, batch_size=4, updates=4, updates_per_epoch=2, width=4, latent=8)


def trainer():
    torch.manual_seed(0)
    return GanomalyTrainer(CONFIG, TRAIN, Workers())


def test_losses_are_those_of_the_definition():
    config = GanomalyConfig(image_size=32, feature_weight=2.0, image_weight=50.0, code_weight=3.0)
    real, fake = torch.tensor([0.5, -0.5]), torch.tensor([0.0, 0.5])
    code, second = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 2.0])
    features, others = torch.tensor([0.0, 0.0]), torch.tensor([1.0, 2.0])
    loss = generator_loss(config, real, fake, code, second, features, others)
    assert loss.item() == pytest.approx(2 * (1 + 4) / 2 + 50 * (0.5 + 1) / 2 + 3 * (4 + 0) / 2)
    right, wrong = 0.8, 0.3  # probabilities of being real, of a real image and of a reconstruction
    logits = [torch.tensor([math.log(p / (1 - p))]) for p in (right, wrong)]
    assert discriminator_loss(*logits).item() == pytest.approx(-(math.log(right) + math.log(1 - wrong)) / 2)


def test_an_update_takes_adam_s_step_of_both_losses():
    """By the definition: both gradients at the weights before the update; Adam's first step is the learning rate."""
    one, other = trainer(), trainer()
    index = one.batches.draw()
    real = TRAIN[index].float() / 255 * 2 - 1
    fake, code, second = one.net(real)
    own = generator_loss(CONFIG, real, fake, code, second, one.discriminator(real)[1], one.discriminator(fake)[1])
    guess = discriminator_loss(one.discriminator(real)[0], one.discriminator(fake.detach())[0])
    loss = other.step()
    assert loss.item() == pytest.approx(own.item(), rel=1e-5)
    for before, after, total in ((one.net, other.net, own), (one.discriminator, other.discriminator, guess)):
        gradients = torch.autograd.grad(total, list(before.parameters()), retain_graph=True)
        for old, new, gradient in zip(before.parameters(), after.parameters(), gradients, strict=True):
            clear = gradient.abs() > 1e-5  # far above Adam's epsilon
            step = (new - old)[clear]
            torch.testing.assert_close(step, -CONFIG.learning_rate * gradient[clear].sign(), rtol=0.01, atol=1e-7)


def test_a_discriminator_that_is_always_right_starts_anew(monkeypatch):
    one = trainer()
    before = [value.clone() for value in one.discriminator.parameters()]
    one.step()
    moved = max((new - old).abs().max() for new, old in zip(one.discriminator.parameters(), before, strict=True))
    assert moved < 0.001  # a step of Adam
    monkeypatch.setattr(module, "_COLLAPSED", 100.0)
    one.step()
    moved = max((new - old).abs().max() for new, old in zip(one.discriminator.parameters(), before, strict=True))
    assert moved > 0.02


@pytest.mark.slow
def test_it_learns_what_normal_phantoms_look_like():
    settings = GanomalyConfig.presets["demo"] | {"updates": 150, "updates_per_epoch": 50}
    detector, score, maps = learned_from_phantoms(GanomalyDetector, GanomalyConfig(image_size=64, **settings))
    losses = [step.loss for step in detector.result.history]
    assert losses[-1] < losses[0] / 1.5
    assert score > 0.9
    assert maps > 0.9
