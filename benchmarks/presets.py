"""Which settings get most out of an hour without a GPU: validation AUROC of short trainings, on Zhanglab.

python benchmarks/presets.py --root DIR --settings 64x32x600 96x32x320 64x64x330

A setting is SIZExBATCHxUPDATES. Each is trained for every method, so that none is favoured, and validated ten times on
the way; the test images are never scored. Printed: the best validation of each, and its mean over methods and seeds.
"""

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from measuring import environment, say
from tables import aligned

from anatpaste_aug import datasets
from anatpaste_aug.detection import METHODS, Progress, TrainConfig
from anatpaste_aug.detection.models.pretext_training import train_pretext_net
from anatpaste_aug.detection.studies.runs import find_lung_masks


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder of the Zhanglab download")
    parser.add_argument("--cache", type=Path, help="folder that keeps decoded images for the next run")
    parser.add_argument("--settings", nargs="+", type=setting, required=True, metavar="SIZExBATCHxUPDATES")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["anatpaste", "cutpaste-scar"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--threads", type=int, default=1, help="default 1: another training may use the other core")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--amp", action="store_true", help="mixed precision")
    parser.add_argument("--learning-rate", type=float, default=TrainConfig.learning_rate)
    parser.add_argument("--out", type=Path, help="one JSON line for each training is appended")
    return parser.parse_args(argv)


def setting(text: str) -> tuple[int, int, int]:
    """64x32x600: images of 64 pixels a side, 32 normal ones in a batch, 600 updates."""
    try:
        size, batch, updates = map(int, text.split("x"))
        TrainConfig(image_size=size, batch_size=batch, updates=updates)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text}: SIZExBATCHxUPDATES, such as 64x32x600 ({error})") from None
    return size, batch, updates


def one_training(task: datasets.DetectionTask, method: str, config: TrainConfig) -> dict[str, Any]:
    """Trains as the pipeline does; what the validations showed."""
    transforms = [make() for make in METHODS[method].transforms]
    masks = find_lung_masks(transforms[0], task.train.images)
    start = time.perf_counter()

    def show(progress: Progress) -> None:
        if progress.validated:
            say(f"{method}, update {progress.update}: loss {progress.loss:.3f}, validation {progress.val_auroc:.3f}")

    result = train_pretext_net(
        config,
        task.train.images,
        task.val.images,
        task.val.labels,
        [transform.augment for transform in transforms],
        lung_masks=masks,
        progress=show,
    )
    return {
        "best": result.best_auroc,
        "last": result.history[-1].val_auroc,
        "history": [[progress.update, progress.loss, progress.val_auroc] for progress in result.history],
        "seconds": time.perf_counter() - start,
    }


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parse_arguments(argv)
    torch.set_num_threads(arguments.threads)
    rows = [("setting", "mean", *arguments.methods, "minutes each")]
    for size, batch, updates in arguments.settings:
        task = datasets.zhanglab_task(arguments.root, size, cache=arguments.cache)
        best: dict[str, list[float]] = {method: [] for method in arguments.methods}
        minutes = []
        for method in arguments.methods:
            for seed in arguments.seeds:
                config = TrainConfig(
                    image_size=size,
                    batch_size=batch,
                    updates=updates,
                    updates_per_epoch=max(1, updates // 10),
                    num_classes=METHODS[method].num_classes,
                    backbone=arguments.backbone,
                    device=arguments.device,
                    learning_rate=arguments.learning_rate,
                    amp=arguments.amp,
                    seed=seed,
                )
                found = one_training(task, method, config)
                best[method].append(found["best"])
                minutes.append(found["seconds"] / 60)
                if arguments.out:
                    about = dataclasses.asdict(config) | {"method": method}
                    machine = environment(torch.device(arguments.device)) | {"threads": arguments.threads}
                    with arguments.out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(about | found | {"data": task.name, "environment": machine}) + "\n")
        means = [statistics.mean(best[method]) for method in arguments.methods]
        shown = [f"{value:.3f}" for value in (statistics.mean(means), *means)]
        rows.append((f"{size} px, {updates} updates of {batch} + {batch}", *shown, f"{statistics.mean(minutes):.1f}"))
    about = f"Best of ten validations ({task.name}: {task.protocol})"
    print(about, *filter(None, [task.note]), "", *aligned(rows), sep="\n")


if __name__ == "__main__":
    main()
