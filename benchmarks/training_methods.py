"""The sources of augmented images for `training_step.py`."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import per_image
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from anatpaste_aug import AnatPasteTransform

Batches = Callable[[], tuple[Tensor, Tensor]]
_AHEAD = 2  # batches that each worker is ahead: the DataLoader's default


def _nothing() -> None:
    pass


@dataclass
class Source:
    """``batches()`` returns the next normal images and, for the second half of the batch, as many more."""

    key: str
    label: str
    batches: Batches
    drain: Callable[[], None] = _nothing  # wait until nothing is running in the background
    close: Callable[[], None] = _nothing
    ahead: int = 0  # batches that are prepared in idle time for the next steps
    batch_s: float = 0.0  # time to make one of them
    lead: int = 0  # untimed steps before a timed one, to consume these
    step_s: list[float] = field(default_factory=list)
    wait_s: list[float] = field(default_factory=list)  # of it, until the batch was there


class _Cycle:
    """Yield batches of indices endlessly, in the same order for every source."""

    def __init__(self, count: int, batch: int) -> None:
        self._count, self._batch, self._start = count, batch, 0

    def __call__(self) -> Tensor:
        index = (self._start + torch.arange(self._batch)) % self._count
        self._start = int(index[-1]) + 1
        return index


def own_sources(images: Tensor, batch: int, names: list[str], where: str) -> list[Source]:
    """Make the sources without augmentation, and with ours in the training process, on the training device."""
    transform = AnatPasteTransform()

    def source(key: str, label: str, second: Callable[[Tensor, Tensor], Tensor]) -> Source:
        cycle = _Cycle(len(images), batch)

        def batches() -> tuple[Tensor, Tensor]:
            index = cycle().to(images.device)
            normal = images[index]
            return normal, second(normal, index)

        return Source(key, label, batches)

    sources = [source("none", "without augmentation (the images twice)", lambda normal, _: normal)]
    if "ours" in names:
        sources.append(source("ours", f"ours, {where}", lambda normal, _: transform.augment(normal).image))
    if "ours_masks" in names:
        masks = torch.cat([transform.segmenter(part) for part in images.split(batch)])
        given = source(
            "ours_masks",
            f"ours, masks given, {where}",
            lambda normal, index: transform.augment(normal, masks[index]).image,
        )
        sources.append(given)
    return sources


class PerImageDataset(Dataset):
    """Each image and its augmentation by the per-image pipeline; counts the items made, across processes."""

    def __init__(self, images: Tensor, masks: Tensor | None, workers: int) -> None:
        self._images, self._masks = images.share_memory_(), None if masks is None else masks.share_memory_()
        self._made = torch.zeros(workers, dtype=torch.int64).share_memory_()  # one counter per worker
        self._random: np.random.Generator | None = None

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        worker = get_worker_info()
        if self._random is None:
            self._random = np.random.default_rng(worker.seed)
        mask = None if self._masks is None else self._masks[index, 0].numpy()
        augmented = per_image.augment(per_image.to_pil(self._images[index].numpy()), self._random, mask)
        self._made[worker.id] += 1
        return self._images[index], torch.from_numpy(np.array(augmented)).unsqueeze(0)

    @property
    def made(self) -> int:
        return int(self._made.sum())


class _Endless(Sampler[list[int]]):
    def __init__(self, count: int, batch: int) -> None:
        self._count, self._batch = count, batch

    def __iter__(self) -> Iterator[list[int]]:
        cycle = _Cycle(self._count, self._batch)
        while True:
            yield cycle().tolist()


def loader_source(images: Tensor, batch: int, workers: int, device: torch.device, masks: Tensor | None) -> Source:
    """Make the source of the per-image pipeline in the workers of a DataLoader with its default prefetching."""
    dataset = PerImageDataset(images, masks, workers)
    loader: Any = DataLoader(
        dataset,
        batch_sampler=_Endless(len(images), batch),
        num_workers=workers,
        prefetch_factor=_AHEAD,
        pin_memory=device.type == "cuda",
        multiprocessing_context="spawn",
    )
    iterator, taken = iter(loader), 0

    def batches() -> tuple[Tensor, Tensor]:
        nonlocal taken
        normal, augmented = next(iterator)
        taken += 1
        return normal.to(device, non_blocking=True), augmented.to(device, non_blocking=True)

    def drain() -> None:
        limit = time.monotonic() + 300
        while dataset.made < (taken + _AHEAD * workers) * batch:
            if time.monotonic() > limit:
                raise TimeoutError("the loader's workers have made no full queue of batches in 300 s")
            time.sleep(0.005)
        time.sleep(0.05)  # the last images are made, but may not be sent yet

    def close() -> None:
        nonlocal iterator
        iterator = None  # ends the workers

    many = f"{workers} loader worker" + "s" * (workers > 1)
    key, label = ("loader", "") if masks is None else ("loader_masks", ", masks given")
    batches()  # now the workers are there
    drain()
    start = time.perf_counter()
    batches()
    drain()
    took = time.perf_counter() - start
    return Source(key, f"per-image pipeline{label}, {many}", batches, drain, close, _AHEAD * workers, took)
