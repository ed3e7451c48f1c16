"""Check that nothing grows or drifts over a long run.

    python benchmarks/soak.py                              # 20,000 batches of 8 images of 64 px: minutes on one core
    python benchmarks/soak.py --batches 200000 --out runs/soak
    python benchmarks/soak.py --hosts augment --size 256 --batch 64

Batches of randomly chosen images are augmented, by the hosts in alternation:

augment  `AnatPasteTransform.augment` on uint8
kornia   `KorniaPaste` on float, which keeps its last result
cached   `augment` with a `CachedSegmenter`, whose masks are all cached after a few batches

*Memory*: a line is fitted to the resident memory of the process, without the warm-up, and the median of the last tenth
of the samples is compared with that of the first. *Drift*: a two-sample Kolmogorov-Smirnov test of the first quarter of
the images against the last, for every sampled parameter and for the fraction of the image that changed. For discrete
values, which have ties, its p-values are too large. *Repeats*: images with the same parameters as an earlier one.

Exit code: 1 if the memory grew by more than ``--growth``, if the smallest p-value times their number is below 0.001, or
if parameters were repeated; else 0.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from measuring import OtherWork, environment, say
from memory import resident, trim
from options import find_images, image_size, load, positive
from scipy.stats import ks_2samp
from tables import aligned, environment_lines

from anatpaste_aug import AnatPasteTransform, PasteParams
from anatpaste_aug.adapters.kornia import KorniaPaste
from anatpaste_aug.files import atomic_path
from anatpaste_aug.mask_cache import CachedSegmenter, MaskCache

HOSTS = ("augment", "kornia", "cached")
WARM_UP = 0.1  # fraction of the batches, to fill the caches of the allocator and of the hosts
SIGNIFICANT = 0.001
_SAMPLES = 100  # of the memory
_CONTINUOUS = ["opacity", "sigma", "brightness", "contrast", "saturation", "hue"]

Rows = npt.NDArray[np.float32]


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=positive, default=20_000, help="to augment (default: 20,000)")
    parser.add_argument("--batch", type=positive, default=8, help="images in each (default: 8)")
    parser.add_argument("--size", type=image_size, default=64, help="side of the images in pixels (default: 64)")
    parser.add_argument("--pool", type=positive, default=64, help="images to choose from (default: 64)")
    parser.add_argument("--hosts", nargs="+", choices=HOSTS, default=list(HOSTS), help="in turns (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice and of the augmentations (default: 0)")
    parser.add_argument("--threads", type=positive, default=1, help="torch's threads (default: 1)")
    parser.add_argument("--growth", type=float, default=8.0, help="MiB that are no leak yet (default: 8)")
    parser.add_argument("--images", type=Path, metavar="DIR", help="a folder of radiographs")
    parser.add_argument("--phantoms", action="store_true", help="phantoms, even where there are radiographs")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write the figures there, soak.json")
    args = parser.parse_args(argv)
    if args.batches < 40:
        parser.error(f"--batches {args.batches}: must be at least 40, so that a quarter of them tells something")
    args.files = [] if args.phantoms else find_images(args.images)
    if args.images and not args.files and not args.phantoms:
        parser.error(f"--images {args.images}: no image files in this folder")
    return args


class Hosts:
    """One call of a host: the parameters of each image, and the fraction of it that changed."""

    def __init__(self, images: torch.Tensor) -> None:
        self._images, self._unit = images, images / 255
        self._plain, self._kornia = AnatPasteTransform(), KorniaPaste()
        self._folder = tempfile.TemporaryDirectory()
        cache = MaskCache(Path(self._folder.name) / "lungs.sqlite")
        self._cached = AnatPasteTransform(segmenter=CachedSegmenter(cache))

    def __call__(self, host: str, chosen: torch.Tensor) -> tuple[PasteParams, torch.Tensor]:
        if host == "kornia":
            self._kornia(self._unit[chosen])
            result = self._kornia.result
            assert result is not None
        else:
            result = (self._cached if host == "cached" else self._plain).augment(self._images[chosen])
        return result.params.patch(0), result.anomaly_mask.float().mean((1, 2, 3))


def columns() -> list[str]:
    """Return the names of the recorded values of each image."""
    names = [name for name in PasteParams._fields if name != "jitter_order"]
    return [*names, *(f"jitter_order_{i}" for i in range(4)), "changed"]


def soak(args: argparse.Namespace, images: torch.Tensor) -> tuple[Rows, list[tuple[int, int]]]:
    """Run; return the sampled values, a row per image, and pairs (batches done, bytes in memory)."""
    hosts, choice = Hosts(images), torch.Generator().manual_seed(args.seed)
    torch.manual_seed(args.seed)
    rows = np.full((args.batches * args.batch, len(columns())), np.nan, np.float32)  # allocates all of its memory now
    every, samples = max(args.batches // _SAMPLES, 1), []
    for done in range(args.batches):
        chosen = torch.randint(len(images), (args.batch,), generator=choice)
        params, changed = hosts(args.hosts[done % len(args.hosts)], chosen)
        singles = [field for name, field in params._asdict().items() if name != "jitter_order"]
        block = torch.stack([*singles, *params.jitter_order.T, changed], dim=1)
        rows[done * args.batch : (done + 1) * args.batch] = block.numpy()
        if (done + 1) % every == 0:
            trim()  # memory that the allocator keeps could hide a leak
            samples.append((done + 1, resident("VmRSS")))
        if (done + 1) % (every * 20) == 0:
            say(f"{done + 1:,} of {args.batches:,} batches, {samples[-1][1] / 2**20:.1f} MiB")
    return rows, samples


def memory_figures(samples: list[tuple[int, int]], batches: int) -> dict[str, Any]:
    """Return the bytes in memory after the warm-up and at the end, and the slope of a line through all samples."""
    done, taken = np.array([sample for sample in samples if sample[0] > WARM_UP * batches], dtype=np.float64).T
    tenth = max(len(done) // 10, 1)
    first, last = (float(np.median(part)) for part in (taken[:tenth], taken[-tenth:]))
    slope = float(np.polyfit(done, taken, 1)[0]) if len(done) > 1 else 0.0
    return {
        "after_warm_up": first,
        "end": last,
        "growth": last - first,
        "bytes_per_batch": slope,
        "samples": samples,
    }


def drift_figures(rows: Rows) -> dict[str, dict[str, float] | None]:
    """Compute the K-S statistic and p-value of each column, first quarter against last (None if constant)."""
    quarter = len(rows) // 4
    figures: dict[str, dict[str, float] | None] = {}
    for name, values in zip(columns(), rows.T, strict=True):
        found = None
        if values.min() < values.max():
            test = ks_2samp(values[:quarter], values[-quarter:], method="asymp")
            found = {"statistic": float(test.statistic), "p": float(test.pvalue)}
        figures[name] = found
    return figures


def repeated(rows: Rows) -> int:
    """Count images whose continuous parameters all equal those of an earlier image."""
    places = [columns().index(name) for name in _CONTINUOUS]
    return len(rows) - len(np.unique(rows[:, places], axis=0))


def lines_of(result: dict[str, Any]) -> list[str]:
    memory, drift = result["memory"], result["drift"]
    table = [("parameter", "KS statistic", "p")]
    for name, found in drift.items():
        table.append(
            (name, "constant", "–") if found is None else (name, f"{found['statistic']:.4f}", f"{found['p']:.3f}")
        )
    smallest, count = result["smallest_p"], sum(found is not None for found in drift.values())
    corrected = min(smallest * count, 1)
    start, end = memory["after_warm_up"] / 2**20, memory["end"] / 2**20
    busy = "" if result["other_work"] is None else f" beside other work of {result['other_work']:.0%}"
    return [
        f"- {result['seconds'] / 60:.1f} minutes, {result['images_per_s']:.0f} images/s{busy}",
        f"- memory: {start:.1f} MiB after the warm-up, {end:.1f} MiB at the end ({end - start:+.2f} MiB); slope "
        f"{memory['bytes_per_batch'] * 1000 / 1024:+.2f} KiB per 1,000 batches",
        f"- drift: smallest p-value {smallest:.3f} of {count} parameters, {corrected:.3f} after Bonferroni",
        f"- repeated draws: {result['repeated']}",
        "",
        *aligned(table),
    ]


def verdicts(result: dict[str, Any]) -> list[str]:
    """List the problems found."""
    wrong = []
    if (growth := result["memory"]["growth"] / 2**20) > result["settings"]["growth"]:
        wrong.append(f"the memory grew by {growth:.1f} MiB")
    found = [figures["p"] for figures in result["drift"].values() if figures is not None]
    if min(found) * len(found) < SIGNIFICANT:
        wrong.append("the parameters of the last quarter are distributed otherwise than those of the first")
    if result["repeated"]:
        wrong.append(f"{result['repeated']} images got the draws of an earlier one")
    return wrong


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    torch.set_num_threads(args.threads)
    images, data = load(args.files, args.pool, args.size)
    kept = ("batches", "batch", "size", "pool", "hosts", "seed", "threads", "growth")
    settings = {name: getattr(args, name) for name in kept} | {"processes": 1}
    result: dict[str, Any] = {"environment": environment(torch.device("cpu")), "settings": settings, "data": data}
    print("\n".join(environment_lines(result)))
    print(
        f"- {args.batches:,} batches of {args.batch} images of {args.size} px, of {args.pool} {data['kind']}; "
        f"hosts in turns: {', '.join(args.hosts)}",
        flush=True,
    )
    others, start = OtherWork(), time.perf_counter()
    rows, samples = soak(args, images)
    seconds = time.perf_counter() - start
    drift = drift_figures(rows)
    result |= {
        "seconds": seconds,
        "images_per_s": len(rows) / seconds,
        "other_work": others.share(),
        "memory": memory_figures(samples, args.batches),
        "drift": drift,
        "smallest_p": min(found["p"] for found in drift.values() if found is not None),
        "repeated": repeated(rows),
    }
    print("\n".join(lines_of(result)))
    for wrong in (found := verdicts(result)):
        print(f"- NOT AS IT SHOULD BE: {wrong}")
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        with atomic_path(args.out / "soak.json") as file:
            file.write_text(json.dumps(result, indent=1) + "\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
