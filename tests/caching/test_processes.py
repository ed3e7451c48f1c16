"""Writers that are killed at any moment, and processes that work on one file at once."""

import multiprocessing
import os
import random
import select
import signal
import time

import numpy as np
import pytest
import torch
from torch.utils.data._utils.worker import ManagerWatchdog

from anatpaste_aug.caching import CachedSegmenter, MaskCache, MaskCacheError, pack_masks

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")

MANY = 1500


@pytest.fixture
def many():
    """uint8 1500×1×33×35, and a cache's settings for them."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (MANY, 1, 33, 35), dtype=torch.uint8, generator=generator)


def finished(cache):
    return set(range(len(cache))) - set(cache.missing().tolist())


@pytest.fixture
def killing(monkeypatch):
    """Returns a function: this process dies at its n-th write, before any byte of it or after half of them."""
    real = os.pwrite

    def arm(number, half):
        count = 0

        def pwrite(file, data, offset):
            nonlocal count
            count += 1
            if count == number:
                if half:
                    real(file, data[: len(data) // 2], offset)
                os.kill(os.getpid(), signal.SIGKILL)
            return real(file, data, offset)

        monkeypatch.setattr(os, "pwrite", pwrite)

    return arm


def died(fork, function, *args):
    process = fork(function, *args)
    process.join(60)
    return process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("half", [False, True])
def test_a_writer_may_die_at_every_single_write(opened, images, expected, fork, killing, half):
    """Three masks of three writes each, in a batch of two and one of one: nine moments."""
    done = []
    for moment in range(1, 11):
        cache = opened()
        before = finished(cache)
        todo = cache.missing()[:3].tolist()

        def fill(cache=cache, todo=todo, moment=moment):
            killing(moment, half)
            cache.fill(images, indices=todo, batch_size=2, progress=False)

        assert died(fork, fill) == (moment < 10)
        new = finished(cache) - before
        assert before <= finished(cache)
        assert new == set(todo[: len(new)])
        done.append(len(new))
        rows = sorted(finished(cache))
        assert torch.equal(cache[rows], expected[rows])
    # Two masks (4 writes), their words (2), one mask (2 writes), its word. A word is whole or counts for nothing.
    assert done == [0, 0, 0, 0, 0, 1, 2, 2, 2, 3]
    cache.fill(images, progress=False)
    assert torch.equal(cache[:], expected)


@pytest.mark.parametrize("half", [False, True])
def test_a_writer_by_content_may_die_at_every_single_write(opened, images, expected, fork, killing, half):
    """It dies with the lock in its hands, which must not stop the others."""
    for moment in range(1, 11):
        cache = opened(key="content")
        rows = slice(3 * moment, 3 * moment + 3)

        def store(cache=cache, rows=rows, moment=moment):
            killing(moment, half)
            CachedSegmenter(cache)(images[rows])

        assert died(fork, store) == (moment < 10)
        packed, found = cache.table.find(cache.storage.keys(cache.storage.committed()))
        assert found.all()
        stored = {mask.tobytes() for mask in packed}
        assert stored <= {mask.tobytes() for mask in pack_masks(expected[3 : rows.stop]).numpy()}
        assert torch.equal(CachedSegmenter(cache)(images[rows]), expected[rows])
    cache.for_images(images[3:33])


@pytest.fixture
def slow_writes(monkeypatch):
    """A disk that takes 2 ms for each write: the whole filling takes far longer than a kill waits on any machine."""
    real = os.pwrite

    def pwrite(file, data, offset):
        time.sleep(0.002)
        return real(file, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.usefixtures("slow_writes")
def test_a_filling_that_is_killed_at_random_loses_nothing(opened, many, fork, workers):
    rng, done, kills = random.Random(workers), set(), 0
    for _ in range(8):
        cache = opened(count=MANY)
        process = fork(lambda cache=cache: cache.fill(many, batch_size=8, workers=workers, progress=False))
        deadline = time.monotonic() + 30
        while len(cache.storage.committed()) == len(done) and process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.001)  # until it has begun
        time.sleep(rng.random() * 0.03)
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
        now = finished(cache)
        assert now > done or len(now) == MANY
        if not workers:  # workers that have lost their parent write for a moment more
            assert now == set(cache.storage.committed().tolist())
        rows = sorted(now)
        assert torch.equal(cache[rows], many[rows] > 127)
        done = now
    assert kills >= 4
    cache.fill(many, progress=False)
    assert torch.equal(cache[:], many > 127)


def test_workers_end_with_a_parent_that_is_killed(opened, many, fork, monkeypatch):
    """Here while they start, before torch watches the parent. A pipe closes with its last user."""
    begin = ManagerWatchdog.__init__

    def after_the_end(watchdog):
        parent = multiprocessing.parent_process()
        os.kill(parent.pid, signal.SIGKILL)
        while os.getppid() == parent.pid:
            time.sleep(0.001)
        begin(watchdog)

    monkeypatch.setattr(ManagerWatchdog, "__init__", after_the_end)
    cache = opened(count=MANY)
    end, held = os.pipe()
    assert died(fork, lambda: cache.fill(many, workers=1, progress=False))
    os.close(held)
    assert select.select([end], [], [], 30)[0], "a worker still lives"
    os.close(end)


def test_readers_see_whole_masks_while_others_fill(opened, many, fork):
    """Two fill the same slots from both ends, two read: what they get is right, or said to be missing."""
    cache = opened(count=MANY)

    def read(seed):
        own, rng, hits = opened(count=MANY), np.random.default_rng(seed), 0
        while hits < 300:
            rows = rng.integers(0, MANY, 4)
            try:
                if not torch.equal(own[rows], many[rows] > 127):
                    os._exit(1)
                hits += 1
            except MaskCacheError as error:
                if "checksums" in str(error):
                    os._exit(2)
        os._exit(0)

    def fill(step):
        opened(count=MANY).fill(many, indices=range(MANY)[::step], batch_size=16, progress=False)
        os._exit(0)

    processes = [fork(read, 1), fork(read, 2), fork(fill, 1), fork(fill, -1)]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert torch.equal(cache[:], many > 127)


def test_one_file_is_created_by_many_at_once(opened, images, expected, fork):
    """If each renamed a file of its own into place, all but the last would fill one that nobody finds."""

    def share(number):
        opened().fill(images, indices=range(number, 40, 4), progress=False)
        os._exit(0)

    processes = [fork(share, number) for number in range(4)]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert torch.equal(opened()[:], expected)


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_many_store_by_content_at_once(opened, settings, images, expected, fork, kind):
    """They hold the same images in other orders: each image gets one slot, and all of them fit."""
    if kind == "file":
        cache = opened(key="content")
    else:
        del settings["fingerprint"]
        cache = MaskCache.in_memory(key="content", **settings)

    def store(seed):
        cached, order = CachedSegmenter(cache), np.random.default_rng(seed).permutation(40)
        for start in range(0, 40, 4):
            cached(images[order[start : start + 4]])
        os._exit(0)

    processes = [fork(store, seed) for seed in range(4)]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert len(cache.missing()) == 0
    assert torch.equal(cache.for_images(images), expected)


@pytest.mark.parametrize("key", ["index", "content"])
def test_a_worker_that_is_killed_is_told_and_what_was_finished_stays(opened, images, expected, key):
    """As the system does when memory runs out. The others end, too."""

    class Fatal:
        def __len__(self):
            return 40

        def __getitem__(self, index):
            if index == 30:
                os.kill(os.getpid(), signal.SIGKILL)
            return images[index]

    cache = opened(key=key)
    with pytest.raises(MaskCacheError, match=r"a worker process has died, .*; what was finished is kept: fill again"):
        cache.fill(Fatal(), workers=2, batch_size=5, progress=False)
    assert not multiprocessing.active_children()
    # Batches 0 to 3 had been handed back before the one with image 30 was handed out.
    assert len(finished(cache)) >= 10
    cache.fill(images, workers=2, progress=False)
    assert torch.equal(cache.for_images(images), expected)
