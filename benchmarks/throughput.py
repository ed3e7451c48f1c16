"""Compare the speed of AnatPaste in this package with that of the published pipeline.

    python benchmarks/throughput.py --quick               # batch 64 at 256 px, about a minute
    python benchmarks/throughput.py --targets             # the cases of the project's targets, 5 to 8 minutes
    python benchmarks/throughput.py --out runs/throughput # batches 1 to 512, 128 to 1024 px, 1 and 3 channels

Images per second of the augmentation alone, from decoded 8-bit images in memory to augmented images in memory:

a  the per-image pipeline of the paper (scikit-image, Pillow, torchvision; `per_image.py`) in worker processes
b  a with lung masks computed beforehand
c  `AnatPasteTransform().augment` on a batch
d  c with lung masks computed beforehand
e  one PIL image at a time through `AnatPasteTransform`, in one process
f  e in as many worker processes as a, one thread each, as in a DataLoader
g  a in one process
h  c compiled
i  c without Numba, with the code for other devices
j  d without Numba
k  c composed of kornia's parts (`kornia_parts.py`), on up to 8 images: with `connected_components` (k1; not exact) and
   with `connected_components_union_find` (k2)
n  NSA: image by image with OpenCV in worker processes (n1; `per_image_nsa.py`), ours (n2)
p  Poisson blending of boxes as AnatPaste draws them: OpenCV's seamlessClone image by image in worker processes
   (NORMAL_CLONE p1, MIXED_CLONE p3), ours (p2, p4)
r  the other recipes, ours: CutPaste (r1), FPI (r2), PII (r3)
s  segmentation alone: a's (s1) and OpenCV's parts (s2, where installed), in worker processes; ours (s3)

h to r are measured in the standard case only, unless ``--methods`` names them, and ``--quick`` skips h. n and p are for
one channel.

The rules: workers have their images in memory and are warmed up before timing, get work in chunks that keep all of them
busy to the end, and write to shared memory. Batched methods have their images on ``--device``; copies to and from it
are not timed, but waiting for the device is. All methods are warmed up and then run once per round, in alternation; the
result is the median of the rounds with the lowest and highest. Small batches are repeated until a round has processed
as many images as a's. Each case but the standard one measures c on the standard batch again, so that scaling is
measured within the same rounds. Our masks are compared with a's in every run. Comparisons that we lose are listed.

Real radiographs are used if available (``--images``), else phantoms; the output says which.
"""

import argparse
from itertools import product
from typing import Any

import torch
from measuring import Method, OtherWork, environment, interleave, say, stage_shares
from options import add_shared, apply_shared, image_size, load, positive
from per_image import cv2
from tables import environment_lines
from targets import SCALING_CASES, STANDARD, target_lines, targets
from throughput_methods import (
    FOREIGN,
    GRAY,
    KEYS,
    OPENCV,
    OURS_IN_THIS_PROCESS,
    PAIRS,
    SCALING,
    SLOW,
    batched,
    batched_methods,
    compare_masks,
    in_batches,
    ratio,
    worker_methods,
    worker_names,
)
from throughput_report import case_lines, save
from training_report import training_lines
from workers import Workers

from anatpaste_aug import AnatPasteTransform

Case = tuple[int, int, int]  # batch, size, channels

BATCHES, SIZES, CHANNELS = [1, 8, 64, 512], [128, 256, 512, 1024], [1, 3]
BATCH, SIZE, _ = STANDARD


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--quick", action="store_true", help=f"batch {BATCH}, {SIZE} px, 1 channel and nothing else")
    mode.add_argument("--targets", action="store_true", help="the cases of the targets, training steps included")
    parser.add_argument("--batch", type=positive, nargs="+", metavar="B", help="batch sizes")
    parser.add_argument("--size", type=image_size, nargs="+", metavar="S", help="sides of the images in pixels")
    parser.add_argument("--channels", type=int, nargs="+", choices=(1, 3), help="channels of the images")
    parser.add_argument("--methods", nargs="+", choices=[*KEYS, "all"], metavar="M", help="these letters, in all cases")
    parser.add_argument("--repeats", type=positive, default=5, help="rounds (default: 5)")
    parser.add_argument("--round-seconds", type=float, default=0.3, help="least duration of a method's round")
    parser.add_argument("--count", type=positive, default=64, help="images that a round takes at least (default: 64)")
    add_shared(parser)
    args = parser.parse_args(argv)
    if args.targets and (args.batch or args.size or args.channels or args.methods):
        parser.error("--targets has its own cases and methods: leave out --batch, --size, --channels and --methods")
    if cv2 is None and (missing := sorted(OPENCV & set(args.methods or []))):
        parser.error(f"--methods {' '.join(missing)} needs OpenCV: pip install opencv-python-headless")
    apply_shared(parser, args)
    return args


def cases(args: argparse.Namespace) -> list[Case]:
    """Return all combinations of the given options; by default, vary one at a time around the standard case."""
    if args.targets:
        return [STANDARD, *SCALING_CASES]
    if args.quick or args.batch or args.size or args.channels:
        return list(product(args.batch or [BATCH], args.size or [SIZE], args.channels or [1]))
    grid = [(batch, SIZE, 1) for batch in BATCHES] + [(BATCH, size, 1) for size in SIZES]
    return sorted({*grid, *((BATCH, SIZE, channels) for channels in CHANNELS)})


def letters(case: Case, args: argparse.Namespace) -> set[str]:
    """Return the methods that a case measures."""
    if args.targets:
        wanted = set("abcdegij") | {"n1", "n2", "p1", "p2", "p3", "p4", "s2", "s3"} if case == STANDARD else {"c"}
    elif args.methods:
        wanted = set(KEYS) if "all" in args.methods else set(args.methods)
    else:
        wanted = set(KEYS) - (SLOW if case != STANDARD else {"h"} if args.quick else set())
    if case[2] > 1:
        wanted = wanted - GRAY
    if case[0] == 1:
        wanted = wanted - FOREIGN
    if args.device != "cpu":
        wanted = wanted - {"i", "j"}
    return wanted if cv2 else wanted - OPENCV


def measure(case: Case, args: argparse.Namespace) -> dict[str, Any]:
    """Measure one case."""
    batch, size, channels = case
    say(f"batch {batch}, {size} px, {channels} channel{'s' * (channels > 1)}")
    wanted = letters(case, args)
    # Fewer images if they are large, but enough to keep every process busy.
    count = max(min(args.count, 16), 4 * args.processes, min(args.count, args.count * SIZE**2 // size**2))
    images, data = load(args.files, count, size, channels)
    others, workers = OtherWork(), None
    methods, failed, agreement = [], {}, {}
    try:
        if wanted - OURS_IN_THIS_PROCESS:
            workers = Workers(images.numpy(), args.processes, worker_names(wanted))
            workers.run("per_image_segment")  # the masks for b
            methods += worker_methods(workers, wanted)
        found, failed = batched_methods(images, batch, wanted, args)
        methods += found
        if case[:2] != STANDARD[:2] and "c" in wanted:
            methods.append(_standard(args, channels))
        interleave(methods, args.repeats, args.round_seconds, lambda text: say(f"  {text}"))
        if workers:
            agreement = compare_masks(images, workers, wanted)
    finally:
        if workers:
            workers.close()
    held = {method.key: method for method in methods}
    device, seconds = torch.device(args.device), args.round_seconds * args.repeats
    return {
        "batch": batch,
        "size": size,
        "channels": channels,
        "data": data,
        "methods": {method.key: method.summary() for method in methods},
        "failed": failed,
        "ratios": [ratio(held[a], held[b]) for a, b in PAIRS if a in held and b in held],
        "scaling": ratio(*(held[key] for key in SCALING)) if held.keys() >= set(SCALING) else None,
        "stages": stage_shares(held["ours"].run, device, seconds) if "ours" in held else {},
        "agreement": agreement,
        "other_work": others.share(),
    }


def _standard(args: argparse.Namespace, channels: int) -> Method:
    """Make method c on the standard batch, to be measured in the rounds of another case."""
    images, _ = load(args.files, min(args.count, BATCH), SIZE, channels)
    batches = in_batches(images, BATCH, torch.device(args.device))
    method = batched(SCALING[1], f"c' ours, batch {BATCH}, {SIZE} px", AnatPasteTransform().augment, batches)
    method.peak_bytes = None  # it is from another case
    return method


def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    shown = ("device", "threads", "processes", "repeats", "round_seconds")
    settings = {name: getattr(args, name) for name in shown}
    result = {"environment": environment(torch.device(args.device)), "settings": settings, "cases": [], "training": []}
    print("\n".join([*environment_lines(result), ""]))

    def report(lines: list[str]) -> None:
        result["targets"] = targets(result)
        print("\n".join(lines), flush=True)
        if args.out:
            save(result, args.out)  # after each case, so that an interrupted grid keeps its results

    for case in cases(args):
        result["cases"].append(measure(case, args))
        report(case_lines(result, result["cases"][-1]))
    if args.targets:
        import training_step  # here, because every worker process would import the detector too

        for size in training_step.TARGET_SIZES:
            result["training"].append(training_step.measure(size, args, methods=["ours"], seconds=90))
            report(training_lines(result["training"][-1]))
    print("\n".join(target_lines(result)), end="")


if __name__ == "__main__":
    main()
