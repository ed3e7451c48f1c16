"""The methods of `throughput.py`, and the baseline of each of ours."""

import argparse
import math
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import kornia_parts
import numpy as np
import per_image_nsa
import torch
from measuring import Method, synchronize, without_numba
from memory import peak_bytes
from workers import Workers

from anatpaste_aug import AnatPasteTransform, CutPasteTransform, FPITransform, NSATransform, PIITransform
from anatpaste_aug.functional import poisson_blend
from anatpaste_aug.functional.poisson import Guidance

KEYS = {
    "a": "per_image",
    "b": "per_image_masks",
    "c": "ours",
    "d": "ours_masks",
    "e": "ours_pil",
    "f": "ours_pil_workers",
    "g": "per_image_single",
    "h": "ours_compiled",
    "i": "ours_plain",
    "j": "ours_plain_masks",
    "k1": "kornia",
    "k2": "kornia_exact",
    "n1": "per_image_nsa",
    "n2": "nsa",
    "p1": "clone_normal",
    "p2": "poisson_normal",
    "p3": "clone_mixed",
    "p4": "poisson_mixed",
    "r1": "cutpaste",
    "r2": "fpi",
    "r3": "pii",
    "s1": "per_image_segment",
    "s2": "opencv_segment",
    "s3": "ours_segment",
}
# Slow methods, to compile or to run, and the other recipes: measured in the standard case unless requested.
SLOW = {"h", "i", "j", "k1", "k2", "n1", "n2", "p1", "p2", "p3", "p4", "r1", "r2", "r3"}
OPENCV = {"n1", "p1", "p3", "s2"}  # methods that need OpenCV
GRAY = {"n1", "n2", "p1", "p2", "p3", "p4"}  # methods whose baseline supports only one channel
FOREIGN = {"n2", "r2", "r3"}  # methods that cut patches from another image of the batch
OURS_IN_THIS_PROCESS = {"c", "d", "h", "i", "j", "k1", "k2", "n2", "p2", "p4", "r1", "r2", "r3", "s3"}

# Methods that run AnatPaste, to be compared with a.
ANATPASTE = {KEYS[letter] for letter in ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k1", "k2")}

OURS = {key for key in KEYS.values() if key.startswith("ours")} | {
    KEYS[x] for x in ("n2", "p2", "p4", "r1", "r2", "r3")
}
OURS.add("ours_standard")

# Comparisons like for like: ours, and its baseline.
PAIRS = [
    ("ours", "per_image"),
    ("ours", "kornia"),
    ("ours", "kornia_exact"),
    ("ours_masks", "per_image_masks"),
    ("ours_pil", "per_image_single"),
    ("ours_pil_workers", "per_image"),
    ("ours_compiled", "per_image"),
    ("ours_compiled", "ours"),
    ("ours_plain", "per_image"),
    ("ours_plain_masks", "per_image_masks"),
    ("nsa", "per_image_nsa"),
    ("poisson_normal", "clone_normal"),
    ("poisson_mixed", "clone_mixed"),
    ("ours_segment", "per_image_segment"),
    ("ours_segment", "opencv_segment"),
]
# The same method on other batches, which is not a comparison with a baseline.
SCALING = ("ours", "ours_standard")

_KORNIA_IMAGES = 8  # per call, at most: its labeling takes a tenth of a second per image

# Methods on one image at a time: label, method of the workers, and whether it uses a single process.
_POOLED = {
    "a": ("a  per-image pipeline", "per_image", False),
    "b": ("b  per-image pipeline, masks given", "per_image_masks", False),
    "e": ("e  ours, one PIL image at a time", "ours_pil", True),
    "f": ("f  ours, one PIL image at a time", "ours_pil", False),
    "g": ("g  per-image pipeline", "per_image", True),
    "n1": ("n1 per-image NSA", "per_image_nsa", False),
    "p1": ("p1 OpenCV's seamlessClone, normal", "clone_normal", False),
    "p3": ("p3 OpenCV's seamlessClone, mixed", "clone_mixed", False),
    "s1": ("s1 per-image segmentation", "per_image_segment", False),
    "s2": ("s2 OpenCV segmentation", "opencv_segment", False),
}


def worker_names(letters: set[str]) -> list[str]:
    """Return the workers' methods that these letters need; the first makes the masks for b."""
    return list(
        dict.fromkeys(["per_image_segment", *(name for key, (_, name, _) in _POOLED.items() if key in letters)])
    )


def worker_methods(workers: Workers, letters: set[str]) -> list[Method]:
    """Make the methods on one image at a time."""
    many = f"{workers.processes} process" + "es" * (workers.processes > 1)
    return [
        Method(
            KEYS[letter],
            f"{label}, {'1 process' if single else many}",
            workers.count,
            partial(workers.run, name, single=single),
        )
        for letter, (label, name, single) in _POOLED.items()
        if letter in letters
    ]


def batched_methods(
    images: torch.Tensor, batch: int, letters: set[str], args: argparse.Namespace
) -> tuple[list[Method], dict[str, str]]:
    """Make the methods on batches, warmed up on the device; also return those that failed, with the reason."""
    device = torch.device(args.device)
    transform = AnatPasteTransform()
    threads = f"{args.threads} thread{'s' * (args.threads > 1)}" if device.type == "cpu" else device.type
    batches = in_batches(images, batch, device)
    masks = [transform.segmenter(part) for part in batches] if letters & {"d", "j"} else []

    def method(letter: str, label: str, call: Callable[..., object], *columns: list[torch.Tensor]) -> Method:
        return batched(KEYS[letter], f"{letter:2} {label}, {threads}", call, *columns)

    methods = []
    if "c" in letters:
        methods.append(method("c", "ours", transform.augment, batches))
    if "d" in letters:
        methods.append(method("d", "ours, masks given", transform.augment, batches, masks))
    if "s3" in letters:
        methods.append(method("s3", "our segmentation", transform.segmenter, batches))
    if "i" in letters:
        methods.append(method("i", "ours, without Numba", _plain(transform.augment), batches))
    if "j" in letters:
        methods.append(method("j", "ours, without Numba, masks given", _plain(transform.augment), batches, masks))
    for letter, name, other in (
        ("n2", "NSA", NSATransform()),
        ("r1", "CutPaste", CutPasteTransform()),
        ("r2", "FPI", FPITransform()),
        ("r3", "PII", PIITransform()),
    ):
        if letter in letters:
            methods.append(method(letter, f"our {name}", other.augment, batches))
    if letters & {"p2", "p4"}:
        sides = batches[0].shape[2:]
        given = per_image_nsa.cloned(per_image_nsa.boxes(batch, *sides), *sides)
        boxes, weights = ([torch.from_numpy(array).to(device)] * len(batches) for array in given)
        for letter, name, guidance in (("p2", "normal", "source"), ("p4", "mixed", "mixed")):
            if letter in letters:
                call = partial(clone, guidance=guidance)
                methods.append(method(letter, f"our Poisson blending, {name}", call, batches, boxes, weights))
    for letter, which in (("k1", "components not exact"), ("k2", "exact components")):
        if letter in letters:
            few = min(batch, _KORNIA_IMAGES)
            call = partial(kornia_parts.augment, labeler=kornia_parts.LABELERS[KEYS[letter]])
            methods.append(
                method(letter, f"kornia's parts, {which}, batch {few}", call, [batches[0][:few].contiguous()])
            )
    failed = {}
    if "h" in letters:
        # Compiler processes in the background would count as other programs' work.
        os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
        try:
            methods.append(method("h", "ours, compiled", torch.compile(transform.augment), batches))
        except Exception as error:  # compilers may raise anything; measure the other methods
            failed[KEYS["h"]] = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    return methods, failed


def _plain(call: Callable[..., object]) -> Callable[..., object]:
    """Run ``call`` as on a machine without Numba."""

    def run(*batches: torch.Tensor) -> object:
        with without_numba():
            return call(*batches)

    return run


def clone(images: torch.Tensor, boxes: torch.Tensor, weights: torch.Tensor, guidance: Guidance) -> torch.Tensor:
    """Blend a box of the next image into each image, from uint8 to uint8 like OpenCV."""
    targets = images.float()
    blended = poisson_blend(targets, targets.roll(-1, 0), boxes, guidance=guidance, weight=weights)
    return blended.clamp_(0, 255).to(torch.uint8)


def batched(key: str, label: str, call: Callable[..., object], *columns: list[torch.Tensor]) -> Method:
    """Make a method that calls ``call`` on batches, one column per argument; runs it once on all of them."""
    first = [column[0] for column in columns]
    device = first[0].device

    def run() -> None:
        for row in zip(*columns, strict=True):
            call(*row)
        synchronize(device)

    run()  # compilation and other one-time work is not timed
    peak = peak_bytes(lambda: call(*first), device)
    return Method(key, label, sum(len(part) for part in columns[0]), run, len(first[0]), peak_bytes=peak)


def in_batches(images: torch.Tensor, batch: int, device: torch.device) -> list[torch.Tensor]:
    """Make full batches that contain every image at least once."""
    runs = math.ceil(len(images) / batch)
    return list(images[torch.arange(runs * batch) % len(images)].to(device).split(batch))


def compare_masks(images: torch.Tensor, workers: Workers, letters: set[str]) -> dict[str, float]:
    """Compute the IoU of our masks with those of the other segmentations, per image; 1 for two empty masks."""
    ours = AnatPasteTransform().segmenter(images)[:, 0].numpy()
    others = {"per_image": workers.masks.array.view(np.bool_)}
    if "s2" in letters:
        others["opencv"] = workers.rough_masks.array.view(np.bool_)
    for letter in letters & {"k1", "k2"}:
        labeler = kornia_parts.LABELERS[KEYS[letter]]
        others[KEYS[letter]] = kornia_parts.segment(images[:_KORNIA_IMAGES], labeler)[:, 0].numpy()
    result = {}
    for name, theirs in others.items():
        mine = ours[: len(theirs)]
        union = (mine | theirs).sum((1, 2))
        iou = np.where(union > 0, (mine & theirs).sum((1, 2)) / np.maximum(union, 1), 1)
        result |= {f"{name}_iou_mean": float(iou.mean()), f"{name}_iou_min": float(iou.min())}
    return result


def ratio(ours: Method, against: Method) -> dict[str, Any]:
    """Return the ratio of the medians, and the lowest and highest among the rounds."""
    rounds = [a / b for a, b in zip(ours.rates, against.rates, strict=True)]
    medians = [float(np.median(method.rates)) for method in (ours, against)]
    return {
        "ours": ours.key,
        "against": against.key,
        "ratio": medians[0] / medians[1],
        "min": min(rounds),
        "max": max(rounds),
    }
