"""Train detectors with different settings on two populations, and compare them by validation images alone.

python benchmarks/detector_search.py --zhanglab DIR --adult DIR --settings paper donors --seeds 0 1
python benchmarks/detector_search.py --phantoms --settings paper donors

Every finished training appends a line to the file of results; trainings that it holds are not repeated. The test images
are never scored.
"""

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from measuring import environment, say

from anatpaste_aug.datasets import DetectionTask, folder_task, phantom_task, zhanglab_task
from anatpaste_aug.detection.evaluation.metrics import auroc
from anatpaste_aug.detection.models.distances import SCORES, validation_scores
from anatpaste_aug.detection.models.pretext_config import PretextConfig
from anatpaste_aug.detection.models.pretext_net import extract_features
from anatpaste_aug.detection.models.pretext_training import train_pretext_net, trained_net
from anatpaste_aug.segmentation import LungSegmenter
from anatpaste_aug.transforms import AnatPasteTransform, FPITransform, NSATransform, PIITransform

RESULTS = Path(__file__).resolve().parent / "detector_search.jsonl"
DONORS: dict[str, Any] = {"source": "batch", "beyond": "source", "patches": (2, 2)}
SMALL: dict[str, Any] = {"image_size": 64, "batch_size": 32, "updates": 200}
RESNET10T: dict[str, Any] = SMALL | {"backbone": "resnet10t", "updates": 300}

# Name -> the transform, its settings, and the settings of the training.
SETTINGS: dict[str, tuple[type, dict[str, Any], dict[str, Any]]] = {
    "paper": (AnatPasteTransform, {}, SMALL),
    # What of `donors` makes the difference?
    "other-source": (AnatPasteTransform, {"source": "batch"}, SMALL),
    "other-source-continued": (AnatPasteTransform, DONORS | {"patches": (1, 1)}, SMALL),
    "two-patches": (AnatPasteTransform, {"patches": (2, 2)}, SMALL),
    "two-patches-continued": (AnatPasteTransform, {"patches": (2, 2), "beyond": "source"}, SMALL),
    "donors": (AnatPasteTransform, DONORS, SMALL),
    # Harder or more varied pastes.
    "donors-faint": (AnatPasteTransform, DONORS | {"opacity": (0.2, 0.8)}, SMALL),
    "donors-large": (AnatPasteTransform, DONORS | {"area": (0.02, 0.3)}, SMALL),
    "donors-poisson": (AnatPasteTransform, DONORS | {"blend": "poisson"}, SMALL),
    "donors-1-to-3": (AnatPasteTransform, DONORS | {"patches": (1, 3)}, SMALL),
    "fpi": (FPITransform, {}, SMALL),
    "pii": (PIITransform, {}, SMALL),
    "nsa": (NSATransform, {}, SMALL),
    # Other networks and sizes.
    "paper-resnet10t": (AnatPasteTransform, {}, RESNET10T),
    "donors-resnet10t": (AnatPasteTransform, DONORS, RESNET10T),
    "donors-resnet10t-1000": (AnatPasteTransform, DONORS, RESNET10T | {"updates": 1000}),
    "donors-resnet10t-128px": (AnatPasteTransform, DONORS, RESNET10T | {"image_size": 128}),
    "donors-400": (AnatPasteTransform, DONORS, SMALL | {"updates": 400}),
    "donors-96px": (AnatPasteTransform, DONORS, SMALL | {"image_size": 96}),
    "donors-jitter": (AnatPasteTransform, DONORS, SMALL | {"jitter": 0.3}),
}


def train(name: str, task: DetectionTask, seed: int) -> dict[str, Any]:
    """Train with a setting; return the validation AUROC of the last weights for each score, and the time.

    Scores with "-val" compare with the normal validation images instead of the training images.
    """
    make, paste, training = SETTINGS[name]
    transform = make(**paste)
    # Validates ten times, so that the ways to select weights can be compared by the history.
    config = PretextConfig(
        seed=seed, select="pretext", score="knn", updates_per_epoch=training["updates"] // 10, **training
    )
    masks = LungSegmenter()(task.train.images) if transform.segmenter is not None else None
    start = time.perf_counter()
    result = train_pretext_net(
        config, task.train.images, task.val.images, task.val.labels, transform.augment, lung_masks=masks
    )
    seconds = time.perf_counter() - start
    net = trained_net(result, "last")
    aurocs = {}
    for stages, views in itertools.product(((), (3, 4), (2, 3, 4)), (False, True)):
        train_features, val_features = (
            extract_features(net, part.images, stages=stages, average_views=views) for part in (task.train, task.val)
        )
        for score in SCORES:
            key = f"{score}{'-' + ''.join(map(str, stages)) if stages else ''}{'-views' if views else ''}"
            for own_key, reference in ((key, train_features), (f"{key}-val", None)):
                scores = validation_scores(score, reference, val_features, torch.as_tensor(task.val.labels))
                aurocs[own_key] = auroc(task.val.labels, scores)
    history = [{"update": at.update, "val_auroc": at.val_auroc, "val_loss": at.val_loss} for at in result.history]
    return {"seconds": seconds, "val_auroc": aurocs, "history": history}


def print_table(lines: list[Mapping[str, Any]]) -> None:
    """Print the mean over populations and seeds for each setting, best score first."""
    for name in dict.fromkeys(line["setting"] for line in lines):
        own = [line for line in lines if line["setting"] == name]
        keys = set.intersection(*(set(line["val_auroc"]) for line in own))  # earlier lines have fewer scores
        means = {key: statistics.mean(line["val_auroc"][key] for line in own) for key in sorted(keys)}
        best = max(means, key=lambda key: means[key])
        each = ", ".join(
            f"{line['population']}/{line['seed']}: {line['val_auroc']['kde']:.3f} {line['val_auroc']['knn']:.3f}"
            for line in own
        )
        say(f"{name}: kde {means['kde']:.3f}, knn {means['knn']:.3f}, best {best} {means[best]:.3f} ({each})")


def main() -> None:
    """Run the trainings that the file of results lacks, and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zhanglab", type=Path, help="the Zhanglab download")
    parser.add_argument("--adult", type=Path, help="a folder in the layout of MVTec AD with a val/")
    parser.add_argument("--phantoms", action="store_true", help="synthetic radiographs, as in the demo")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS), metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="N")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    readers: dict[str, tuple[Any, Callable[[int], DetectionTask]]] = {
        "zhanglab": (arguments.zhanglab, lambda size: zhanglab_task(arguments.zhanglab, size, progress=False)),
        "adult": (arguments.adult, lambda size: folder_task(arguments.adult, size, progress=False)),
        "phantoms": (arguments.phantoms, phantom_task),
    }
    populations = {name: read for name, (wanted, read) in readers.items() if wanted}
    tasks: dict[tuple[str, int], DetectionTask] = {}
    for seed, name in itertools.product(arguments.seeds, arguments.settings):
        for population, read in populations.items():
            key = {"setting": name, "population": population, "seed": seed}
            if any(key.items() <= line.items() for line in _read(arguments.results)):
                continue
            size = SETTINGS[name][2]["image_size"]
            if (population, size) not in tasks:
                tasks[population, size] = read(size)
            line = key | train(name, tasks[population, size], seed)
            line["environment"] = environment(torch.device("cpu")) | {"threads": arguments.threads}
            with arguments.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            area = line["val_auroc"]
            say(f"{key}: {line['seconds']:.0f} s, kde {area['kde']:.3f}, knn {area['knn']:.3f}")
    print_table(_read(arguments.results))


def _read(results: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in results.read_text("utf-8").splitlines()] if results.exists() else []


if __name__ == "__main__":
    main()
