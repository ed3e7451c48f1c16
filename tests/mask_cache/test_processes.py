"""Processes that work on one file at once, and some that are killed."""

import multiprocessing
import os
import random
import signal
import time

import pytest
import torch

from anatpaste_aug.mask_cache import CachedSegmenter
from anatpaste_aug.mask_cache.store import MaskStore

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")

MANY = 600


@pytest.fixture
def many():
    """uint8 600×1×33×35."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (MANY, 1, 33, 35), dtype=torch.uint8, generator=generator)


@pytest.fixture
def fork():
    """Starts functions in forked processes; those that still run at the end are killed."""
    context, started = multiprocessing.get_context("fork"), []

    def start(function, *args):
        started.append(context.Process(target=function, args=args))
        started[-1].start()
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.join()


def ended(processes):
    for process in processes:
        process.join(60)
    return [process.exitcode for process in processes]


def test_processes_create_and_fill_one_file_at_once(opened, many, fork):
    def fill(batch_size):
        opened().fill(many, batch_size=batch_size, progress=False)

    assert ended([fork(fill, batch_size) for batch_size in (5, 7, 64)]) == [0, 0, 0]
    assert torch.equal(opened()[range(MANY)], many > 127)


def test_readers_see_only_complete_masks(cache, opened, many, fork):
    def read(seed):
        generator, right = torch.Generator().manual_seed(seed), many > 127
        own = opened(segmenter=lambda images: torch.zeros_like(images, dtype=torch.bool))  # would give a wrong mask
        own._store.put = lambda *_: None
        seen = 0
        while seen < MANY:
            rows = torch.randint(0, MANY, (4,), generator=generator)
            masks = own.for_images(many[rows])
            if not all(
                torch.equal(mask, other) or not mask.any() for mask, other in zip(masks, right[rows], strict=True)
            ):
                os._exit(1)
            seen = len(own)

    readers = [fork(read, seed) for seed in (1, 2)]
    cache.fill(many, batch_size=16, progress=False)
    assert ended(readers) == [0, 0]


def test_processes_store_by_content_at_once(cache, images, expected, fork):
    def store(seed):
        order = torch.randperm(40, generator=torch.Generator().manual_seed(seed))
        for rows in order.split(4):
            if not torch.equal(CachedSegmenter(cache)(images[rows]), expected[rows]):
                os._exit(1)

    assert ended([fork(store, seed) for seed in range(3)]) == [0, 0, 0]
    cache.segmenter = None  # all masks are there
    assert torch.equal(cache.for_images(images), expected)


@pytest.mark.slow
def test_an_interrupted_fill_resumes(opened, many, fork):
    """Killed at random moments, possibly within a transaction, until one fill completes."""
    rng, before, kills = random.Random(0), 0, 0

    def slow(images):
        time.sleep(0.01)
        return images > 127

    while True:
        process = fork(lambda: opened(segmenter=slow).fill(many, batch_size=4, progress=False))
        process.join(rng.uniform(0.1, 0.4) * (1 + kills / 4))  # longer each time: forking may take seconds
        if process.exitcode == 0:
            break
        process.kill()
        process.join()
        kills += 1
        cache = opened()
        assert len(cache) >= before  # what was finished stays
        before = len(cache)
        assert not before or torch.equal(cache[range(before)], many[:before] > 127)
    assert kills
    assert torch.equal(opened()[range(MANY)], many > 127)


def test_a_writer_may_be_killed_within_a_transaction(cache, images, expected, fork):
    cache.fill(images[:8], progress=False)

    def die():
        with MaskStore(cache.path)._writing() as database:
            database.execute("PRAGMA cache_size = 1")  # the changes reach the file before they are committed
            database.execute("UPDATE masks SET bits = zeroblob(100000), checksum = 0")
            os.kill(os.getpid(), signal.SIGKILL)

    assert ended([fork(die)]) == [-signal.SIGKILL]
    assert torch.equal(cache[range(8)], expected[:8])
    cache.fill(images, progress=False)
    assert torch.equal(cache[range(40)], expected)
