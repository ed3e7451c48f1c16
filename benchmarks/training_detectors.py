"""Time, memory and operations of a training update of each detector, for `training_step.py --method`."""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from measuring import OtherWork, say, synchronize
from memory import peak_bytes
from options import load
from tables import aligned, environment_lines, other_work_lines
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from anatpaste_aug.detection import METHODS
from anatpaste_aug.detection.models.pretext_training import PretextTrainer
from anatpaste_aug.detection.studies.runs import find_lung_masks
from anatpaste_aug.detection.training.config import TrainConfig
from anatpaste_aug.detection.training.trainer import Trainer
from anatpaste_aug.detection.training.workers import Workers


class Operations(TorchDispatchMode):
    """Count the floating-point operations of convolutions and matrix products, a multiplication and an addition as two.

    torch's FlopCounterMode follows modules as well, and so cannot count the gradient of a gradient.
    """

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if (count := flop_registry.get(func.overloadpacket)) is not None:
            self.total += count(*args, **(kwargs or {}), out_val=result)
        return result


def paper_config(method: str, device: str, *, size: int | None = None, batch: int | None = None) -> TrainConfig:
    """Return the settings of ``--preset paper``, with another size or batch where given."""
    config_type = METHODS[method].detector.config_type
    settings = {"image_size": 256} | dict(config_type.presets["paper"])
    settings |= {name: value for name, value in (("image_size", size), ("batch_size", batch)) if value}
    if METHODS[method].transforms:
        settings["num_classes"] = METHODS[method].num_classes
    return config_type(**settings, device=device)


def make_trainer(method: str, config: TrainConfig, images: Tensor) -> Trainer:
    """Return the trainer of a method before its first update, on images of the device."""
    torch.manual_seed(config.seed)
    transforms = [make() for make in METHODS[method].transforms]
    if not transforms:
        return METHODS[method].detector.trainer_type(config, images, Workers())
    masks = find_lung_masks(transforms[0], images)
    return PretextTrainer(config, images, masks, [transform.augment for transform in transforms], Workers())


def measure_update(method: str, args: argparse.Namespace, first: int = 0) -> dict[str, Any]:
    """Measure updates from the given one on, by the options of `training_step.py`."""
    config = paper_config(method, args.device, size=args.size and args.size[0], batch=args.batch)
    label = METHODS[method].label + (", encoder" if first else "")
    say(f"{label}, {config.image_size} px, batch {config.batch_size}")
    device = torch.device(args.device)
    images, data = load(args.files, 2 * config.batch_size, config.image_size)
    if images.is_floating_point():
        images = (images * 255).round().to(torch.uint8)
    trainer, others = make_trainer(method, config, images.to(device)), OtherWork()
    trainer.update = first
    with Operations() as counter:
        trainer.step()  # and the warm-up
    taken: list[float] = []
    while len(taken) < args.rounds or sum(taken) < args.seconds:
        synchronize(device)
        start = time.perf_counter()
        trainer.step()
        synchronize(device)
        taken.append(time.perf_counter() - start)
    operations = counter.total
    return {
        "method": method,
        "label": label,
        "size": config.image_size,
        "batch": config.batch_size,
        "data": data,
        "seconds": {"median": statistics.median(taken), "rounds": taken},
        "operations": operations,
        "estimated_gpu_seconds": operations / (args.gpu_tflops * 1e12),
        "gpu_tflops": args.gpu_tflops,
        "peak_bytes": peak_bytes(trainer.step, device),
        "updates": config.updates,
        "other_work": others.share(),
    }


def measure_updates(methods: list[str], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure the methods one after another; f-AnoGAN has two kinds of updates."""
    cases = []
    for method in methods:
        cases.append(measure_update(method, args))
        if later := getattr(paper_config(method, args.device), "gan_updates", 0):
            cases.append(measure_update(method, args, later))
    return cases


def update_lines(cases: list[dict[str, Any]]) -> list[str]:
    """Format the cases as Markdown."""
    rows = [("method", "px", "batch", "s/update", "peak MiB", "10⁹ operations", "s/update on a GPU (estimate)")]
    for case in cases:
        peak = "–" if case["peak_bytes"] is None else f"{case['peak_bytes'] / 2**20:.0f}"
        rows.append(
            (
                case["label"],
                str(case["size"]),
                str(case["batch"]),
                f"{case['seconds']['median']:.3g}",
                peak,
                f"{case['operations'] / 1e9:.0f}",
                f"{case['estimated_gpu_seconds']:.2g}",
            )
        )
    return [
        "## training update of each detector",
        "",
        f"Median of {len(cases[0]['seconds']['rounds'])} or more; {cases[0]['data']['kind']}. The time on a GPU was "
        f"not measured: it is the number of floating-point operations at {cases[0]['gpu_tflops']:g} TFLOP/s.",
        "",
        *aligned(rows),
        "",
        *other_work_lines(cases[0]),
        "",
    ]


def save_updates(result: dict[str, Any], folder: Path) -> None:
    """Write training_update.json and training_update.md."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "training_update.json").write_text(json.dumps(result, indent=1) + "\n")
    lines = ["# Training update", "", *environment_lines(result), "", *update_lines(result["updates"])]
    (folder / "training_update.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    say(f"written: {folder}")
