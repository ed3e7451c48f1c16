"""SQUID's training: its losses by their definitions, its steps, its score, and what it learns."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from helpers.marked_phantoms import learned_from_phantoms
from helpers.tiny.task import TRAIN, VAL, VAL_LABELS

from anatpaste_aug.detection.models.squid.detector import (
    SquidConfig,
    SquidDetector,
    SquidTrainer,
    discriminator_loss,
    generator_loss,
    random_affine,
)
from anatpaste_aug.detection.models.squid.networks import Decoded
from anatpaste_aug.detection.training.workers import Workers

CONFIG = SquidConfig(image_size=32, batch_size=4, updates=4, updates_per_epoch=2, width=8, slots=6)


def trainer(config=CONFIG):
    torch.manual_seed(0)
    return SquidTrainer(config, TRAIN, Workers())


def test_losses_are_those_of_the_definition():
    config = dataclasses.replace(
        CONFIG, image_weight=10.0, teacher_weight=2.0, distillation_weight=3.0, adversarial_weight=4.0
    )
    images = torch.tensor([0.5, 0.0])
    student = Decoded(torch.tensor([0.0, 0.0]), [torch.tensor([1.0]), torch.tensor([0.0, 2.0])])
    teacher = Decoded(torch.tensor([0.5, 1.0]), [torch.tensor([3.0]), torch.tensor([0.0, 0.0])])
    fooled = 0.3
    logits = torch.tensor([math.log(fooled / (1 - fooled))])
    expected = 10 * 0.25 / 2 + 2 * 1 / 2 + 3 * (4 + 4 / 2) - 4 * math.log(fooled)
    assert generator_loss(config, images, student, teacher, logits).item() == pytest.approx(expected)
    assert discriminator_loss(-logits, logits).item() == pytest.approx(-2 * math.log(1 - fooled), rel=1e-5)


def test_an_update_is_two_steps_of_the_discriminator_and_one_of_the_generator():
    one = trainer()
    drawn, steps = [], []
    draw, descend = one.batches.draw, one.descend
    one.batches.draw = lambda: drawn.append(draw()) or drawn[-1]
    one.descend = lambda name, loss: steps.append(name) or descend(name, loss)
    before = one.net.generator.inpainting.queues[0].codes.clone()
    one.advance()
    assert steps == ["discriminator", "generator", "discriminator"]
    assert [len(index) for index in drawn] == [4, 4]
    changed = (one.net.generator.inpainting.queues[0].codes != before).any(1)
    assert changed.tolist() == [True] * 4 + [False] * 2


def test_the_learning_rate_falls_along_two_thirds_of_a_cosine():
    config = dataclasses.replace(CONFIG, updates=200)
    one = trainer(config)
    one.update = 100
    one.step()
    middle = 1e-5 + 0.5 * 9e-5 * (1 + math.cos(math.pi * 100 / 300))
    assert one.learning_rate == pytest.approx(middle)
    rates = [optimizer.param_groups[0]["lr"] for optimizer in one.optimizers.values()]
    assert rates == [pytest.approx(middle), 1e-4]


def test_the_score_compares_with_two_hundred_normal_images():
    detector = SquidDetector(CONFIG).fit(TRAIN, VAL, VAL_LABELS)
    with torch.no_grad():
        net = detector._net
        reference = net.discriminator(net.reconstruct(TRAIN.float() / 255)).double().numpy()
        logits = net.discriminator(net.reconstruct(VAL.float() / 255)).double().numpy()
    expected = 1 - 1 / (1 + np.exp(-(logits - reference.mean()) / reference.std()))
    np.testing.assert_allclose(detector.score(VAL).numpy(), expected, rtol=1e-4)
    many = TRAIN.repeat(11, 1, 1, 1)  # 220
    many[200:] = 255
    state = detector._reference(detector._net, many)
    torch.testing.assert_close(state["mean"], detector._reference(detector._net, TRAIN.repeat(10, 1, 1, 1))["mean"])


def test_images_are_shifted_and_scaled():
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(5)
    image = torch.zeros(200, 1, 64, 64)
    image[..., 24:40, 20:36] = 1
    found = random_affine(image, 0.05, generator)
    columns, rows = torch.arange(64.0).view(1, 1, 1, 64), torch.arange(64.0).view(1, 1, 64, 1)
    mass = found.sum((2, 3), keepdim=True)
    centers = torch.cat([(found * axis).sum((2, 3), keepdim=True) / mass for axis in (columns, rows)]).view(2, 200)
    scales = (mass.flatten() / 256).sqrt()
    uniform = 0.05 * (2 * torch.rand(3, 200, generator=torch.Generator().manual_seed(5)) - 1)
    torch.testing.assert_close(scales, 1 + uniform[0], rtol=0, atol=0.002)
    expected = 31.5 + (1 + uniform[0]) * (torch.tensor([[27.5], [31.5]]) - 31.5) + 64 * uniform[1:]
    torch.testing.assert_close(centers, expected, rtol=0, atol=0.05)
    assert torch.allclose(random_affine(image, 0.0), image, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slots": 4}, "slots must be more than kept, 4, got 4"),
        ({"width": 3}, "width must be a multiple of 2, got 3"),
        ({"memory_share": 1.5}, "memory_share must be in"),
    ],
)
def test_impossible_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **changes)


@pytest.mark.slow
def test_it_learns_what_normal_phantoms_look_like():
    """Its reconstruction is that of a normal image; its discriminator takes longer than a test to tell them apart."""
    settings = SquidConfig.presets["demo"] | {"updates": 150, "updates_per_epoch": 30}
    detector, _, maps = learned_from_phantoms(SquidDetector, SquidConfig(image_size=64, **settings))
    losses = [step.loss for step in detector.result.history]
    assert losses[-1] < losses[0] / 2
    assert maps > 0.75
