"""Search for masks whose components need many rounds of labelling, to hold `label_rounds` against.

    python benchmarks/label_rounds.py --seconds 60 --out runs/label_rounds.json

An accelerator runs a fixed number of rounds. All families of `masks_that_need_rounds.py` are tried in all orientations,
as pixels (blocks of 2×2, as `clear_border` labels them) and with a block for each of their pixels (as the blocks of 4×4
and 6×6 of the lung segmentation can be linked); then the worst are mutated for a given time.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from masks_that_need_rounds import FAMILIES, Mask, mutated, turned

from anatpaste_aug.functional.blocks import first_labels, has_converged, label_round, label_rounds, link_blocks

GRIDS = [(16, 16), (32, 32), (43, 43), (64, 64), (16, 128), (128, 20), (100, 128), (128, 128), (256, 256), (512, 512)]
_STRUCTURED_ONLY = 512  # blocks a side from which on random masks and mutations are left out
_TOGETHER = 2**18  # blocks that are labelled at once


def rounds_needed(points: torch.Tensor, reach: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Of B×H×W points: rounds until the labels have converged, and how many labels the last round changed."""
    linked = link_blocks(points, reach)
    labels = first_labels(linked)
    rounds, changed = torch.zeros(2, len(points), dtype=torch.int64)
    while not (converged := has_converged(labels, linked)).all():
        before, labels = labels, label_round(labels, linked)
        rounds += ~converged
        changed = torch.where(converged, changed, (before != labels).sum(1))
    return rounds, changed


def measured(masks: list[Mask], one_block_each: bool) -> list[tuple[int, int]]:
    """Rounds and changed labels of masks, ordered as (rounds, changed) so that the worst is the greatest."""
    side = 4 if one_block_each else 1
    at_once = max(1, _TOGETHER * (1 if one_block_each else 4) // masks[0].size)
    found: list[tuple[int, int]] = []
    for start in range(0, len(masks), at_once):
        points = torch.from_numpy(np.stack(masks[start : start + at_once]))
        points = points.repeat_interleave(side, 1).repeat_interleave(side, 2)
        rounds, changed = rounds_needed(points, 3 if one_block_each else 1)
        found += zip(rounds.tolist(), changed.tolist(), strict=True)
    return found


def search(rows: int, columns: int, seconds: float, rng: np.random.Generator) -> dict[str, Any]:
    """The worst masks that are found on R×C blocks, and the number of rounds by family."""
    by_family: dict[str, int] = {}
    survivors: list[tuple[tuple[int, int], Mask, bool]] = []
    for one_block_each in (False, True):
        shape = (rows, columns) if one_block_each else (2 * rows, 2 * columns)
        for name, family in FAMILIES.items():
            if max(rows, columns) >= _STRUCTURED_ONLY and name == "random":
                continue
            # A family draws along the rows: one that is turned is drawn for the turned shape.
            masks = [version for mask in family(*shape, rng) for version in turned(mask)]
            masks += [version.T for mask in family(*shape[::-1], rng) for version in turned(mask)]
            scores = measured(masks, one_block_each)
            by_family[name] = max([by_family.get(name, 0), *(rounds for rounds, _ in scores)])
            survivors += zip(scores, masks, [one_block_each] * len(masks), strict=True)
    survivors = sorted(survivors, key=lambda entry: entry[0], reverse=True)[:32]
    if max(rows, columns) < _STRUCTURED_ONLY:
        climbed = max(climb([entry for entry in survivors if entry[2] == kind], seconds / 2, rng) for kind in (0, 1))
        by_family["mutations"] = climbed
    worst = max(by_family, key=lambda name: by_family[name])
    fixed = label_rounds(rows, columns)
    return {
        "rows": rows,
        "columns": columns,
        "worst": by_family[worst],
        "by": worst,
        "label_rounds": fixed,
        "ratio": fixed / by_family[worst],
        "families": by_family,
    }


def climb(survivors: list[tuple[tuple[int, int], Mask, bool]], seconds: float, rng: np.random.Generator) -> int:
    """Rounds of the worst mask after mutating for some time."""
    if not survivors:
        return 0
    scores, masks, kinds = (list(column) for column in zip(*survivors, strict=True))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        parents = rng.integers(0, len(masks), 8)
        children = [mutated(masks[parent], masks, rng) for parent in parents]
        for parent, child, score in zip(parents, children, measured(children, kinds[0]), strict=True):
            if score >= scores[parent]:
                masks[parent], scores[parent] = child, score
    return max(scores)[0]


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Search for masks that need many rounds of labelling.")
    parser.add_argument("--grid", nargs="+", default=[f"{r}x{c}" for r, c in GRIDS], help="blocks, rows x columns")
    parser.add_argument("--seconds", type=float, default=10, help="of mutation for each grid")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    args = parse(words)
    rng = np.random.default_rng(args.seed)
    print("| blocks | pixels, 2×2 each | worst found | by | label_rounds | ratio |\n|---|---|---:|---|---:|---:|")
    results = []
    for grid in args.grid:
        rows, columns = map(int, grid.split("x"))
        result = search(rows, columns, args.seconds, rng)
        results.append(result)
        line = f"| {rows}×{columns} | {2 * rows}×{2 * columns} | {result['worst']} | {result['by']} "
        print(line + f"| {result['label_rounds']} | {result['ratio']:.2f} |", flush=True)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps({"seed": args.seed, "seconds": args.seconds, "grids": results}, indent=2))
    return int(any(result["ratio"] < 2 for result in results))


if __name__ == "__main__":
    sys.exit(main())
