"""A run that is killed goes on as if nothing had happened, and only from a checkpoint of its own."""

import dataclasses
import random
import signal
from pathlib import Path

import pytest
import torch
from helpers.forks import count_calls, finish, kill_at_call, kill_self, limit_files, start
from helpers.tiny.task import CONFIG, TRAIN, VAL, VAL_LABELS, squares

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.detection import Progress
from anatpaste_aug.detection.models.pretext_training import train_pretext_net
from anatpaste_aug.detection.training import loop as training

pytestmark = pytest.mark.trains_in_forks

QUICK = dataclasses.replace(CONFIG, updates=8, updates_per_epoch=3)


def run(path=None, config=QUICK, *, augment=squares, **options):
    if path is not None:
        options = {"checkpoint": path, "checkpoint_every": 1, "resume": True} | options
    return train_pretext_net(config, TRAIN, VAL, VAL_LABELS, augment, **options)


def check_same(found, expected):
    """Weights and metrics bit for bit; only the clock may differ."""
    for name in ("best_state", "last_state"):
        states = getattr(found, name), getattr(expected, name)
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert (found.best_update, found.best_auroc) == (expected.best_update, expected.best_auroc)
    steps = [[dataclasses.replace(step, seconds=0, eta=0) for step in result.history] for result in (found, expected)]
    assert steps[0] == steps[1]


@pytest.fixture(scope="module")
def undisturbed():
    return run()


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """How many calls and returns of functions a run with checkpoints makes: any of them may be its last."""
    path = tmp_path_factory.mktemp("run") / "training.pt"
    return count_calls(lambda: run(path))


@pytest.mark.slow
@pytest.mark.parametrize("tenth", range(10))
def test_a_run_killed_at_a_random_moment_ends_as_if_undisturbed(tenth, undisturbed, calls, tmp_path):
    path = tmp_path / "training.pt"
    moment = int(calls * (tenth + random.Random(tenth).random()) / 10)
    assert kill_at_call(moment, lambda: run(path)) == -signal.SIGKILL
    check_same(run(path), undisturbed)
    assert [file.name for file in tmp_path.iterdir()] == ["training.pt"]


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_as_if_undisturbed(undisturbed, calls, tmp_path):
    path, chance, kills = tmp_path / "training.pt", random.Random(0), 0
    while kill_at_call(chance.randint(calls // 4, calls // 2), lambda: run(path)):
        kills += 1
    assert kills >= 2
    check_same(run(path), undisturbed)


@pytest.mark.parametrize("write", [1, 2, 5])
def test_a_run_killed_halfway_through_a_checkpoint_goes_on_from_the_earlier_one(write, undisturbed, tmp_path):
    path = tmp_path / "training.pt"

    def killed():
        whole, left = Path.write_bytes, write

        def half(self, content):
            nonlocal left
            left -= 1
            whole(self, content if left else content[: len(content) // 2])
            if not left:
                kill_self()

        Path.write_bytes = half
        run(path)

    assert finish(start(killed)) == -signal.SIGKILL
    assert path.exists() == (write > 1)
    assert [file.suffix for file in tmp_path.iterdir() if file != path] == [".tmp"]
    check_same(run(path), undisturbed)
    assert [file.name for file in tmp_path.iterdir()] == ["training.pt"]


def test_checkpoints_at_validations_only_and_a_run_that_is_over(undisturbed, tmp_path):
    path = tmp_path / "training.pt"
    updates = []

    def stop(progress):
        updates.append(progress.update)
        if len(updates) == 5:
            raise KeyboardInterrupt

    options = {"progress": stop, "checkpoint_every": None}
    with pytest.raises(KeyboardInterrupt):
        run(path, **options)
    check_same(run(path, **options), undisturbed)
    assert updates == [1, 2, 3, 4, 5, 4, 5, 6, 7, 8]
    check_same(run(path, **options), undisturbed)
    assert len(updates) == 10


@pytest.mark.slow
def test_anatpaste_and_mixed_precision_go_on_exactly(tmp_path):
    config = dataclasses.replace(QUICK, amp=True, updates=6, batch_size=4)
    masks = torch.zeros_like(TRAIN, dtype=torch.bool)
    masks[..., 8:24, 8:24] = True
    options = {"augment": AnatPasteTransform().augment, "lung_masks": masks}

    def stop(progress):
        torch.rand(3)  # what a callback draws counts too
        if progress.update == 4 and not stopped:
            stopped.append(True)
            raise KeyboardInterrupt

    stopped = [True]
    expected = run(None, config, progress=stop, **options)
    stopped = []
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "training.pt", config, progress=stop, **options)
    check_same(run(tmp_path / "training.pt", config, progress=stop, **options), expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": dataclasses.replace(QUICK, seed=4, jitter=0.2)}, "seed is 3 there and 4 here; jitter is 0.1 there"),
        ({"train_images": TRAIN.flip(0)}, "train_images is [0-9a-f]{12} there and [0-9a-f]{12} here"),
        ({"val_labels": 1 - VAL_LABELS}, "val_labels is"),
        ({"lung_masks": TRAIN > 0}, "lung_masks is None there and [0-9a-f]{12} here"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_with_what_differs(changes, message, tmp_path):
    path = tmp_path / "training.pt"
    inputs = {"config": QUICK, "train_images": TRAIN, "val_images": VAL, "val_labels": VAL_LABELS, "augment": squares}
    train_pretext_net(**inputs | {"config": dataclasses.replace(QUICK, updates=8)}, checkpoint=path, progress=None)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"training.pt is of another run .*{message}.*another folder"):
        train_pretext_net(**inputs | changes, checkpoint=path, resume=True)
    assert path.read_bytes() == before
    with pytest.raises(FileExistsError, match=r"training\.pt holds an interrupted run"):
        train_pretext_net(**inputs, checkpoint=path)


def test_other_versions_are_pointed_out(tmp_path, monkeypatch):
    path = tmp_path / "training.pt"
    config = dataclasses.replace(QUICK, updates=1)
    here = training.environment("cpu")
    monkeypatch.setattr(training, "environment", lambda device: {**here, "torch": "1.0"})
    run(path, config)
    monkeypatch.setattr(training, "environment", lambda device: here)
    with pytest.warns(UserWarning, match=rf"written elsewhere \(torch is 1.0 there and {here['torch']} here\)"):
        run(path, config)


def test_a_damaged_checkpoint_is_named_with_the_remedy(tmp_path):
    path = tmp_path / "training.pt"
    run(path, dataclasses.replace(QUICK, updates=1))
    good = path.read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 0xFF
    for content in (good[: len(good) // 2], b"", bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"training\.pt is .*damaged.*: restore a copy, or delete it"):
            run(path)
        assert path.read_bytes() == content
    torch.save({"format": "anatpaste_aug.detection.run/1", "state": {}}, path)
    with pytest.raises(ValueError, match="lacks parts of a run: environment, fingerprint"):
        run(path)
    torch.save({"format": "anatpaste_aug.detection.checkpoint/1"}, path)
    with pytest.raises(ValueError, match="not a checkpoint of this version"):
        run(path)


def test_a_full_disk_ends_the_run_and_leaves_the_earlier_checkpoint(undisturbed, tmp_path):
    path = tmp_path / "training.pt"

    def fill(progress):
        if progress.update == 5:
            limit_files(path.stat().st_size // 2)

    def limited():
        with pytest.raises(OSError, match=r"training\.pt could not be written: .*existing file is unchanged"):
            run(path, progress=fill)

    assert finish(start(limited)) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["training.pt"]
    assert torch.load(path, weights_only=True)["state"]["update"] == 4
    check_same(run(path), undisturbed)


def test_a_disk_that_is_full_already_is_found_before_the_first_update(tmp_path):
    def limited():
        limit_files(10_000)
        with pytest.raises(OSError, match=r"could not be written: .*nothing was written"):
            run(tmp_path / "training.pt", progress=pytest.fail)

    assert finish(start(limited)) == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resume": True}, "need a checkpoint"),
        ({"checkpoint_every": 5}, "need a checkpoint"),
        ({"checkpoint": "x", "checkpoint_every": 0}, "checkpoint_every must be at least 1, got 0"),
        ({"checkpoint": "/nowhere/at/all.pt"}, "the folder of checkpoint /nowhere/at/all.pt is missing"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        train_pretext_net(QUICK, TRAIN, VAL, VAL_LABELS, squares, **options)


def test_the_file_has_the_parts_that_runs_of_version_0_2_wrote(tmp_path):
    """So that those resume; whoever changes them must change the name of the format."""
    path = tmp_path / "training.pt"
    run(path, dataclasses.replace(QUICK, updates=1))
    content = torch.load(path, weights_only=True)
    assert content.keys() == {"format", "fingerprint", "environment", "state"}
    assert content["format"] == "anatpaste_aug.detection.run/1"
    settings = {field.name for field in dataclasses.fields(QUICK)}
    data = {"train_images", "val_images", "val_labels", "lung_masks"}
    assert content["fingerprint"].keys() == settings | data | {"processes"}
    parts = {"update", "net", "optimizer", "scaler", "random", "order", "loss_sum", "summed", "history", "seconds"}
    assert content["state"].keys() == parts | {"best_state", "best_update", "best_auroc"}
    assert content["state"]["random"].keys() == {"cpu", "draws"}
    assert content["state"]["history"][0].keys() == {field.name for field in dataclasses.fields(Progress)}
