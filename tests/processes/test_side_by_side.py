"""One transform in many threads, and in the processes of one DDP group."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.distributed as dist
from helpers.batches import batch
from helpers.forks import torchrun
from helpers.tiny.task import CONFIG, TRAIN, VAL, VAL_LABELS

from anatpaste_aug import AnatPasteTransform, CutPasteTransform, LungFieldSegmenter
from anatpaste_aug.detection import process_group
from anatpaste_aug.detection.models import pretext_training as trainer
from anatpaste_aug.detection.models.pretext_training import train_pretext_net
from anatpaste_aug.detection.training.workers import Workers
from anatpaste_aug.mask_cache import CachedSegmenter, MaskCache

THREADS, CALLS = 8, 24


def at_once(function, items):
    """The results of 8 threads that call one function."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(function, items))


def parts(result):
    return [part for part in (*result[:3], *result.params) if part is not None]


def same(found, expected):
    return all(torch.equal(one, other) for one, other in zip(parts(found), parts(expected), strict=True))


def batches(size=(64, 64)):
    """Batches of many sizes, so that threads with shared state would disturb one another."""
    return [
        batch(1 + i % 4, channels=1 + 2 * (i % 2), size=(size[0] + 8 * (i % 3), size[1]), seed=i) for i in range(CALLS)
    ]


@pytest.mark.parametrize(
    "transform",
    [
        AnatPasteTransform(p=0.8),
        AnatPasteTransform(segmenter=LungFieldSegmenter()),
        AnatPasteTransform(segmentation=False),
    ],
    ids=["default", "lung fields", "no segmentation"],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_threads_may_share_a_transform(transform, threads):
    """With uniforms, and with the parameters of an earlier call: bit for bit; also where each call has two threads."""
    images = batches()
    uniforms = [
        AnatPasteTransform().draw_uniforms(len(one), generator=torch.Generator().manual_seed(i))
        for i, one in enumerate(images)
    ]
    expected = [transform.augment(one, uniforms=u) for one, u in zip(images, uniforms, strict=True)]
    state = torch.get_rng_state()
    torch.set_num_threads(threads)
    try:
        drawn = at_once(lambda i: transform.augment(images[i], uniforms=uniforms[i]), range(CALLS))
        replayed = at_once(lambda i: transform.augment(images[i], params=expected[i].params), range(CALLS))
    finally:
        torch.set_num_threads(1)
    assert all(map(same, drawn, expected))
    assert all(map(same, replayed, expected))
    assert torch.equal(torch.get_rng_state(), state)  # given numbers are all that a call takes


def test_threads_with_their_own_generators_repeat():
    images, transform = batches(), CutPasteTransform(variant="union")

    def augment(i):
        return transform.augment(images[i], generator=torch.Generator().manual_seed(i)).image

    assert all(map(torch.equal, at_once(augment, range(CALLS)), map(augment, range(CALLS))))


def test_threads_may_share_a_cache(tmp_path):
    images = [batch(2, seed=i % 12) for i in range(CALLS)]
    cache = MaskCache(tmp_path / "lungs.sqlite")
    segmenter = CachedSegmenter(cache)
    expected = [cache.segmenter(one) for one in images]
    assert all(map(torch.equal, at_once(segmenter, images), expected))
    cache.segmenter = None  # all masks are there
    assert all(map(torch.equal, at_once(segmenter, images), expected))


# the processes of a group

ALIKE = TRAIN[:1].expand(20, -1, -1, -1).contiguous()  # so that images differ only by the augmentation


def augmented_rows(folder, name):
    """Trains on equal images and keeps the augmented ones that this process's network sees."""
    seen = []

    def keep(images, channels):
        seen.append(images.chunk(2)[1].clone())
        return prepare(images, channels)

    prepare, trainer.prepare_inputs = trainer.prepare_inputs, keep
    try:
        config = dataclasses.replace(CONFIG, updates=3, updates_per_epoch=3, jitter=0.0)
        train_pretext_net(config, ALIKE, VAL, VAL_LABELS, AnatPasteTransform(segmentation=False).augment)
    finally:
        trainer.prepare_inputs = prepare
    torch.save(torch.cat(seen), folder / f"{name}.pt")


def rows(folder, name):
    return [tuple(row.flatten().tolist()) for row in torch.load(folder / f"{name}.pt", weights_only=True)]


@pytest.mark.slow
@pytest.mark.trains_in_forks
def test_processes_of_one_training_share_its_augmentations(tmp_path):
    def run():
        with process_group("cpu"):
            augmented_rows(tmp_path, f"rank {Workers.current().rank}")

    augmented_rows(tmp_path, "alone")
    assert torchrun(2, run) == [0, 0]
    alone, first, second = (rows(tmp_path, name) for name in ("alone", "rank 0", "rank 1"))
    assert len(set(alone)) == len(alone) == 24
    assert not set(first) & set(second)
    assert sorted(first + second) == sorted(alone)


@pytest.mark.trains_in_forks
def test_processes_draw_by_their_seeds(tmp_path):
    """As always in torch, only the seed of a process matters."""

    def run():
        with process_group("cpu"):
            for name, seed in (("own", 5 + dist.get_rank()), ("one", 5)):
                torch.manual_seed(seed)
                image = AnatPasteTransform().augment(batch(1, size=(64, 64)).expand(6, -1, -1, -1)).image
                torch.save(image, tmp_path / f"{name} {dist.get_rank()}.pt")

    assert torchrun(2, run) == [0, 0]
    assert not set(rows(tmp_path, "own 0")) & set(rows(tmp_path, "own 1"))
    assert rows(tmp_path, "one 0") == rows(tmp_path, "one 1")
