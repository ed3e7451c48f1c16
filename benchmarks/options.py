"""Command-line options and images that the benchmarks share."""

import argparse
import os
from pathlib import Path
from typing import Any

import torch
from measuring import cores

from anatpaste_aug.datasets import phantom_batch, read_gray

SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}


def add_shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where the batches are")
    parser.add_argument("--threads", type=positive, default=cores(), help="torch's threads (default: the cores)")
    parser.add_argument("--processes", type=positive, default=cores(), help="worker processes (default: the cores)")
    parser.add_argument("--images", type=Path, metavar="DIR", help="a folder of radiographs")
    parser.add_argument("--phantoms", action="store_true", help="phantoms, even where there are radiographs")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write the figures there")


def apply_shared(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Check these options, find the image files (``args.files``), and set torch's threads."""
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch sees no CUDA device here")
    if args.images and not args.images.is_dir():
        parser.error(f"--images {args.images}: no such folder")
    args.files = [] if args.phantoms else find_images(args.images)
    if args.images and not args.files and not args.phantoms:
        parser.error(f"--images {args.images}: no image files ({', '.join(sorted(SUFFIXES))}) in this folder")
    torch.set_num_threads(args.threads)
    os.environ.setdefault("RAYON_NUM_THREADS", str(args.threads))  # kornia_rs


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is below 1")
    return value


def image_size(text: str) -> int:
    value = int(text)
    if value < 32:
        raise argparse.ArgumentTypeError(f"{value} is below 32 pixels, the least that the augmentation takes")
    return value


def find_images(folder: Path | None) -> list[Path]:
    """List the folder's image files; without a folder, those of the development data, if it exists."""
    if folder is None:
        shared = Path(__file__).resolve().parents[2] / "shared" / "data"
        folder = Path(os.environ.get("ANATPASTE_DATA", shared)) / "lung_masks" / "images"
    return sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES)


def load(files: list[Path], count: int, size: int, channels: int = 1) -> tuple[torch.Tensor, dict[str, Any]]:
    """Load uint8 count×channels×size×size, and describe it."""
    if files:
        chosen = [files[i * len(files) // count] for i in range(count)]
        images = torch.stack([torch.from_numpy(read_gray(path, size))[None] for path in chosen])
        data = {"kind": "radiographs", "files": len(set(chosen)), "folder": "/".join(files[0].parent.parts[-2:])}
    else:
        images = phantom_batch(count, size=size, seed=0).images
        data = {"kind": "phantoms (synthetic)", "files": count, "folder": None}
    return images.expand(-1, channels, -1, -1).contiguous(), data
