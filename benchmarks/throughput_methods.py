"""The methods of `throughput.py`, and what each of ours is to be held against."""

import argparse
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from measuring import Method, peak_bytes, synchronize
from per_image import cv2, to_pil
from workers import Workers

from anatpaste_aug import AnatPasteTransform

# Like for like: ours, and what it is to be held against.
PAIRS = [
    ("ours", "per_image"),
    ("ours_masks", "per_image_masks"),
    ("ours_pil", "per_image"),
    ("ours_pil", "per_image_single"),
    ("ours_pil_workers", "per_image"),
    ("ours_compiled", "per_image"),
    ("ours_segment", "per_image_segment"),
    ("ours_segment", "opencv_segment"),
]


def per_image_methods(workers: Workers, images: torch.Tensor) -> list[Method]:
    """What handles one image at a time."""
    count, processes = workers.count, f"{workers.processes} process" + "es" * (workers.processes > 1)
    transform, pictures = AnatPasteTransform(), [to_pil(pixels) for pixels in images.numpy()]

    def pooled(key: str, label: str) -> Method:
        return Method(key, f"{label}, {processes}", count, lambda: workers.run(key))

    methods = [
        pooled("per_image", "a  per-image pipeline"),
        pooled("per_image_masks", "b  per-image pipeline, masks given"),
        Method("ours_pil", "e  ours, one PIL image at a time", count, lambda: [transform(p) for p in pictures]),
        pooled("ours_pil_workers", "f  ours, one PIL image at a time"),
        Method(
            "per_image_single",
            "g  per-image pipeline, 1 process",
            count,
            lambda: workers.run("per_image", single=True),
        ),
        pooled("per_image_segment", "s1 per-image segmentation"),
    ]
    return methods + ([pooled("opencv_segment", "s2 OpenCV segmentation")] if cv2 else [])


def batched_methods(images: torch.Tensor, batch: int, args: argparse.Namespace) -> tuple[list[Method], dict[str, str]]:
    """What handles batches, on the device; and what could not be made to run, with the reason."""
    device = torch.device(args.device)
    runs = math.ceil(len(images) / batch)
    index = torch.arange(runs * batch) % len(images)
    batches = list(images[index].to(device).split(batch))
    transform = AnatPasteTransform()
    masks = [transform.segmenter(part) for part in batches]
    threads = f"{args.threads} thread{'s' * (args.threads > 1)}" if device.type == "cpu" else device.type

    def method(key: str, label: str, call: Callable[..., object], *columns: list[torch.Tensor]) -> Method:
        def run() -> None:
            for row in zip(*columns, strict=True):
                call(*row)
            synchronize(device)

        built = Method(key, f"{label}, {threads}", runs * batch, run)
        run()  # what is made once and kept does not count
        if key != "ours_compiled":
            one = [column[0] for column in columns]
            built.peak_bytes = peak_bytes(lambda: call(*one), *one)
        return built

    methods = [
        method("ours", "c  ours", transform.augment, batches),
        method("ours_masks", "d  ours, masks given", transform.augment, batches, masks),
        method("ours_segment", "s3 our segmentation", transform.segmenter, batches),
    ]
    failed = {}
    if args.compile:
        try:
            methods.append(method("ours_compiled", "h  ours, compiled", torch.compile(transform.augment), batches))
        except Exception as error:  # compilers raise anything; the other methods are still worth measuring
            failed["ours_compiled"] = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    return methods, failed


def compare_masks(images: torch.Tensor, workers: Workers) -> dict[str, float]:
    """Intersection over union of our masks with those of the other segmentations, per image; two empty masks are 1."""
    ours = AnatPasteTransform().segmenter(images)[:, 0].numpy()
    result = {}
    for name, shared in {"per_image": workers.masks, "opencv": workers.rough_masks}.items():
        if name == "opencv" and cv2 is None:
            continue
        theirs = shared.array.view(np.bool_)
        union = (ours | theirs).sum((1, 2))
        iou = np.where(union > 0, (ours & theirs).sum((1, 2)) / np.maximum(union, 1), 1)
        result |= {f"{name}_iou_mean": float(iou.mean()), f"{name}_iou_min": float(iou.min())}
    return result


def ratio(ours: Method, against: Method) -> dict[str, Any]:
    """Of the medians, and the lowest and highest among the rounds."""
    rounds = [a / b for a, b in zip(ours.rates, against.rates, strict=True)]
    medians = [float(np.median(method.rates)) for method in (ours, against)]
    return {
        "ours": ours.key,
        "against": against.key,
        "ratio": medians[0] / medians[1],
        "min": min(rounds),
        "max": max(rounds),
    }
