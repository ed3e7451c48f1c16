"""Train a detector on your own radiographs, and score others with it.

    python examples/train_detector.py --normal A/*.png --abnormal B/*.png --test C/*.png
    python examples/train_detector.py --normal A/*.png --test C/*.png

Most normal images train, the others are held out. Abnormal ones, if there are any, choose the best weights and the
threshold, from which on an image is called abnormal; without them, the threshold is the score that 5 % of the held-out
normal images exceed. Research software, not a medical device.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from anatpaste_aug.cli import CommandLine
from anatpaste_aug.cli.values import COUNT, SIDE, device
from anatpaste_aug.datasets import folder_task, read_gray
from anatpaste_aug.detection import DISCLAIMER, PRESETS, PretextConfig, PretextDetector, Progress


def main(argv: Sequence[str] | None = None) -> int:
    usage = "%(prog)s --normal FILE ... [--abnormal FILE ...] --test FILE ... [options]"
    parser = CommandLine(__doc__, prog="python examples/train_detector.py", usage=usage)
    for name in ("--normal", "--abnormal", "--test"):
        parser.add_argument(name, nargs="+", type=Path, required=name != "--abnormal", metavar="FILE")
    parser.add_argument("--size", type=SIDE, default=64, help="side of the square that images are resized to (64)")
    parser.add_argument("--updates", type=COUNT, default=600, help="of the network, 32 images each (600)")
    parser.add_argument("--backbone", default="resnet10t", help="any timm model name (resnet10t)")
    parser.add_argument("--device", type=device, default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path("detector.pt"), help="file of the detector (detector.pt)")
    return parser.run(train, argv)


def train(arguments: argparse.Namespace) -> None:
    size = arguments.size
    task = folder_task(normal=arguments.normal, abnormal=arguments.abnormal, size=size)
    white = task.split.white  # of 16-bit files that do not state it
    test = torch.from_numpy(np.stack([read_gray(path, size, white=white) for path in arguments.test])).unsqueeze(1)

    own = {"image_size": size, "updates_per_epoch": max(1, arguments.updates // 10)}
    own |= {name: getattr(arguments, name) for name in ("updates", "backbone", "device")}
    config = PretextConfig(**PRESETS["fast"] | own)
    detector = PretextDetector(config, white=white)
    detector.fit(task.train.images, task.val.images, task.val.labels, progress=show)
    detector.save(arguments.out)

    predictions = detector.predict(test)
    for path, score, abnormal in zip(arguments.test, predictions.scaled, predictions.abnormal, strict=True):
        print(f"{path}: {'abnormal' if abnormal else 'normal'}, score {score:.3f}")
    print(f"wrote {arguments.out}; anatpaste-aug score --model {arguments.out} IMAGE ... scores more images")
    print(DISCLAIMER)


def show(progress: Progress) -> None:
    if progress.validated:
        auroc = "" if progress.val_auroc is None else f", validation AUROC {progress.val_auroc:.3f}"
        print(f"update {progress.update}: loss {progress.loss:.3f}{auroc}")


if __name__ == "__main__":
    raise SystemExit(main())
