"""Compare the speed of reading lung masks from a cache with that of segmenting again.

    python benchmarks/mask_cache.py                        # 64 images of 256 px, well below a minute
    python benchmarks/mask_cache.py --count 512 --workers 8 --images FOLDER

Images per second; the methods alternate; median, lowest and highest round:

a  `LungSegmenter` on batches, as without a cache
b  filling a new cache: segmenting, hashing and writing (not synced to the disk)
c  b with ``--workers`` threads that read the images
d  reading batches by shuffled indices
e  d through `CachedSegmenter`, which looks masks up by the hashes of their images
f  d one image at a time
g  e one image at a time

d to g read what has just been written: it comes from the page cache, not from the disk.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import torch
from measuring import Method, OtherWork, cores, environment, interleave, say
from options import find_images, load
from tables import environment_lines

from anatpaste_aug import LungSegmenter
from anatpaste_aug.mask_cache import CachedSegmenter, MaskCache


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=64, help="images (default: 64)")
    parser.add_argument("--batch", type=int, default=32, help="batch size (default: 32)")
    parser.add_argument("--size", type=int, default=256, help="side of the images in pixels (default: 256)")
    parser.add_argument("--threads", type=int, default=cores(), help="torch's threads (default: the cores)")
    parser.add_argument("--workers", type=int, default=cores(), help="threads of method c (default: the cores)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--round-seconds", type=float, default=0.2, help="least duration of a method's round")
    parser.add_argument("--images", type=Path, metavar="DIR", help="a folder of radiographs")
    parser.add_argument("--phantoms", action="store_true", help="phantoms, even where there are radiographs")
    parser.add_argument("--folder", type=Path, help="where the caches are written (default: the temporary folder)")
    args = parser.parse_args(argv)
    for name in ("count", "batch", "threads", "workers", "repeats"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} {getattr(args, name)}: must be at least 1")
    if args.size < 32:
        parser.error(f"--size {args.size}: must be at least 32, the least that the segmentation takes")
    args.files = [] if args.phantoms else find_images(args.images)
    if args.images and not args.files and not args.phantoms:
        parser.error(f"--images {args.images}: no image files in this folder")
    return args


def fill(images: torch.Tensor, path: Path, batch: int, workers: int) -> None:
    path.unlink(missing_ok=True)
    MaskCache(path).fill(images, batch_size=batch, workers=workers, progress=False)


def methods(images: torch.Tensor, folder: Path, args: argparse.Namespace) -> list[Method]:
    count, segmenter = len(images), LungSegmenter()
    fill(images, folder / "filled", args.batch, 0)
    cache = MaskCache(folder / "filled")
    cached = CachedSegmenter(cache)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0)).split(args.batch)
    whole = cache[range(count)]
    if not (torch.equal(whole, segmenter(images)) and torch.equal(cached(images), whole)):
        raise RuntimeError("the cache's masks are not the segmenter's: nothing is measured")
    return [
        Method("segment", "a  segmenting", count, lambda: [segmenter(images[rows]) for rows in order]),
        Method("fill", "b  filling", count, partial(fill, images, folder / "new", args.batch, 0)),
        Method(
            "fill_workers",
            f"c  filling, {args.workers} worker{'s' * (args.workers > 1)}",
            count,
            partial(fill, images, folder / "new", args.batch, args.workers),
        ),
        Method("read", "d  reading by index", count, lambda: [cache[rows] for rows in order]),
        Method("lookup", "e  reading by content", count, lambda: [cached(images[rows]) for rows in order]),
        Method("read_one", "f  d, one at a time", count, lambda: [cache[i] for i in range(count)]),
        Method("lookup_one", "g  e, one at a time", count, lambda: [cached(images[i : i + 1]) for i in range(count)]),
    ]


def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    torch.set_num_threads(args.threads)
    images, data = load(args.files, args.count, args.size)
    settings = {"threads": args.threads, "processes": args.workers, "repeats": args.repeats}
    lines = environment_lines({"environment": environment(torch.device("cpu")), "settings": settings})
    lines.append(f"- {len(images)} images of {args.size} px, {data['kind']}, batches of {args.batch}")
    print("\n".join(lines), flush=True)
    others = OtherWork()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        measured = methods(images, Path(folder), args)
        interleave(measured, args.repeats, args.round_seconds, say)
        size = (Path(folder) / "filled").stat().st_size
    base = measured[0].summary()["images_per_s"]["median"]
    print("\n| method | images/s [min–max] | against a |\n|---|---|---|")
    for method in measured:
        rate = method.summary()["images_per_s"]
        spread = f"{rate['median']:.0f} [{rate['min']:.0f}–{rate['max']:.0f}]"
        print(f"| {method.label} | {spread} | {rate['median'] / base:.2f}× |")
    print(f"\n- {size / len(images) / 1000:.1f} kB of disk an image")
    if (busy := others.share()) is not None:
        warning = " — TOO BUSY: these figures are not worth quoting" if busy > 0.05 else ""
        print(f"- Other work took {100 * busy:.0f} % of the machine's processor time{warning}")


if __name__ == "__main__":
    main()
