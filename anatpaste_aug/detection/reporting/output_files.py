"""Write results: a text table, scores as CSV, metrics as JSON."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from anatpaste_aug.detection.evaluation.results import ResultRow, result_cells
from anatpaste_aug.files import atomic_path, spreadsheet_safe


def results_table(rows: Sequence[ResultRow]) -> str:
    """Return the results as a plain text table; text is aligned to the left, numbers to the right.

    Columns with the same text in all rows are left out, see `result_cells`.

    Raises:
        ValueError: There are no rows.
    """
    if not rows:
        raise ValueError("no results to show")
    cells = result_cells(rows)
    lines = [list(cells[0]), *(list(row.values()) for row in cells)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    aligned = [
        [
            cell.ljust(width) if title in ("dataset", "method") else cell.rjust(width)
            for title, cell, width in zip(cells[0], line, widths, strict=True)
        ]
        for line in lines
    ]
    aligned.insert(1, ["─" * width for width in widths])
    return "\n".join("  ".join(line).rstrip() for line in aligned)


def write_scores_csv(
    path: str | os.PathLike[str], names: Sequence[str], labels: Any, columns: Mapping[str, Any]
) -> Path:
    """Write one line per image: name, label, and the given columns.

    Args:
        path: The file to write.
        names: M file names. See `spreadsheet_safe` for those that look like formulas.
        labels: M values, 0 (normal) or 1 (abnormal).
        columns: Title to M values, such as ``{"best": scores, "best_scaled": scaled}``.

    Raises:
        ValueError: A column does not have M values.
    """
    table = {
        "name": [spreadsheet_safe(name) for name in names],
        "label": _plain(labels),
        **{title: _plain(data) for title, data in columns.items()},
    }
    for title, values in table.items():
        if len(values) != len(names):
            raise ValueError(f"column {title!r} has {len(values)} values for {len(names)} names")
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
    return Path(path)


def write_metrics_json(
    path: str | os.PathLike[str], rows: Sequence[ResultRow], extra: Mapping[str, Any] | None = None
) -> Path:
    """Write the metrics in full precision under ``"results"``, and ``extra`` beside them.

    Args:
        path: The file to write.
        rows: The results.
        extra: Further entries; dataclasses, paths, arrays and tensors become plain JSON.

    Raises:
        ValueError: A number is NaN or infinite, which JSON cannot hold.
        TypeError: A value has no JSON form.
    """
    results = []
    for row in rows:
        flat = dataclasses.asdict(row)
        metrics = flat.pop("metrics")
        results.append({**flat, **metrics})
    text = json.dumps({"results": results, **(extra or {})}, indent=2, allow_nan=False, default=_plain)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return Path(path)


def _plain(value: Any) -> Any:
    """Convert arrays, tensors, dataclasses and paths to plain Python values; sequences to lists."""
    if isinstance(value, Tensor):
        return value.detach().cpu().tolist()
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return list(value)
    raise TypeError(f"cannot write a {type(value).__name__}")
