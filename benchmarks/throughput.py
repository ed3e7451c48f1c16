"""How fast is AnatPaste here, and how fast is it the published way?

    python benchmarks/throughput.py --quick               # batch 64 at 256 px, about a minute
    python benchmarks/throughput.py --out runs/throughput # batches 1 to 512, 128 to 1024 px, 1 and 3 channels

Images per second of the augmentation alone, from decoded 8-bit images in memory to augmented ones in memory:

a  the per-image pipeline of the paper (scikit-image, Pillow, torchvision; `per_image.py`) in worker processes
b  a with lung masks computed beforehand
c  `AnatPasteTransform().augment` on a batch
d  c with lung masks computed beforehand
e  one PIL image at a time through `AnatPasteTransform`, in this process
f  e in as many worker processes as a, one thread each: what a DataLoader would run
g  a in one process
h  c compiled (``--compile``)
s  segmentation alone: a's (s1) and OpenCV's parts (s2, where installed), in worker processes; ours (s3)

The rules: workers hold their images and are warm before the clock starts, take work in shares that keep all of them
busy to the end, and write into shared memory. Batched methods have their images on ``--device``; what is copied there
or back is not in their time, the wait for the device is. Every method is warmed up; then all run once per round, in
turns, and the median of the rounds is given with the lowest and highest. Small batches are repeated until a round has
handled as many images as a's. Our masks are compared with a's in every run. What loses is listed.

Real radiographs are taken where there are any (``--images``), phantoms otherwise; the output says which.
"""

import argparse
import os
from itertools import product
from pathlib import Path
from typing import Any

import torch
from measuring import OtherWork, cores, environment, interleave, say, stage_shares
from per_image import cv2
from throughput_methods import PAIRS, batched_methods, compare_masks, per_image_methods, ratio
from throughput_report import case_lines, environment_lines, save
from workers import Workers

from anatpaste_aug.datasets import phantom_batch, read_gray

BATCHES, SIZES, CHANNELS = [1, 8, 64, 512], [128, 256, 512, 1024], [1, 3]
BATCH, SIZE = 64, 256  # the case that the others vary
SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}

Case = tuple[int, int, int]  # batch, size, channels


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"batch {BATCH}, {SIZE} px, 1 channel and nothing else")
    parser.add_argument("--batch", type=_positive, nargs="+", metavar="B", help="batch sizes")
    parser.add_argument("--size", type=_size, nargs="+", metavar="S", help="sides of the images in pixels")
    parser.add_argument("--channels", type=int, nargs="+", choices=(1, 3), help="channels of the images")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where the batches are")
    parser.add_argument("--threads", type=_positive, default=cores(), help="torch's threads (default: the cores)")
    parser.add_argument("--processes", type=_positive, default=cores(), help="worker processes (default: the cores)")
    parser.add_argument("--repeats", type=_positive, default=5, help="rounds (default: 5)")
    parser.add_argument("--round-seconds", type=float, default=0.3, help="least duration of a method's round")
    parser.add_argument("--count", type=_positive, default=64, help="images that a round takes at least (default: 64)")
    parser.add_argument("--images", type=Path, metavar="DIR", help="a folder of radiographs")
    parser.add_argument("--phantoms", action="store_true", help="phantoms, even where there are radiographs")
    parser.add_argument("--compile", action="store_true", help="measure h too")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write throughput.json, .md and .png there")
    args = parser.parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch sees no CUDA device here")
    if args.images and not args.images.is_dir():
        parser.error(f"--images {args.images}: no such folder")
    args.files = [] if args.phantoms else find_images(args.images)
    if args.images and not args.files and not args.phantoms:
        parser.error(f"--images {args.images}: no image files ({', '.join(sorted(SUFFIXES))}) in this folder")
    return args


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is below 1")
    return value


def _size(text: str) -> int:
    value = int(text)
    if value < 32:
        raise argparse.ArgumentTypeError(f"{value} is below 32 pixels, the least that the augmentation takes")
    return value


def find_images(folder: Path | None) -> list[Path]:
    """The folder's image files; without a folder, those of the development data, if it is there."""
    if folder is None:
        shared = Path(__file__).resolve().parents[2] / "shared" / "data"
        folder = Path(os.environ.get("ANATPASTE_DATA", shared)) / "lung_masks" / "images"
    return sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES)


def cases(args: argparse.Namespace) -> list[Case]:
    """All combinations of what was asked for; without a wish, one thing at a time around the standard case."""
    if args.quick or args.batch or args.size or args.channels:
        return list(product(args.batch or [BATCH], args.size or [SIZE], args.channels or [1]))
    grid = [(batch, SIZE, 1) for batch in BATCHES] + [(BATCH, size, 1) for size in SIZES]
    return sorted({*grid, *((BATCH, SIZE, channels) for channels in CHANNELS)})


def load(files: list[Path], count: int, size: int, channels: int) -> tuple[torch.Tensor, dict[str, Any]]:
    """uint8 count×channels×size×size, and what it is."""
    if files:
        chosen = [files[i * len(files) // count] for i in range(count)]
        images = torch.stack([torch.from_numpy(read_gray(path, size))[None] for path in chosen])
        data = {"kind": "radiographs", "files": len(set(chosen)), "folder": "/".join(files[0].parent.parts[-2:])}
    else:
        images = phantom_batch(count, size=size, seed=0).images
        data = {"kind": "phantoms (synthetic)", "files": count, "folder": None}
    return images.expand(-1, channels, -1, -1).contiguous(), data


def measure(case: Case, args: argparse.Namespace) -> dict[str, Any]:
    """All figures of one case."""
    batch, size, channels = case
    say(f"batch {batch}, {size} px, {channels} channel{'s' * (channels > 1)}")
    # Fewer images where they are large, but enough to keep every process busy.
    count = max(min(args.count, 16), 4 * args.processes, min(args.count, args.count * SIZE**2 // size**2))
    images, data = load(args.files, count, size, channels)
    names = ["per_image_segment", "per_image", "per_image_masks", "ours_pil_workers"]
    others = OtherWork()
    workers = Workers(images.numpy(), args.processes, [*names, "opencv_segment"] if cv2 else names)
    try:
        workers.run("per_image_segment")  # the masks for per_image_masks
        batched, failed = batched_methods(images, batch, args)
        methods = per_image_methods(workers, images) + batched
        interleave(methods, args.repeats, args.round_seconds, lambda text: say(f"  {text}"))
        agreement = compare_masks(images, workers)
    finally:
        workers.close()
    held = {method.key: method for method in methods}
    stages = stage_shares(held["ours"].run, torch.device(args.device), args.round_seconds * args.repeats)
    return {
        "batch": batch,
        "size": size,
        "channels": channels,
        "data": data,
        "methods": {method.key: method.summary() for method in methods},
        "failed": failed,
        "ratios": [ratio(held[a], held[b]) for a, b in PAIRS if a in held and b in held],
        "stages": stages,
        "agreement": agreement,
        "other_work": others.share(),
    }


def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    torch.set_num_threads(args.threads)
    os.environ.setdefault("RAYON_NUM_THREADS", str(args.threads))  # kornia_rs
    settings = {name: getattr(args, name) for name in ("device", "threads", "processes", "repeats", "round_seconds")}
    result = {"environment": environment(torch.device(args.device)), "settings": settings, "cases": []}
    print("\n".join([*environment_lines(result), ""]))
    for case in cases(args):
        result["cases"].append(measure(case, args))
        print("\n".join(case_lines(result, result["cases"][-1])), flush=True)
        if args.out:
            save(result, args.out)  # after each case: a grid that is stopped half-way keeps its first half


if __name__ == "__main__":
    main()
