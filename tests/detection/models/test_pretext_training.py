"""The training loop on a tiny task."""

import dataclasses
import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from helpers.tiny.task import CONFIG, TRAIN, VAL, VAL_LABELS, score_images, squares

from anatpaste_aug.detection import Progress, auroc
from anatpaste_aug.detection.models import pretext_training as trainer
from anatpaste_aug.detection.models.pretext_training import PretextTrainer, train_pretext_net, trained_net
from anatpaste_aug.detection.training import workers
from anatpaste_aug.detection.training.config import half_cosine
from anatpaste_aug.detection.training.trainer import Validation


@pytest.fixture(scope="module")
def run():
    seen: list[Progress] = []
    return train_pretext_net(CONFIG, TRAIN, VAL, VAL_LABELS, squares, progress=seen.append), seen


def test_loss_falls_and_anomalies_score_higher(run):
    result, _ = run
    assert result.history[-1].loss < 0.6 * result.history[0].loss
    scores = score_images(trained_net(result, "best"), TRAIN, VAL)
    assert scores.shape == (20,)
    assert auroc(VAL_LABELS, scores) > 0.9


def test_callback_history_and_schedule(run):
    result, seen = run
    assert [step.update for step in seen] == list(range(1, 13))
    assert [step.update for step in result.history] == [4, 8, 12]
    assert [step for step in seen if step.validated] == result.history
    assert seen[2].val_auroc is None
    assert seen[4].val_auroc == result.history[0].val_auroc
    assert [step.learning_rate for step in seen] == [half_cosine(i, 12, 0.03) for i in range(12)]
    assert seen[-1].eta == 0
    assert all(earlier.seconds < later.seconds for earlier, later in itertools.pairwise(seen))
    assert all(math.isfinite(step.loss) and step.eta >= 0 for step in seen)


def test_best_is_the_earliest_highest_validation_and_last_is_the_end(run):
    result, _ = run
    areas = [step.val_auroc for step in result.history]
    assert result.best_auroc == max(areas)
    assert result.best_update == result.history[areas.index(max(areas))].update
    assert all(value.device.type == "cpu" for value in result.best_state.values())
    for weights, area in (("best", result.best_auroc), ("last", areas[-1])):
        net = trained_net(result, weights)
        assert not net.training
        assert auroc(VAL_LABELS, score_images(net, TRAIN, VAL, batch_size=16)) == pytest.approx(area)
    with pytest.raises(ValueError, match="'first'"):
        trained_net(result, "first")


def test_best_weights_are_kept_when_later_ones_are_worse(monkeypatch):
    areas = iter([0.7, 0.9, 0.9, 0.8])
    monkeypatch.setattr(PretextTrainer, "validate", lambda *args: Validation(next(areas)))
    config = dataclasses.replace(CONFIG, updates=4, updates_per_epoch=1)
    result = train_pretext_net(config, TRAIN, VAL, VAL_LABELS, squares)
    assert (result.best_update, result.best_auroc) == (2, 0.9)
    tracked = "head.1.num_batches_tracked"
    assert (int(result.best_state[tracked]), int(result.last_state[tracked])) == (2, 4)


def test_same_seed_same_weights_and_the_callers_generator_is_left_alone():
    config = dataclasses.replace(CONFIG, updates=3)
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first = train_pretext_net(config, TRAIN, VAL, VAL_LABELS, squares)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(12)
    again = train_pretext_net(config, TRAIN, VAL, VAL_LABELS, squares)
    other = train_pretext_net(dataclasses.replace(config, seed=4), TRAIN, VAL, VAL_LABELS, squares)
    assert all(torch.equal(value, again.last_state[name]) for name, value in first.last_state.items())
    assert not torch.equal(first.last_state["head.0.weight"], other.last_state["head.0.weight"])


def test_fewer_images_than_a_batch_masks_in_step_and_three_channels():
    images = torch.arange(5, dtype=torch.uint8).reshape(5, 1, 1, 1).expand(5, 1, 32, 32).contiguous() * 40 + 10
    masks = images > 100
    calls = []

    def check(batch, *, region_mask=None):
        calls.append(len(batch))
        assert torch.equal(region_mask, batch > 100 / 255)
        assert batch.dtype == torch.float32
        return squares(batch)

    config = dataclasses.replace(CONFIG, updates=2, jitter=0.0, in_chans=3)
    result = train_pretext_net(config, images, VAL, VAL_LABELS, check, lung_masks=masks)
    assert calls == [8, 8]
    assert [step.update for step in result.history] == [2]
    assert trained_net(result).in_chans == 3


def test_without_abnormal_images_the_last_weights_are_kept_and_nothing_else_changes(run):
    result = train_pretext_net(CONFIG, TRAIN, VAL[:10], VAL_LABELS[:10], squares)
    assert (result.best_update, result.best_auroc) == (CONFIG.updates, None)
    assert all(torch.equal(value, result.last_state[name]) for name, value in result.best_state.items())
    assert [step.val_auroc for step in result.history] == [None] * 3
    # The validation draws augmentations of its own, and the training still draws the same ones.
    assert all(torch.equal(value, result.last_state[name]) for name, value in run[0].last_state.items())


def test_the_pretext_loss_chooses_without_labels():
    config = dataclasses.replace(CONFIG, select="pretext")
    result = train_pretext_net(config, TRAIN, VAL, VAL_LABELS, squares)
    losses = [step.val_loss for step in result.history]
    assert result.best_update == result.history[losses.index(min(losses))].update
    # The loss is the cross entropy of the normal validation images and of the same augmentations every time.
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        batches = [(batch, squares(batch).image) for batch in (VAL[:10].float() / 255).split(config.batch_size)]
    logits = [
        trained_net(result, "last")(2 * torch.cat(images) - 1).log_softmax(1) for images in zip(*batches, strict=True)
    ]
    expected = -(logits[0][:, 0].sum() + logits[1][:, 1].sum()) / 20
    assert losses[-1] == pytest.approx(expected.item(), abs=1e-5)
    with pytest.raises(ValueError, match="select='auroc' needs abnormal validation images; choose 'last'"):
        train_pretext_net(dataclasses.replace(CONFIG, select="auroc"), TRAIN, VAL[:10], VAL_LABELS[:10], squares)


@pytest.mark.parametrize("when", ["every update", "validation"])
def test_divergence_stops_with_a_remedy(when, monkeypatch):
    def bad(images, *, region_mask=None):
        return SimpleNamespace(image=images * float("nan"))

    augment, what = (bad, "loss") if when == "every update" else (squares, "features")
    if when == "validation":
        monkeypatch.setattr(trainer, "extract_features", lambda *args, **kwargs: torch.full((2, 2), float("nan")))
    with pytest.raises(FloatingPointError, match=rf"{what}.* by update 1 .*lower learning_rate"):
        train_pretext_net(dataclasses.replace(CONFIG, updates_per_epoch=1), TRAIN, VAL, VAL_LABELS, augment)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"train_images": TRAIN.float()}, TypeError, "train_images must be a uint8 tensor, got torch.float32"),
        ({"train_images": TRAIN[:0]}, ValueError, r"N×1×32×32 .*\(0, 1, 32, 32\)"),
        ({"val_images": VAL[:, :, :16]}, ValueError, r"val_images .*\(20, 1, 16, 32\)"),
        ({"val_labels": torch.ones(20)}, ValueError, "both classes"),
        ({"val_labels": VAL_LABELS[:5]}, ValueError, r"\(5,\)"),
        ({"lung_masks": TRAIN}, ValueError, "lung_masks must be boolean.*uint8"),
        ({"augment": lambda x, region_mask: SimpleNamespace(image=x[:1])}, ValueError, "augment turned"),
        ({"augment": [squares, squares]}, ValueError, r"num_classes must be 3 for 2 augmentation\(s\), got 2"),
    ],
)
def test_impossible_inputs(changes, error, message):
    inputs = {"train_images": TRAIN, "val_images": VAL, "val_labels": VAL_LABELS, "augment": squares, **changes}
    with pytest.raises(error, match=message):
        train_pretext_net(CONFIG, **inputs)


def test_several_augmentations_are_a_class_each(monkeypatch):
    """The same generator state gives the batches, so that the loss is that of the definition."""

    def dark(images, *, region_mask=None):
        return SimpleNamespace(image=images * 0.2)

    config = dataclasses.replace(CONFIG, num_classes=3, updates=1, jitter=0.0)
    seen = []
    cross_entropy = trainer.F.cross_entropy
    monkeypatch.setattr(trainer.F, "cross_entropy", lambda *args: seen.append(args) or cross_entropy(*args))
    given = []
    forward = trainer.prepare_inputs
    monkeypatch.setattr(trainer, "prepare_inputs", lambda images, *args: given.append(images) or forward(images, *args))
    result = train_pretext_net(config, TRAIN, VAL, VAL_LABELS, [squares, dark])
    ((logits, targets),), images = seen, given[0]
    assert logits.shape == (24, 3)
    assert targets.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    assert torch.equal(images[16:], images[:8] * 0.2)
    assert not torch.equal(images[8:16], images[:8])
    assert trained_net(result)(torch.zeros(2, 1, 32, 32)).shape == (2, 3)
    assert auroc(VAL_LABELS, score_images(trained_net(result), TRAIN, VAL)) == pytest.approx(result.best_auroc)


def test_mixed_precision_learns_too_and_keeps_float32_weights(run):
    result = train_pretext_net(dataclasses.replace(CONFIG, amp=True), TRAIN, VAL, VAL_LABELS, squares)
    assert result.history[-1].loss == pytest.approx(run[0].history[-1].loss, abs=0.05)
    assert result.history[-1].loss != run[0].history[-1].loss
    assert result.best_auroc > 0.9
    assert {value.dtype for value in result.last_state.values()} == {torch.float32, torch.int64}


def trainer_of(config, scale=None):
    torch.manual_seed(0)
    found = PretextTrainer(config, TRAIN, None, [squares], workers.Workers())
    if scale is not None:
        found.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    return found


def test_float16_scales_the_loss_and_skips_an_update_that_overflows(monkeypatch):
    monkeypatch.setattr(trainer, "half_precision", lambda device: torch.float16)
    config = dataclasses.replace(CONFIG, amp=True, updates=3)
    assert trainer_of(config).scaler.is_enabled()
    half, exact = trainer_of(config, scale=2.0**40), trainer_of(dataclasses.replace(config, amp=False))
    before = [value.clone() for value in half.net.parameters()]
    half.advance()  # no float16 gradient survives that scale
    assert all(map(torch.equal, half.net.parameters(), before))
    assert half.scaler.get_scale() == 2.0**39
    half = trainer_of(config, scale=2.0**8)
    for one in (half, exact):
        torch.manual_seed(0)
        one.advance()
    # Scaled back before the step, the gradient is that of float32 but for float16's rounding; unscaled, 256 times it.
    for found, expected in zip(half.net.parameters(), exact.net.parameters(), strict=True):
        assert (found.grad - expected.grad).norm() <= 0.2 * expected.grad.norm() + 1e-4
    assert not any(map(torch.equal, half.net.parameters(), before))
