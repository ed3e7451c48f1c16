"""Poisson blending of a batch against OpenCV's ``seamlessClone``, image by image in worker processes.

    python benchmarks/poisson.py --rounds 9 --out runs/poisson.json

Boxes are drawn as AnatPaste draws them: 2 to 15 % of the area, sides of 0.3 to 1/0.3. OpenCV goes from uint8 to uint8
and takes three channels only, so that a grey image costs it as much as a colored one. Against it: one channel from
uint8 to uint8, one channel in float32, and three channels in float32.
"""

import argparse
import json
import math
import multiprocessing
import statistics
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from measuring import Method, OtherWork, cores, environment, interleave, say

from anatpaste_aug.functional.poisson import poisson_blend

MODES = {"source": cv2.NORMAL_CLONE, "mixed": cv2.MIXED_CLONE}
KINDS = ["uint8, 1 channel", "float32, 1 channel", "float32, 3 channels"]


def drawn(count: int, side: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Targets and sources, uint8 N×H×W, and boxes N×4; the same at each call."""
    rng = np.random.default_rng(0)
    noise = rng.normal(128, 40, (2 * count, side, side)).clip(0, 255).astype(np.uint8)
    images = np.stack([cv2.GaussianBlur(image, (0, 0), 2) for image in noise])
    area = rng.uniform(0.02, 0.15, count) * side**2
    ratio = np.exp(rng.uniform(math.log(0.3), -math.log(0.3), count))
    sides = np.stack([np.sqrt(area * ratio), np.sqrt(area / ratio)], 1).round().clip(4, side).astype(np.int64)
    return images[:count], images[count:], np.concatenate([rng.integers(0, side - sides + 1), sides], 1)


def clone(target: npt.NDArray, source: npt.NDArray, box: npt.NDArray, mode: int) -> npt.NDArray:
    """One image H×W×3 by OpenCV."""
    top, left, height, width = (int(edge) for edge in box)
    patch, mask = source[top : top + height, left : left + width], np.full((height, width), 255, np.uint8)
    return cv2.seamlessClone(patch, target, mask, (left + width // 2, top + height // 2), mode)


def blend(target: torch.Tensor, source: torch.Tensor, box: torch.Tensor, guidance: str) -> torch.Tensor:
    """A batch by this package, truncated as OpenCV does."""
    blended = poisson_blend(target.float(), source.float(), box, guidance=guidance)  # type: ignore[arg-type]
    return blended.clamp_(0, 255).to(torch.uint8)


def _start(count: int, side: int) -> None:
    global _targets, _sources, _boxes
    cv2.setNumThreads(1)  # the processes are the parallelism
    targets, sources, _boxes = drawn(count, side)
    _targets, _sources = ([np.dstack([image] * 3) for image in images] for images in (targets, sources))


def _clone_some(mode: int, begin: int, end: int) -> None:
    for i in range(begin, end):
        clone(_targets[i], _sources[i], _boxes[i], mode)


def _clone_all(pool: ProcessPoolExecutor, count: int, mode: int) -> None:
    begins = range(0, count, 4)
    ends = [min(begin + 4, count) for begin in begins]
    list(pool.map(_clone_some, [mode] * len(begins), begins, ends))


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=64, help="images of a batch")
    parser.add_argument("--side", type=int, default=256, help="their height and width")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--round-seconds", type=float, default=0.5, help="least time of a method in a round")
    parser.add_argument("--threads", type=int, default=cores(), help="threads here, and processes of OpenCV")
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)

    targets, sources, boxes = (torch.from_numpy(array) for array in drawn(options.count, options.side))
    context, methods = multiprocessing.get_context("spawn"), []

    def add(key: str, label: str, run: Callable[[], object]) -> None:
        methods.append(Method(key, label, options.count, run, options.count))

    other = OtherWork()
    with ProcessPoolExecutor(options.threads, context, _start, (options.count, options.side)) as pool:
        for guidance, mode in MODES.items():
            add(f"{guidance} cv2", "OpenCV", partial(_clone_all, pool, options.count, mode))
            grey = [batch[:, None] for batch in (targets, sources)]
            color = [batch.float().repeat(1, 3, 1, 1) for batch in grey]
            add(f"{guidance} {KINDS[0]}", KINDS[0], partial(blend, *grey, boxes, guidance))
            for kind, images in zip(KINDS[1:], ([batch.float() for batch in grey], color), strict=True):
                add(f"{guidance} {kind}", kind, partial(poisson_blend, *images, boxes, guidance=guidance))
        interleave(methods, options.rounds, options.round_seconds, say)

    rates = {method.key: method.rates for method in methods}
    result = {"environment": environment(torch.device("cpu")), "other_work": other.share(), "ratios": {}}
    result["methods"] = {method.key: method.summary() for method in methods}
    for guidance in MODES:
        for kind in KINDS:
            ours, theirs = rates[f"{guidance} {kind}"], rates[f"{guidance} cv2"]
            ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
            middle = statistics.median(ratios)
            result["ratios"][f"{guidance} {kind}"] = {"median": middle, "min": min(ratios), "max": max(ratios)}
            print(
                f"{guidance:7} {kind:19}: {statistics.median(ours):7.0f} images/s, "
                f"{middle:5.1f} times OpenCV's ({min(ratios):.1f} to {max(ratios):.1f})"
            )
    if result["other_work"] is not None:
        print(f"other programs took {result['other_work']:.0%} of the processors' time")
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=1))
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
