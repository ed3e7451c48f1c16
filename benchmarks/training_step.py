"""Measure the cost of the augmentation in a training step of the detector.

    python benchmarks/training_step.py --quick              # 64 and 128 px, about 2 minutes on 2 quiet cores
    python benchmarks/training_step.py --out runs/training  # 64, 128 and 256 px, and the loader with masks given
    python benchmarks/training_step.py --method anatpaste ganomaly squid --batch 4  # an update of these detectors

A step is that of `anatpaste_aug.detection`: ResNet-18 (`PretextNet`), 64 normal images and as many augmented ones,
cross entropy, SGD with momentum; without the jitter of the normal images. In each row, the second half of the batch
comes from another source:

none          the normal images again: the network's work without augmentation
ours          `AnatPasteTransform().augment` in the training process
ours_masks    the same with lung masks computed beforehand
loader        the per-image pipeline (scikit-image, Pillow; `per_image.py`) in the workers of a DataLoader, which makes
              its batches while the network trains, on the same cores
loader_masks  the same with masks computed beforehand

All rows run once per round, in alternation, on the same network. "Added" is the difference to "none" in the same round:
median and quartiles. "Waited" is the time within a step until its images are available. For ours, it is the
augmentation alone, and more precise than the difference of two steps; for the loader, it does not include the CPU time
that the workers take from the network. Before a loader's step, its queue is full, as if the workers were faster than
the network; if they are slower, untimed steps run first, until the batches prepared in idle time are consumed.

With --method, a whole training update of each named detector is measured instead, with all its networks and optimizers:
its time, its peak memory, and its floating-point operations, which give an estimate for a GPU. The settings are those
of --preset paper; --size and --batch change them, since some of these updates take hours on a CPU.
"""

import argparse
import statistics
import time
from typing import Any

import torch
import torch.nn.functional as F
from measuring import OtherWork, environment, say, synchronize
from options import add_shared, apply_shared, image_size, load, positive
from tables import environment_lines
from targets import target_lines, targets
from torch import Tensor
from training_detectors import measure_updates, save_updates, update_lines
from training_methods import Source, loader_source, own_sources
from training_report import save, training_lines

from anatpaste_aug import LungSegmenter
from anatpaste_aug.detection import METHODS as DETECTED
from anatpaste_aug.detection import PretextConfig
from anatpaste_aug.detection.models.pretext_net import PretextNet, prepare_inputs, to_layout

# Rows beside "none".
METHODS = ("ours", "ours_masks", "loader", "loader_masks")
SIZES, TARGET_SIZES = (64, 128, 256), (64, 128)
SECONDS = {"quick": 40.0, "full": 120.0}


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="64 and 128 px, without loader_masks")
    parser.add_argument("--size", type=image_size, nargs="+", metavar="S", help="sides of the images in pixels")
    parser.add_argument("--methods", nargs="+", choices=METHODS, help="these rows beside none")
    parser.add_argument(
        "--method", nargs="+", choices=DETECTED, help="instead: a training update of these, as published"
    )
    parser.add_argument("--gpu-tflops", type=float, default=15.0, help="--method: of the estimate for a GPU (15)")
    parser.add_argument("--batch", type=positive, help="normal images in a step (default: 64; --method: as published)")
    parser.add_argument("--rounds", type=positive, default=3, help="rounds at least (default: 3)")
    parser.add_argument("--seconds", type=float, help="more rounds, until a size has taken this long")
    add_shared(parser)
    args = parser.parse_args(argv)
    if args.method:
        args.seconds = args.seconds or 0.0
        apply_shared(parser, args)
        return args
    args.batch = args.batch or 64
    args.size = args.size or (TARGET_SIZES if args.quick else SIZES)
    args.methods = args.methods or list(METHODS[:3] if args.quick else METHODS)
    args.seconds = SECONDS["quick" if args.quick else "full"] if args.seconds is None else args.seconds
    apply_shared(parser, args)
    return args


class Step:
    """One update of the paper's network."""

    def __init__(self, device: torch.device) -> None:
        config = PretextConfig()
        torch.manual_seed(0)
        self._device = device
        layout = torch.channels_last if device.type == "cpu" else torch.contiguous_format
        self._net = PretextNet().to(device, memory_format=layout)
        self._optimizer = torch.optim.SGD(
            self._net.parameters(),
            lr=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )

    def __call__(self, source: Source) -> tuple[float, float]:
        """Return the seconds of the step, and those until its images were available."""
        start = time.perf_counter()
        normal, second = source.batches()
        synchronize(self._device)
        waited = time.perf_counter() - start
        self._update(normal, second)
        synchronize(self._device)
        return time.perf_counter() - start, waited

    def _update(self, normal: Tensor, second: Tensor) -> None:
        inputs = to_layout(prepare_inputs(torch.cat([normal, second])))
        labels = torch.arange(2, device=inputs.device).repeat_interleave(len(normal))
        loss = F.cross_entropy(self._net(inputs), labels)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()


def measure(
    size: int,
    args: argparse.Namespace,
    *,
    methods: list[str],
    batch: int = 64,
    rounds: int = 3,
    seconds: float = SECONDS["quick"],
) -> dict[str, Any]:
    """Measure one size."""
    say(f"training step, {size} px")
    device = torch.device(args.device)
    images, data = load(args.files, 3 * batch, size)
    others = OtherWork()
    where = device.type if device.type != "cpu" else f"{args.threads} thread{'s' * (args.threads > 1)}"
    sources = own_sources(images.to(device), batch, methods, where)
    try:
        if "loader" in methods:
            sources.append(loader_source(images, batch, args.processes, device, None))
        if "loader_masks" in methods:
            masks = LungSegmenter()(images)
            sources.append(loader_source(images, batch, args.processes, device, masks))
        _interleave(Step(device), sources, rounds, seconds)
    finally:
        for source in sources:
            source.close()
    base = sources[0].step_s
    return {
        "size": size,
        "batch": batch,
        "data": data,
        "methods": {source.key: _summary(source, base) for source in sources},
        "other_work": others.share(),
    }


def _interleave(step: Step, sources: list[Source], rounds: int, seconds: float) -> None:
    say("  warm-up")
    step(sources[0])
    usual, _ = step(sources[0])  # the network is the same for all of them
    for source in sources:
        source.batches()
        source.drain()
        source.lead = source.ahead if source.batch_s > usual else 0
    start, round_ = time.perf_counter(), 0
    while round_ < rounds or time.perf_counter() - start < seconds:
        say(f"  round {round_ + 1}")
        first = round_ % len(sources)
        for source in sources[first:] + sources[:first]:
            for _ in range(source.lead):
                step(source)
            taken, waited = step(source)
            source.step_s.append(taken)
            source.wait_s.append(waited)
            source.drain()
        round_ += 1


def _summary(source: Source, base: list[float]) -> dict[str, Any]:
    added = [step - without for step, without in zip(source.step_s, base, strict=True)]
    percent = [100 * more / without for more, without in zip(added, base, strict=True)]
    waited = [100 * wait / without for wait, without in zip(source.wait_s, base, strict=True)]
    return {
        "label": source.label,
        "lead_steps": source.lead,
        "step_ms": _spread([1000 * step for step in source.step_s]),
        "added_ms": _spread([1000 * more for more in added]),
        "added_percent": _spread(percent),
        "waited_ms": _spread([1000 * wait for wait in source.wait_s]),
        "waited_percent": _spread(waited),
    }


def _spread(values: list[float]) -> dict[str, Any]:
    low, middle, high = statistics.quantiles(values, method="inclusive") if len(values) > 1 else 3 * values
    return {"median": middle, "low": low, "high": high, "rounds": values}


def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    settings = {name: getattr(args, name) for name in ("device", "threads", "processes")}
    result = {"environment": environment(torch.device(args.device)), "settings": settings, "training": []}
    print("\n".join([*environment_lines(result), ""]))
    if args.method:
        result["updates"] = measure_updates(args.method, args)
        print("\n".join(update_lines(result["updates"])), end="")
        if args.out:
            save_updates(result, args.out)
        return
    for size in args.size:
        case = measure(size, args, methods=args.methods, batch=args.batch, rounds=args.rounds, seconds=args.seconds)
        result["training"].append(case)
        result["targets"] = targets(result)
        print("\n".join(training_lines(case)), flush=True)
        if args.out:
            save(result, args.out)
    print("\n".join(target_lines(result)), end="")


if __name__ == "__main__":
    main()
