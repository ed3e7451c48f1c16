"""Compare the speed of this checkout with that of another one, on the same images in alternation.

    git worktree add ../before COMMIT
    python benchmarks/compare.py --with ../before

Each checkout runs `AnatPasteTransform().augment` in its own process: once with segmentation, and once with given masks.
The two processes alternate. The output is the images/s of both (medians) and the ratio of this checkout to the other
one, of the medians and within rounds. The other checkout can be any commit that has ``augment``.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from measuring import OtherWork, environment, say
from options import add_shared, apply_shared, image_size, load, positive
from tables import aligned, environment_lines, other_work_lines

HERE = Path(__file__).resolve().parents[1]
CASES = {"masks not given": [], "masks given": ["masks"]}

# The code of each process. It imports nothing from this checkout, so that older ones can run it.
WORKER = """
import json, sys, time
import numpy as np, torch
import anatpaste_aug
from anatpaste_aug import AnatPasteTransform
images, threads = torch.from_numpy(np.load(sys.argv[1])), int(sys.argv[2])
torch.set_num_threads(threads)
transform = AnatPasteTransform()
masks = transform.segmenter(images)
print(json.dumps(anatpaste_aug.__file__), flush=True)
for line in sys.stdin:
    loops, *given = line.split()
    start = time.perf_counter()
    for _ in range(int(loops)):
        transform.augment(images, *([masks] if given else []))
    print(json.dumps(time.perf_counter() - start), flush=True)
"""


class Checkout:
    """A process that augments with the package of one checkout."""

    def __init__(self, folder: Path, images: Path, threads: int) -> None:
        self.rates: dict[str, list[float]] = {case: [] for case in CASES}
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(images), str(threads)],
            env=os.environ | {"PYTHONPATH": str(folder)},
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        found = Path(str(self._answer()))
        if folder not in found.parents:
            raise RuntimeError(f"{folder} holds no package anatpaste_aug; {found} was imported")

    def seconds(self, loops: int, case: str) -> float:
        """Time a number of augmentations of the images."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join([str(loops), *CASES[case]]) + "\n")
        self._process.stdin.flush()
        return float(str(self._answer()))

    def _answer(self) -> object:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process ended with exit code {self._process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--with", dest="other", type=Path, required=True, metavar="FOLDER", help="the other checkout")
    parser.add_argument("--batch", type=positive, default=64, help="images in a batch (default: 64)")
    parser.add_argument("--size", type=image_size, default=256, help="side of the images in pixels (default: 256)")
    parser.add_argument("--repeats", type=positive, default=15, help="rounds (default: 15)")
    parser.add_argument("--round-seconds", type=float, default=0.5, help="least duration of a round (default: 0.5)")
    add_shared(parser)
    args = parser.parse_args(argv)
    if not (args.other / "anatpaste_aug" / "__init__.py").is_file():
        parser.error(f"--with {args.other}: no checkout of anatpaste_aug in this folder")
    apply_shared(parser, args)
    return args


def measure(args: argparse.Namespace, images: torch.Tensor) -> dict[str, list[list[float]]]:
    """Measure the images/s of this checkout and of the other one for each case, round by round."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "images.npy")
        np.save(file, images.numpy())
        both: list[Checkout] = []
        try:
            for place in (HERE, args.other.resolve()):
                say(f"starting {place}")
                both.append(Checkout(place, file, args.threads))
            loops = {}
            for case in CASES:
                slowest = max([checkout.seconds(1, case), checkout.seconds(1, case)][1] for checkout in both)
                loops[case] = max(1, round(args.round_seconds / slowest))
            for turn in range(args.repeats):
                say(f"round {turn + 1} of {args.repeats}")
                for case, count in loops.items():
                    for checkout in both if turn % 2 else both[::-1]:
                        checkout.rates[case].append(len(images) * count / checkout.seconds(count, case))
        finally:
            for checkout in both:
                checkout.close()
    return {case: [checkout.rates[case] for checkout in both] for case in CASES}


def table(rates: dict[str, list[list[float]]]) -> list[str]:
    """Format the medians, and the ratio of this checkout to the other one."""
    rows = [("", "this checkout, images/s", "the other", "ratio of the medians", "lowest round", "highest")]
    for case, (ours, theirs) in rates.items():
        medians = [statistics.median(rate) for rate in (ours, theirs)]
        rounds = [a / b for a, b in zip(ours, theirs, strict=True)]
        ratios = [f"{value:.3f}" for value in (medians[0] / medians[1], min(rounds), max(rounds))]
        rows.append((case, *(f"{median:.0f}" for median in medians), *ratios))
    return aligned(rows)


def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    images, data = load(args.files, args.batch, args.size)
    machine, others = environment(torch.device("cpu")), OtherWork()
    rates = measure(args, images)
    settings = {"threads": args.threads, "processes": 1, "repeats": args.repeats}
    lines = [*environment_lines({"environment": machine, "settings": settings})]
    lines += [
        f"- batch {args.batch}, {args.size} px, {data['kind']}",
        *other_work_lines({"other_work": others.share()}),
    ]
    print(*lines, "", *table(rates), sep="\n")
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        result = {"environment": machine, "settings": settings, "data": data, "images_per_s": rates}
        (args.out / "compare.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
