"""Format the results of `training_step.py` as tables."""

import json
from pathlib import Path
from typing import Any

from measuring import say
from tables import aligned, environment_lines, other_work_lines
from targets import target_lines


def training_lines(case: dict[str, Any]) -> list[str]:
    """Format one size as Markdown."""
    rows = [("second half of the batch", "ms/step", "added ms", "added %", "waited ms", "waited %")]
    for key, method in case["methods"].items():
        columns = ("step_ms", "added_ms", "added_percent", "waited_ms", "waited_percent")
        cells = [_cell(method[column]) if key != "none" or column == "step_ms" else "" for column in columns]
        rows.append((method["label"], *cells))
    count = len(case["methods"]["none"]["step_ms"]["rounds"])
    return [
        f"## training step, 2 × {case['batch']} images, {case['size']} px",
        "",
        f"Median [quartiles] of {count} rounds; ResNet-18 with SGD; {case['data']['kind']}.",
        "",
        *aligned(rows),
        "",
        *other_work_lines(case),
        "",
    ]


def _cell(spread: dict[str, Any]) -> str:
    return f"{spread['median']:.4g} [{spread['low']:.4g}–{spread['high']:.4g}]"


def save(result: dict[str, Any], folder: Path) -> None:
    """Write training_step.json and training_step.md."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "training_step.json").write_text(json.dumps(result, indent=1) + "\n")
    lines = ["# Training step", "", *environment_lines(result), ""]
    for case in result["training"]:
        lines += training_lines(case)
    lines += target_lines(result)
    (folder / "training_step.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    say(f"written: {folder}")
