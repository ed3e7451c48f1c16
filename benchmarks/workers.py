"""A pool of processes for the methods on one image at a time.

The workers have the decoded images before timing starts; they get ranges of indices and write to shared memory.
"""

import math
import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor
from functools import cached_property
from multiprocessing.context import SpawnContext
from typing import Any, NamedTuple

import numpy as np
import per_image_nsa
import torch
from per_image import Pixels, augment, cv2, segment, segment_opencv, to_pil

from anatpaste_aug import AnatPasteTransform


class SharedArray(NamedTuple):
    """A uint8 array that parent and workers share."""

    memory: Any
    shape: tuple[int, ...]

    @classmethod
    def zeros(cls, context: SpawnContext, shape: tuple[int, ...]) -> "SharedArray":
        return cls(context.RawArray("B", math.prod(shape)), shape)

    @property
    def array(self) -> Pixels:
        return np.frombuffer(self.memory, np.uint8).reshape(self.shape)


class _Worker:
    def __init__(self, images: SharedArray, masks: SharedArray, rough: SharedArray, results: SharedArray) -> None:
        # One thread each: the processes are the parallelism.
        torch.set_num_threads(1)
        if cv2 is not None:
            cv2.setNumThreads(1)
        self.pixels = images.array
        self.images = [to_pil(pixels) for pixels in self.pixels]
        self.masks, self.rough = masks.array.view(np.bool_), rough.array.view(np.bool_)
        self.results = results.array
        self.transform = AnatPasteTransform()
        self.rng = np.random.default_rng()

    def per_image(self, index: int) -> None:
        self.results[index] = augment(self.images[index], self.rng)

    def per_image_masks(self, index: int) -> None:
        self.results[index] = augment(self.images[index], self.rng, self.masks[index])

    def per_image_segment(self, index: int) -> None:
        self.masks[index] = segment(self.images[index])

    def opencv_segment(self, index: int) -> None:
        self.rough[index] = segment_opencv(self.images[index])

    def ours_pil(self, index: int) -> None:
        self.results[index] = self.transform(self.images[index])

    def per_image_nsa(self, index: int) -> None:
        """Augment with a random other image as the donor."""
        count = len(self.pixels)
        donor = (index + self.rng.integers(1, count)) % count
        image, target = per_image_nsa.augment(self.pixels[index, 0], self.pixels[donor, 0], self.rng)
        self.results[index] = image
        self.targets[index] = target

    def clone_normal(self, index: int) -> None:
        self._clone(index, "source")

    def clone_mixed(self, index: int) -> None:
        self._clone(index, "mixed")

    def _clone(self, index: int, guidance: str) -> None:
        """Blend in a box of the next image."""
        images = self.colored
        following = images[(index + 1) % len(images)]
        self.results[index] = per_image_nsa.clone(images[index], following, self.boxes[index], guidance)[..., 0]

    @cached_property
    def targets(self) -> np.ndarray:
        return np.zeros((len(self.pixels), *self.pixels.shape[2:]), np.float32)

    @cached_property
    def boxes(self) -> np.ndarray:
        count, _, *sides = self.pixels.shape
        return per_image_nsa.boxes(count, *sides)

    @cached_property
    def colored(self) -> list[Pixels]:
        """Repeat gray to three channels, because OpenCV only clones three."""
        return [np.dstack([image[0]] * 3) for image in self.pixels]


_worker: _Worker
_all_here: threading.Barrier


def _start(all_here: threading.Barrier, *arrays: SharedArray) -> None:
    global _worker, _all_here
    _worker, _all_here = _Worker(*arrays), all_here


def _warm_up(methods: list[str]) -> None:
    _all_here.wait(timeout=600)  # a waiting worker takes no second task, so every process gets one
    for method in methods:
        _run(method, range(2))


def _run(method: str, indices: range) -> None:
    work = getattr(_worker, method)
    for index in indices:
        work(index)


class Workers:
    """A pool of processes with ``images``, uint8 N×C×H×W with N ≥ 2, that run the methods of `_Worker`.

    ``methods`` are run twice in each process to warm up.
    """

    def __init__(self, images: Pixels, processes: int, methods: list[str]) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would inherit torch's threads, and a CUDA context
        count, channels, *sides = images.shape
        self.processes, self.count = processes, count
        held = SharedArray.zeros(context, images.shape)
        held.array[:] = images
        self.masks = SharedArray.zeros(context, (count, *sides))
        self.rough_masks = SharedArray.zeros(context, (count, *sides))
        results = SharedArray.zeros(context, (count, *sides) if channels == 1 else (count, *sides, channels))
        arrays = (context.Barrier(processes), held, self.masks, self.rough_masks, results)
        self._pool = ProcessPoolExecutor(processes, context, _start, arrays)
        list(self._pool.map(_warm_up, [methods] * processes))

    def run(self, method: str, *, single: bool = False) -> None:
        """Process every image once; ``single`` uses only one of the processes."""
        ranges = [range(self.count)] if single else list(_shrinking(self.count, self.processes))
        list(self._pool.map(_run, [method] * len(ranges), ranges))

    def close(self) -> None:
        self._pool.shutdown()


def _shrinking(count: int, processes: int) -> list[range]:
    """Split into ranges that get smaller toward the end, for few messages and a balanced load."""
    ranges, start = [], 0
    while start < count:
        stop = start + max((count - start) // (2 * processes), 1)
        ranges.append(range(start, stop))
        start = stop
    return ranges
