"""The performance targets of the project, evaluated on the cases of a run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from tables import BUSY, aligned

Result = dict[str, Any]

STANDARD = (64, 256, 1)  # batch, size, channels: the case that the others vary
SCALING_CASES = [(512, 256, 1), (64, 1024, 1)]


class Found(NamedTuple):
    """A result, and the lowest and highest of its rounds (for training steps: the quartiles)."""

    value: float
    low: float
    high: float
    note: str = ""


@dataclass(frozen=True)
class Target:
    """``needed`` is the minimum (the maximum if less is better), ``aim`` is the goal."""

    name: str
    needed: float
    aim: float
    find: Callable[[Result], Found | None]
    unit: str = "×"
    at_most: bool = False

    def holds(self, value: float, limit: float) -> bool:
        return value <= limit if self.at_most else value >= limit


def _case(result: Result, case: tuple[int, int, int]) -> Result:
    cases = result.get("cases", [])
    return next((c for c in cases if (c["batch"], c["size"], c["channels"]) == case), {})


def _against(ours: str, against: str) -> Callable[[Result], Found | None]:
    def find(result: Result) -> Found | None:
        for ratio in _case(result, STANDARD).get("ratios", []):
            if (ratio["ours"], ratio["against"]) == (ours, against):
                return Found(ratio["ratio"], ratio["min"], ratio["max"])
        return None

    return find


def _large_batch(result: Result) -> Found | None:
    ratio = _case(result, SCALING_CASES[0]).get("scaling")
    return Found(ratio["ratio"], ratio["min"], ratio["max"]) if ratio else None


def _large_images(result: Result) -> Found | None:
    ratio = _case(result, SCALING_CASES[1]).get("scaling")
    if not ratio:
        return None
    pixels = (SCALING_CASES[1][1] / STANDARD[1]) ** 2
    return Found(*(1 / (ratio[name] * pixels) for name in ("ratio", "max", "min")))


def _added(size: int) -> Callable[[Result], Found | None]:
    """Return the larger of two measures: the difference of whole steps, and the time of the augmentation in them."""

    def find(result: Result) -> Found | None:
        for case in result.get("training", []):
            if (case["size"], case["batch"]) == (size, 64) and "ours" in case["methods"]:
                steps, alone = (case["methods"]["ours"][name] for name in ("added_percent", "waited_percent"))
                larger = max(steps, alone, key=lambda spread: spread["median"])
                note = f"steps differ by {steps['median']:.2f} %, augmentation alone {alone['median']:.2f} %"
                return Found(larger["median"], larger["low"], larger["high"], note)
        return None

    return find


TARGETS = [
    Target("images/s, against the per-image pipeline", 6, 10, _against("ours", "per_image")),
    Target("segmentation, against OpenCV's parts", 0.7, 1.2, _against("ours_segment", "opencv_segment")),
    Target("masks given, against the per-image pipeline with masks", 6, 12, _against("ours_masks", "per_image_masks")),
    Target("without Numba, against the per-image pipeline", 1, 2, _against("ours_plain", "per_image")),
    Target("without Numba, masks given, against it with masks", 1, 2, _against("ours_plain_masks", "per_image_masks")),
    Target("NSA, against its public code image by image", 4, 8, _against("nsa", "per_image_nsa")),
    Target("Poisson blending, against OpenCV's normal clone", 4, 8, _against("poisson_normal", "clone_normal")),
    Target("Poisson blending, against OpenCV's mixed clone", 4, 8, _against("poisson_mixed", "clone_mixed")),
    Target("one PIL image at a time, against it in 1 process", 2, 4, _against("ours_pil", "per_image_single")),
    Target("added to a ResNet-18 step at 64 px", 3, 1, _added(64), " %", at_most=True),
    Target("added to a ResNet-18 step at 128 px", 3, 1, _added(128), " %", at_most=True),
    Target("images/s at batch 512, against batch 64", 0.9, 1, _large_batch),
    Target("time per pixel at 1024 px, against 256 px", 1.3, 1.1, _large_images, at_most=True),
]


def targets(result: Result) -> list[Result]:
    """Return the targets that this run has measured."""
    rows = []
    for target in TARGETS:
        found = target.find(result)
        if found is None:
            continue
        reached = [name for name in ("aim", "needed") if target.holds(found.value, getattr(target, name))]
        limit = getattr(target, reached[0]) if reached else target.needed
        rows.append(
            {
                "target": target.name,
                "needed": target.needed,
                "aim": target.aim,
                "at_most": target.at_most,
                "unit": target.unit,
                **found._asdict(),
                "reached": reached[0] if reached else None,
                "divided": found.low < limit < found.high,
            }
        )
    return rows


def target_lines(result: Result) -> list[str]:
    """Format as a Markdown table; empty if there are no targets."""
    if not result["targets"]:
        return []
    table = [("target", "needed", "aim", "here [spread]", "")]
    words = {"aim": "aim reached", "needed": "reached", None: "MISSED"}
    for row in result["targets"]:
        sign, unit = "≤" if row["at_most"] else "≥", row["unit"]
        here = f"{row['value']:.2f}{unit} [{row['low']:.2f}–{row['high']:.2f}]"
        here += f"; {row['note']}" if row["note"] else ""
        verdict = words[row["reached"]] + ", but not in all rounds" * row["divided"]
        table.append((row["target"], f"{sign} {row['needed']:g}{unit}", f"{sign} {row['aim']:g}{unit}", here, verdict))
    cases = [*result.get("cases", []), *result.get("training", [])]
    busy = any((case["other_work"] or 0) > BUSY for case in cases)
    note = ["", "- TOO BUSY: other work took part of the machine meanwhile (see above); not worth quoting"]
    return ["## Targets", "", *aligned(table), *note * busy, ""]
