"""The training loop on a tiny task, and the checkpoint file."""

import dataclasses
import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from torchvision.transforms import v2

from anatpaste_aug.detection import (
    GaussianKDE,
    Progress,
    TrainConfig,
    TrainResult,
    auroc,
    extract_features,
    half_cosine,
    jitter_images,
    load_checkpoint,
    save_checkpoint,
    score_images,
    train,
    training,
)

CONFIG = TrainConfig(image_size=32, batch_size=8, updates=12, updates_per_epoch=4, backbone="test_resnet", seed=3)


def blobs(count, seed, bright=False):
    """Noise images; the bright ones have a white square where chance puts it."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(40, 120, (count, 1, 32, 32), dtype=torch.uint8, generator=generator)
    for image in images if bright else ():
        top, left = torch.randint(0, 20, (2,), generator=generator).tolist()
        image[:, top : top + 12, left : left + 12] = 250
    return images


def squares(images, *, lung_mask=None):
    """An augmentation: a white square, placed by torch's global generator as AnatPaste's are."""
    images = images.clone()
    for image in images:
        top, left = torch.randint(0, 20, (2,)).tolist()
        image[:, top : top + 12, left : left + 12] = 0.98
    return SimpleNamespace(image=images)


TRAIN = blobs(20, seed=0)
VAL = torch.cat([blobs(10, seed=1), blobs(10, seed=2, bright=True)])
VAL_LABELS = torch.tensor([0] * 10 + [1] * 10)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # images this small gain nothing from more
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def run():
    seen: list[Progress] = []
    return train(CONFIG, TRAIN, VAL, VAL_LABELS, squares, callback=seen.append), seen


def test_loss_falls_and_anomalies_score_higher(run):
    result, _ = run
    assert result.history[-1].loss < 0.6 * result.history[0].loss
    scores = score_images(result.model("best"), TRAIN, VAL)
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
        net = result.model(weights)
        assert not net.training
        assert auroc(VAL_LABELS, score_images(net, TRAIN, VAL, batch_size=16)) == pytest.approx(area)
    with pytest.raises(ValueError, match="'first'"):
        result.model("first")


def test_best_weights_are_kept_when_later_ones_are_worse(monkeypatch):
    areas = iter([0.7, 0.9, 0.9, 0.8])
    monkeypatch.setattr(training, "_validate", lambda *args: next(areas))
    config = dataclasses.replace(CONFIG, updates=4, updates_per_epoch=1)
    result = train(config, TRAIN, VAL, VAL_LABELS, squares)
    assert (result.best_update, result.best_auroc) == (2, 0.9)
    tracked = "head.1.num_batches_tracked"
    assert (int(result.best_state[tracked]), int(result.last_state[tracked])) == (2, 4)


def test_same_seed_same_weights_and_the_callers_generator_is_left_alone():
    config = dataclasses.replace(CONFIG, updates=3)
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first = train(config, TRAIN, VAL, VAL_LABELS, squares)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(12)
    again = train(config, TRAIN, VAL, VAL_LABELS, squares)
    other = train(dataclasses.replace(config, seed=4), TRAIN, VAL, VAL_LABELS, squares)
    assert all(torch.equal(value, again.last_state[name]) for name, value in first.last_state.items())
    assert not torch.equal(first.last_state["head.0.weight"], other.last_state["head.0.weight"])


def test_fewer_images_than_a_batch_masks_in_step_and_three_channels():
    images = torch.arange(5, dtype=torch.uint8).reshape(5, 1, 1, 1).expand(5, 1, 32, 32).contiguous() * 40 + 10
    masks = images > 100
    calls = []

    def check(batch, *, lung_mask=None):
        calls.append(len(batch))
        assert torch.equal(lung_mask, batch > 100 / 255)
        assert batch.dtype == torch.float32
        return squares(batch)

    config = dataclasses.replace(CONFIG, updates=2, jitter=0.0, in_chans=3)
    result = train(config, images, VAL, VAL_LABELS, check, lung_masks=masks)
    assert calls == [8, 8]
    assert [step.update for step in result.history] == [2]
    assert result.model().in_chans == 3


def test_batches_are_shuffled_passes_without_remainders():
    def draw(count, size, updates):
        return list(training._batches(count, size, updates, torch.Generator().manual_seed(0)))

    first = torch.cat(draw(10, 4, 6)).reshape(3, 8)
    assert all(len(set(row.tolist())) == 8 for row in first)
    assert not torch.equal(first[0], first[1])
    assert sorted(draw(4, 4, 1)[0].tolist()) == [0, 1, 2, 3]
    small = draw(3, 8, 2)
    assert [len(batch) for batch in small] == [8, 8]
    assert sorted(small[0][:6].tolist()) == [0, 0, 1, 1, 2, 2]


def test_half_cosine():
    assert half_cosine(0, 8, 0.03) == 0.03
    assert half_cosine(2, 8, 0.03) == pytest.approx(0.015 * (1 + math.sqrt(0.5)))
    assert half_cosine(4, 8, 0.03) == pytest.approx(0.015)
    assert half_cosine(8, 8, 0.03) == 0


def test_jitter_is_torchvisions_with_factors_and_order_per_image():
    images = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    found = jitter_images(images, 0.5, torch.Generator().manual_seed(0))
    uniform = torch.rand(3, 64, 1, 1, 1, generator=torch.Generator().manual_seed(0)).reshape(3, 64)
    for image, result, (brightness, contrast, order) in zip(images, found, uniform.T.tolist(), strict=True):
        steps = [
            lambda x, f=0.5 + contrast: v2.functional.adjust_contrast(x, f),
            lambda x, f=0.5 + brightness: v2.functional.adjust_brightness(x, f),
        ]
        for step in steps if order < 0.5 else reversed(steps):
            image = step(image)
        torch.testing.assert_close(result, image, rtol=0, atol=1e-6)
    assert 10 < (uniform[2] < 0.5).sum() < 54
    torch.testing.assert_close(jitter_images(images, 0.0), images, rtol=0, atol=1e-6)


def test_score_is_the_kde_of_the_features(run):
    net = run[0].model("last")
    expected = GaussianKDE(extract_features(net, TRAIN), 0.5).score(extract_features(net, VAL))
    assert torch.equal(score_images(net, TRAIN, VAL, bandwidth=0.5), expected)


@pytest.mark.parametrize("when", ["every update", "validation"])
def test_divergence_stops_with_a_remedy(when, monkeypatch):
    def bad(images, *, lung_mask=None):
        return SimpleNamespace(image=images * float("nan"))

    augment, what = (bad, "loss") if when == "every update" else (squares, "features")
    if when == "validation":
        monkeypatch.setattr(training, "extract_features", lambda *args, **kwargs: torch.full((2, 2), float("nan")))
    with pytest.raises(FloatingPointError, match=rf"{what}.* by update 1 .*lower learning_rate"):
        train(dataclasses.replace(CONFIG, updates_per_epoch=1), TRAIN, VAL, VAL_LABELS, augment)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"train_images": TRAIN.float()}, TypeError, "train_images must be a uint8 tensor, got torch.float32"),
        ({"train_images": TRAIN[:0]}, ValueError, r"N×1×32×32 .*\(0, 1, 32, 32\)"),
        ({"val_images": VAL[:, :, :16]}, ValueError, r"val_images .*\(20, 1, 16, 32\)"),
        ({"val_labels": torch.zeros(20)}, ValueError, "both classes"),
        ({"val_labels": VAL_LABELS[:5]}, ValueError, r"\(5,\)"),
        ({"lung_masks": TRAIN}, ValueError, "lung_masks must be boolean.*uint8"),
        ({"augment": lambda x, lung_mask: SimpleNamespace(image=x[:1])}, ValueError, "augment turned"),
    ],
)
def test_impossible_inputs(changes, error, message):
    inputs = {"train_images": TRAIN, "val_images": VAL, "val_labels": VAL_LABELS, "augment": squares, **changes}
    with pytest.raises(error, match=message):
        train(CONFIG, **inputs)


@pytest.mark.parametrize(
    "change",
    [
        *({"image_size": 16}, {"batch_size": 0}, {"updates": 0}, {"learning_rate": float("nan")}, {"momentum": 1.0}),
        *({"jitter": 1.5}, {"in_chans": 2}, {"bandwidth": 0.0}, {"weight_decay": -1.0}, {"seed": -1}),
    ],
)
def test_impossible_settings(change):
    (name,) = change
    with pytest.raises(ValueError, match=f"{name} must be"):
        TrainConfig(**change)


def test_checkpoint_round_trip(run, tmp_path):
    result, _ = run
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, result, {"threshold": 0.5, "reference": torch.ones(2)})
    loaded, extra = load_checkpoint(path)
    assert isinstance(loaded, TrainResult)
    assert (loaded.config, loaded.history) == (result.config, result.history)
    assert (loaded.best_update, loaded.best_auroc) == (result.best_update, result.best_auroc)
    for name in ("best_state", "last_state"):
        found, expected = getattr(loaded, name), getattr(result, name)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert extra["threshold"] == 0.5
    assert torch.equal(extra["reference"], torch.ones(2))
    scores = (score_images(one.model(), TRAIN, VAL) for one in (loaded, result))
    assert torch.equal(*scores)
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_failed_save_leaves_the_old_file(tmp_path):
    result = TrainResult(CONFIG, {}, {}, 1, 0.5, [])
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, result)
    before = path.read_bytes()
    with pytest.raises(Exception, match="pickle"):
        save_checkpoint(path, result, {"bad": lambda: None})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_damaged_and_foreign_files(tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, TrainResult(CONFIG, {"w": torch.arange(5000.0)}, {}, 1, 0.5, []))
    good = path.read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 0xFF
    for content in (good[: len(good) // 2], b"", b"not a checkpoint", bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"checkpoint\.pt is (not a readable checkpoint|damaged)"):
            load_checkpoint(path)
    torch.save({"weight": torch.ones(2)}, path)
    with pytest.raises(ValueError, match="is not a checkpoint of this version"):
        load_checkpoint(path)
    torch.save(SimpleNamespace(a=1), path)  # a pickle that would run code is refused, not run
    with pytest.raises(ValueError, match="not a readable checkpoint"):
        load_checkpoint(path)
    torch.save({"format": "anatpaste_aug.detection.checkpoint/1", "config": {"colour": 1}}, path)
    with pytest.raises(ValueError, match="lacks or adds"):
        load_checkpoint(path)
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "missing.pt")
