"""f-AnoGAN's training: the gradient penalty by hand, its two stages, and what it learns."""

import dataclasses

import pytest
import torch
from helpers.marked_phantoms import learned_from_phantoms
from helpers.tiny.task import TRAIN, VAL, VAL_LABELS

from anatpaste_aug.detection.models.f_anogan.detector import (
    FAnoGanConfig,
    FAnoGanDetector,
    FAnoGanTrainer,
    critic_loss,
)
from anatpaste_aug.detection.training.workers import Workers

SMALL = {"image_size": 32, "batch_size": 4, "width": 2, "latent": 5, "seed": 1}
CONFIG = FAnoGanConfig(**SMALL, updates=6, updates_per_epoch=2, gan_updates=3, critic_steps=2)


def trainer(config=CONFIG):
    torch.manual_seed(0)
    return FAnoGanTrainer(config, TRAIN, Workers())


def same(states, others):
    return all(torch.equal(value, others[name]) for name, value in states.items())


def state(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def test_the_penalty_is_that_of_a_gradient_worked_out_by_hand():
    """Of the critic a·x² summed over the pixels, whose gradient at x is 2·a·x."""
    real, fake = torch.randn(3, 1, 4, 4), torch.randn(3, 1, 4, 4)
    between, scale = torch.rand(3, 1, 1, 1), torch.tensor(0.7, requires_grad=True)
    loss = critic_loss(lambda x: scale * x.square().sum((1, 2, 3)), real, fake, between, 10.0)
    point = (1 - between) * real + between * fake
    length = point.flatten(1).square().sum(1).sqrt()
    norms = 2 * 0.7 * length
    wasserstein = 0.7 * (fake.square().sum() - real.square().sum()) / 3
    torch.testing.assert_close(loss, wasserstein + 10 * ((norms - 1) ** 2).mean())
    # The derivative by a, too: the penalty has one, so that the critic learns from it.
    (slope,) = torch.autograd.grad(loss, scale)
    expected = wasserstein / 0.7 + 10 * (2 * (norms - 1) * 2 * length).mean()
    torch.testing.assert_close(slope, expected)


def test_the_penalty_of_the_critic_is_that_of_finite_differences():
    net = trainer().net.critic.double()
    real, fake = (torch.rand(2, 1, 32, 32, dtype=torch.float64) * 2 - 1 for _ in range(2))
    between = torch.full((2, 1, 1, 1), 0.25, dtype=torch.float64)
    point = 0.75 * real + 0.25 * fake
    with torch.no_grad():
        gradient = torch.zeros_like(point)
        for i in range(0, 1024, 1):
            step = torch.zeros(1, 1, 1024, dtype=torch.float64)
            step[..., i] = 1e-5
            step = step.view(1, 1, 32, 32)
            gradient.view(2, -1)[:, i] = (net(point + step) - net(point - step))[:, 0] / 2e-5
        norms = gradient.flatten(1).norm(dim=1)
        expected = net(fake).mean() - net(real).mean() + 10 * ((norms - 1) ** 2).mean()
    torch.testing.assert_close(critic_loss(net, real, fake, between, 10.0), expected, rtol=1e-6, atol=1e-8)


def test_the_gan_comes_first_and_then_the_encoder_alone():
    one = trainer()
    before = {name: state(getattr(one.net, name)) for name in ("generator", "critic", "encoder")}
    one.advance()
    assert not same(state(one.net.generator), before["generator"])
    assert not same(state(one.net.critic), before["critic"])
    assert same(state(one.net.encoder), before["encoder"])
    assert one.learning_rate == CONFIG.learning_rate
    for _ in range(2):
        one.advance()
    before = {name: state(getattr(one.net, name)) for name in before}
    one.validate(VAL, VAL_LABELS)  # leaves the networks in the mode for training
    one.advance()
    # Statistics of BatchNorm included.
    assert same(state(one.net.generator), before["generator"])
    assert same(state(one.net.critic), before["critic"])
    assert not same(state(one.net.encoder), before["encoder"])
    assert one.learning_rate == CONFIG.encoder_learning_rate


def test_every_critic_step_has_a_batch_of_its_own():
    one = trainer(dataclasses.replace(CONFIG, critic_steps=3))
    drawn = []
    draw = one.batches.draw
    one.batches.draw = lambda: drawn.append(draw()) or drawn[-1]
    one.advance()
    assert [len(index) for index in drawn] == [4, 4, 4]
    assert len(set(torch.cat(drawn).tolist())) == 12


def test_weights_are_chosen_once_the_encoder_is_trained():
    detector = FAnoGanDetector(CONFIG).fit(TRAIN, VAL, VAL_LABELS)
    result = detector.result
    assert [step.update for step in result.history] == [4, 6]
    assert result.best_update > CONFIG.gan_updates
    assert FAnoGanDetector(CONFIG).fit(TRAIN, VAL[:10]).result.best_update == 6


def test_the_loss_starts_anew_with_the_encoder():
    one, losses = trainer(), []
    step = one.step
    one.step = lambda: losses.append(step()) or losses[-1]
    for _ in range(5):
        one.advance()
    assert one.report().loss == pytest.approx((losses[3] + losses[4]).item() / 2)


def test_impossible_stages():
    with pytest.raises(ValueError, match="gan_updates must be from 1 to below updates, 6, got 6"):
        dataclasses.replace(CONFIG, gan_updates=6)


@pytest.mark.slow
def test_it_learns_what_normal_phantoms_look_like():
    settings = FAnoGanConfig.presets["demo"] | {"gan_updates": 70, "updates": 570, "updates_per_epoch": 100}
    detector, score, maps = learned_from_phantoms(FAnoGanDetector, FAnoGanConfig(image_size=64, **settings))
    losses = [step.loss for step in detector.result.history]
    assert losses[-1] < losses[0]
    assert score > 0.9
    assert maps > 0.9


def test_a_divergence_names_the_learning_rate_of_its_stage():
    training = trainer()
    training.step()
    assert str(training.diverged("loss")).endswith("at learning rate 0.0001: lower learning_rate")
    training.update = CONFIG.gan_updates
    training.step()
    assert str(training.diverged("loss")).endswith("at learning rate 5e-05: lower encoder_learning_rate")
