"""Is mixed precision worth it on this machine? The detector's update with and without it.

    python benchmarks/mixed_precision.py                        # 64 and 128 px, about 2 minutes on 2 quiet cores
    python benchmarks/mixed_precision.py --device cuda --size 256

An update is the whole of it: jitter, augmentation with masks given, ResNet-18 on 64 normal and 64 augmented images,
SGD. The two take turns, on phantoms. Printed: seconds of an update, and the ratio within one round, median and spread.
"""

import argparse
import statistics
import time
from collections.abc import Sequence

import torch
from measuring import OtherWork, cores, environment, say, synchronize
from options import image_size, positive
from tables import aligned, environment_lines, other_work_lines

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.datasets import phantom_batch
from anatpaste_aug.detection import TrainConfig
from anatpaste_aug.detection.models.pretext_training import PretextTrainer
from anatpaste_aug.detection.training.workers import Workers


def trainer(size: int, batch: int, device: str, backbone: str, amp: bool) -> PretextTrainer:
    """A training that has not begun."""
    config = TrainConfig(image_size=size, batch_size=batch, device=device, backbone=backbone, amp=amp)
    images = phantom_batch(batch, size=size, seed=0).images.to(device)
    transform = AnatPasteTransform()
    return PretextTrainer(config, images, transform.segmenter(images), [transform.augment], Workers.current())


def measure(trainers: Sequence[PretextTrainer], rounds: int) -> list[list[float]]:
    """Seconds of an update of each, round by round."""
    found: list[list[float]] = [[] for _ in trainers]
    for turn in range(rounds + 2):  # two to warm up
        for each, seconds in zip(trainers, found, strict=True):
            synchronize(each.device)
            start = time.perf_counter()
            each.advance()
            synchronize(each.device)
            if turn >= 2:
                seconds.append(time.perf_counter() - start)
    return found


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=image_size, nargs="+", default=[64, 128], metavar="S", help="default: 64 128")
    parser.add_argument("--batch", type=positive, default=64, help="normal images in an update (default: 64)")
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--threads", type=positive, default=cores(), help="default: the cores")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backbone", default="resnet18")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    machine, others = environment(torch.device(arguments.device)), OtherWork()
    rows = [("size", "float32", "mixed precision", "times faster", "lowest", "highest")]
    for size in arguments.size:
        say(f"{size} px")
        both = [trainer(size, arguments.batch, arguments.device, arguments.backbone, amp) for amp in (False, True)]
        full, half = measure(both, arguments.rounds)
        ratios = [a / b for a, b in zip(full, half, strict=True)]
        seconds = [f"{statistics.median(each):.3f} s" for each in (full, half)]
        spread = [f"{value:.2f}" for value in (statistics.median(ratios), min(ratios), max(ratios))]
        rows.append((f"{size} px", *seconds, *spread))
    settings = {"repeats": arguments.rounds, "threads": arguments.threads, "processes": 1}
    lines = environment_lines({"environment": machine, "settings": settings})
    print(*lines, *other_work_lines({"other_work": others.share()}), "", *aligned(rows), sep="\n")


if __name__ == "__main__":
    main()
