"""Two processes that share a run, against one process that does the same sums."""

import dataclasses
import signal
from functools import partial

import pytest
import torch
from helpers.forks import kill_self, torchrun
from helpers.tiny.task import CONFIG, TRAIN, VAL, VAL_LABELS, squares
from torch import nn

from anatpaste_aug.detection import PretextConfig, process_group
from anatpaste_aug.detection.models.pretext_net import PretextNet, extract_features
from anatpaste_aug.detection.models.pretext_training import train_pretext_net
from anatpaste_aug.detection.training.result import load_result, save_result
from anatpaste_aug.detection.training.workers import Workers, main_first

pytestmark = pytest.mark.trains_in_forks

QUICK = dataclasses.replace(CONFIG, updates=6, updates_per_epoch=3)
NORMS = nn.BatchNorm1d, nn.BatchNorm2d


def norms(net):
    return [module for module in net.modules() if isinstance(module, NORMS)]


def freeze_norms(monkeypatch):
    """BatchNorm with the statistics it starts with."""
    unfrozen = PretextNet.forward

    def forward(net, x):
        for norm in norms(net):
            norm.eval()
        return unfrozen(net, x)

    monkeypatch.setattr(PretextNet, "forward", forward)


def normalise_halves(monkeypatch):
    """BatchNorm on each process's part by itself, with the running statistics of the first one's."""
    whole = PretextNet.forward

    def forward(net, x):
        normal, augmented = x.chunk(2)
        halves = [torch.cat(parts) for parts in zip(normal.chunk(2), augmented.chunk(2), strict=True)]
        momenta = [norm.momentum for norm in norms(net)]
        first = whole(net, halves[0])
        for norm in norms(net):
            norm.momentum = 0.0
        second = whole(net, halves[1])
        for norm, momentum in zip(norms(net), momenta, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked -= 1
        (a, b), (c, d) = first.chunk(2), second.chunk(2)
        return torch.cat([a, c, b, d])

    monkeypatch.setattr(PretextNet, "forward", forward)


def run(folder, config=QUICK, **options):
    """One process of several: each keeps what it got."""
    with process_group("cpu"):
        result = train_pretext_net(config, TRAIN, VAL, VAL_LABELS, squares, **options)
        rank = Workers.current().rank
    save_result(folder / f"result{rank}.pt", result)


def results(folder):
    return [load_result(folder / f"result{rank}.pt", PretextConfig)[0] for rank in range(2)]


def check_close(found, expected, tolerance):
    for name in ("best_state", "last_state"):
        for key, value in getattr(expected, name).items():
            torch.testing.assert_close(
                getattr(found, name)[key], value, rtol=tolerance, atol=tolerance, msg=lambda text, k=key: f"{k}: {text}"
            )
    assert (found.best_update, found.best_auroc) == (expected.best_update, expected.best_auroc)
    for step, other in zip(found.history, expected.history, strict=True):
        assert step.loss == pytest.approx(other.loss, abs=tolerance)
        assert step.val_auroc == other.val_auroc


@pytest.mark.slow
@pytest.mark.parametrize("arrange", [freeze_norms, normalise_halves])
def test_two_processes_end_with_the_weights_of_one(arrange, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        arrange(patch)
        expected = train_pretext_net(QUICK, TRAIN, VAL, VAL_LABELS, squares)
        if arrange is freeze_norms:
            assert torchrun(2, run, tmp_path) == [0, 0]
    if arrange is normalise_halves:
        assert torchrun(2, run, tmp_path) == [0, 0]
    for found in results(tmp_path):
        check_close(found, expected, 1e-5)
        with pytest.raises(AssertionError):  # the arrangement is what makes them equal
            check_close(found, train_pretext_net(QUICK, TRAIN, VAL, VAL_LABELS, squares), 1e-5)
    check_close(*results(tmp_path), 0)


@pytest.mark.slow
def test_two_processes_that_are_killed_go_on_exactly(tmp_path):
    path = tmp_path / "training.pt"
    options = {"checkpoint": path, "checkpoint_every": 2, "resume": True}

    def die(progress):
        if progress.update == 5:
            kill_self()

    assert torchrun(2, run, tmp_path) == [0, 0]
    expected = results(tmp_path)[0]
    assert torchrun(2, lambda: run(tmp_path, **options, progress=die)) == [-signal.SIGKILL] * 2
    assert torch.load(path, weights_only=True)["state"]["update"] == 4
    assert torchrun(2, lambda: run(tmp_path, **options)) == [0, 0]
    for found in results(tmp_path):
        check_close(found, expected, 0)
    with pytest.raises(ValueError, match="processes is 2 there and 1 here"):
        train_pretext_net(QUICK, TRAIN, VAL, VAL_LABELS, squares, **options)


def test_processes_that_differ_and_uneven_shares_are_refused(tmp_path):
    def other_seeds():
        with process_group("cpu"):
            config = dataclasses.replace(QUICK, seed=Workers.current().rank)
            with pytest.raises(
                ValueError, match="process 1 has another run than process 0: seed is 0 there and 1 here"
            ):
                train_pretext_net(config, TRAIN, VAL, VAL_LABELS, squares, checkpoint=tmp_path / "training.pt")
            with pytest.raises(ValueError, match="batch_size 7 cannot be divided evenly among 2 processes"):
                train_pretext_net(dataclasses.replace(QUICK, batch_size=7), TRAIN, VAL, VAL_LABELS, squares)

    assert torchrun(2, other_seeds) == [0, 0]
    assert not list(tmp_path.iterdir())


def test_features_are_shared_and_the_main_process_goes_first(tmp_path):
    features = partial(extract_features, PretextNet("test_byobnet"), batch_size=4)
    alone = Workers().map_rows(features, TRAIN[:7])

    def check():
        with process_group("cpu") as main:
            with main_first():
                assert main != (tmp_path / "found").exists()
                (tmp_path / "found").touch()
            for count in (1, 7):
                found = Workers.current().map_rows(features, TRAIN[:count])
                torch.testing.assert_close(found, alone[:count], rtol=0, atol=1e-6)

    assert torchrun(2, check) == [0, 0]


def test_one_gpu_for_all_is_refused(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match=r"name the device 'cuda', not 'cuda:1'"), process_group("cuda:1"):
        pass


def test_synchronised_statistics_are_asked_for_on_gpus_and_do_not_show_in_the_weights():
    net = nn.SyncBatchNorm.convert_sync_batchnorm(PretextNet("test_byobnet"))
    assert not {type(norm) for norm in net.modules()} & {*NORMS}
    assert PretextNet("test_byobnet").state_dict().keys() == net.state_dict().keys()


@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize("moment", ["training", "reading"])
def test_a_process_that_is_killed_is_told_by_the_other(lost, moment, tmp_path):
    """Which must not wait for it: without torchrun, nobody else would end it."""

    def die(progress):
        if progress.update == 3 and Workers.current().rank == lost:
            kill_self()

    def share():
        with process_group("cpu"):
            torch.distributed.barrier()  # both are there; one that is killed earlier is the rendezvous' to tell
            with main_first():
                if moment == "reading" and Workers.current().rank == lost:
                    kill_self()
            train_pretext_net(QUICK, TRAIN, VAL, VAL_LABELS, squares, progress=die)

    def survive():
        with pytest.raises(
            ConnectionError,
            match=f"process {1 - lost} lost its connection: a peer process died.*resume from the checkpoint",
        ):
            share()

    codes = torchrun(2, survive, end_together=False)
    assert codes[lost] == -signal.SIGKILL
    assert codes[1 - lost] == 0
