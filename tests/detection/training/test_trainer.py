"""The loop trains, stops and resumes networks of any kind: here two of them, with an optimizer each."""

import dataclasses

import pytest
import torch
from helpers.tiny.task import CONFIG, TRAIN, VAL, VAL_LABELS
from torch import nn

from anatpaste_aug.detection import auroc
from anatpaste_aug.detection.training.loop import run_training
from anatpaste_aug.detection.training.trainer import Trainer, Validation

QUICK = dataclasses.replace(CONFIG, updates=6, updates_per_epoch=2, learning_rate=0.01)


class GanTrainer(Trainer):
    """A generator and a critic of single pixels, trained in turns."""

    def __init__(self, config, images, workers):
        super().__init__(config, images, workers)
        self.nets = nn.ModuleDict({"generator": nn.Conv2d(1, 1, 1), "critic": nn.Conv2d(1, 1, 1)})
        self.optimizers = [torch.optim.Adam(net.parameters(), lr=config.learning_rate) for net in self.nets.values()]

    def step(self):
        images = self.images[self.batches.draw()].float() / 255
        fake = self.nets["generator"](torch.rand(images.shape))
        losses = self.nets["critic"](fake).mean(), self.nets["critic"](images).mean() - self.nets["critic"](fake).mean()
        for loss, optimizer in zip(losses, self.optimizers, strict=True):
            optimizer.zero_grad()
            loss.backward(retain_graph=True)
        for optimizer in self.optimizers:
            optimizer.step()
        return losses[0].detach()

    def validate(self, val_images, val_labels):
        with torch.no_grad():
            scores = self.nets["critic"](val_images.float() / 255).mean((1, 2, 3))
        if not bool(torch.isfinite(scores).all()):
            raise self.diverged("critic's scores")
        return Validation(auroc(val_labels, scores))

    def weights(self):
        return {name: value.clone() for name, value in self.nets.state_dict().items()}

    def model_state(self):
        return {"nets": self.nets.state_dict(), "optimizers": [one.state_dict() for one in self.optimizers]}

    def load_model_state(self, state):
        self.nets.load_state_dict(state["nets"])
        for optimizer, own in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(own)


def train(config=QUICK, **options):
    def make_trainer(workers):
        return GanTrainer(config, TRAIN, workers)

    return run_training(make_trainer, config, {"train_images": TRAIN}, (VAL, VAL_LABELS), **options)


@pytest.mark.parametrize("last", [1, 3, 4])
def test_a_run_of_two_networks_that_is_interrupted_ends_alike(last, tmp_path):
    expected = train()
    options = {"checkpoint": tmp_path / "training.pt", "checkpoint_every": 1, "resume": True}

    def stop(progress):
        if progress.update == last:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(progress=stop, **options)
    found = train(**options)
    for name in ("best_state", "last_state"):
        states = getattr(found, name), getattr(expected, name)
        assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert [step.loss for step in found.history] == [step.loss for step in expected.history]
    assert [step.update for step in found.history] == [2, 4, 6]


def test_scores_that_are_not_finite_end_the_run(monkeypatch):
    step = GanTrainer.step

    def bad(trainer):
        loss = step(trainer)
        nn.init.constant_(trainer.nets["critic"].weight, float("nan"))
        return loss

    monkeypatch.setattr(GanTrainer, "step", bad)
    with pytest.raises(FloatingPointError, match="by update 2"):
        train()
