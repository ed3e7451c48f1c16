"""Real radiographs and recordings, loaded once per session; tests that need them are skipped without them."""

import json
import os
from typing import NamedTuple

import numpy as np
import pytest
import torch
from helpers.guards import DeviceGuard, fake_device
from helpers.real_data import DATA
from PIL import Image

GOLDEN = DATA.parent / "golden"


# All tensors are small: more threads would only wait for one another.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for subprocesses

_slow_left_out = pytest.StashKey[int]()


def pytest_collection_modifyitems(items):
    """Tests that train in forked processes come first.

    torch raises an error in forks after a backward pass on an accelerator, even a fake one.
    """
    items.sort(key=lambda item: item.get_closest_marker("trains_in_forks") is None)


def pytest_runtest_setup(item):
    """Tests marked ``cuda`` need a device; `benchmarks/on_gpu.sh` runs them all."""
    if item.get_closest_marker("cuda") is not None and not torch.cuda.is_available():
        pytest.skip("no CUDA device")


def pytest_deselected(items):
    """Count the slow tests that the default selection leaves out."""
    if items:
        stash, slow = items[0].config.stash, sum(item.get_closest_marker("slow") is not None for item in items)
        stash[_slow_left_out] = stash.get(_slow_left_out, 0) + slow


def pytest_sessionfinish(session):
    """Send the count of a pytest-xdist worker to the main process; all workers collect the same tests."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["slow_left_out"] = session.config.stash.get(_slow_left_out, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Store the count of a worker."""
    node.config.stash[_slow_left_out] = getattr(node, "workeroutput", {}).get("slow_left_out", 0)


def pytest_terminal_summary(terminalreporter):
    """Print the number of slow tests that were not run."""
    slow = terminalreporter.config.stash.get(_slow_left_out, 0)
    if slow:
        terminalreporter.write_line(f"{slow} slow tests not run; run them with -n 0 -m slow")


@pytest.fixture(autouse=True)
def same_random_numbers():
    """Seed every test, so that its result does not depend on the tests before it.

    Torch has one thread: a fork of a process with more would wait for threads that it does not have.
    """
    torch.manual_seed(0)
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)


class Radiographs(NamedTuple):
    """The images of lung_masks: names, uint8 B×1×256×256, and the human lung masks as boolean B×1×256×256."""

    names: list[str]
    images: torch.Tensor
    human: torch.Tensor


class Recordings(NamedTuple):
    """Results of the paper's published code: masks by name, and augmentations with their parameters."""

    masks: dict[str, np.ndarray]
    records: list[dict]
    augmented: np.ndarray


@pytest.fixture(scope="session")
def radiographs():
    folder = DATA / "lung_masks"
    if not folder.is_dir():
        pytest.skip(f"no radiographs at {folder} (set ANATPASTE_DATA)")
    paths = sorted((folder / "images").glob("*.png"))
    assert len(paths) == 150
    images = np.stack([np.asarray(Image.open(path).convert("L")) for path in paths])
    human = np.stack([np.asarray(Image.open(folder / "masks" / path.name).convert("L")) > 127 for path in paths])
    names = [path.stem for path in paths]
    return Radiographs(names, torch.from_numpy(images).unsqueeze(1), torch.from_numpy(human).unsqueeze(1))


@pytest.fixture(scope="session")
def recordings():
    if not (GOLDEN / "paste.npz").is_file():
        pytest.skip(f"no recordings at {GOLDEN} (beside ANATPASTE_DATA)")
    segmentation = np.load(GOLDEN / "segmentation.npz")
    masks = np.unpackbits(segmentation["masks"], axis=1).reshape(-1, 256, 256).astype(bool)
    by_name = dict(zip(segmentation["names"].tolist(), masks, strict=True))
    records = json.loads((GOLDEN / "paste.json").read_text())
    return Recordings(by_name, records, np.load(GOLDEN / "paste.npz")["augmented"])


@pytest.fixture
def guarded():
    """Fake tensors on ``device="cuda"``; operations that would wait for a device are errors."""
    with fake_device(), DeviceGuard():
        yield


@pytest.fixture(params=[True, False], ids=["kernels", "torch code"])
def kernels(request, monkeypatch):
    """Whether the CPU's kernels run, or torch's code in their place."""
    if request.param:
        pytest.importorskip("numba", reason="needs Numba: pip install numba")
    monkeypatch.setattr("anatpaste_aug.functional._numba.HAS_NUMBA", request.param)
    return request.param


@pytest.fixture(params=["kernels", "windows", "whole frames"])
def path(request, monkeypatch):
    """What the CPU runs with Numba and without, and what accelerators run, computed here."""
    if request.param == "kernels":
        pytest.importorskip("numba", reason="needs Numba: pip install numba")
        return
    monkeypatch.setattr("anatpaste_aug.functional._numba.HAS_NUMBA", False)
    if request.param == "whole frames":
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)


@pytest.fixture(scope="session")
def finished_runs(tmp_path_factory):
    """The runs of `helpers.tiny.study`."""
    from helpers.tiny.study import train_all

    return train_all(tmp_path_factory.mktemp("study"))
