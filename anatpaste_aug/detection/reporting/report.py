"""The run folder as a reader finds it: results table, scores as CSV, metrics as JSON, and one HTML page."""

from __future__ import annotations

import base64
import csv
import dataclasses
import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import torch
from torch import Tensor

from anatpaste_aug import __version__
from anatpaste_aug.detection.evaluation.intervals import Interval
from anatpaste_aug.detection.evaluation.metrics import Metrics
from anatpaste_aug.detection.reporting.captions import CAPTIONS
from anatpaste_aug.detection.reporting.result_tables import Table
from anatpaste_aug.detection.training.config import TrainConfig
from anatpaste_aug.files import atomic_path
from anatpaste_aug.names import in_table


@dataclasses.dataclass(frozen=True)
class ResultRow:
    """One line of the results: figures of one set of weights on one test set.

    ``dataset`` names the data as the reader must see them ("phantoms (synthetic)"), ``weights`` is "best" (chosen by
    validation AUROC) or "last", or the name of another method; ``update`` and ``val_auroc`` tell where these weights
    come from, ``interval`` how sure the AUROC is.
    """

    dataset: str
    weights: str
    metrics: Metrics
    update: int | None = None
    val_auroc: float | None = None
    interval: Interval | None = None

    def cells(self) -> dict[str, str]:
        """Column title to text, in the order of the table."""
        figures = self.metrics
        return {
            "dataset": self.dataset,
            "weights": self.weights,
            "update": "–" if self.update is None else str(self.update),
            "val. AUROC": "–" if self.val_auroc is None else f"{self.val_auroc:.3f}",
            "AUROC": f"{figures.auroc:.3f}" if self.interval is None else str(self.interval),
            "accuracy": f"{figures.accuracy:.3f}",
            "F1": f"{figures.f1:.3f}",
            "sensitivity": f"{figures.sensitivity:.3f}",
            "specificity": f"{figures.specificity:.3f}",
            "threshold": f"{figures.threshold:.4g}",
        }


def results_table(rows: Sequence[ResultRow]) -> str:
    """The results as a plain text table for the terminal; text to the left, numbers to the right.

    Raises:
        ValueError: there are no rows.
    """
    cells = _cells(rows)
    lines = [list(cells[0]), *(list(row.values()) for row in cells)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    aligned = [
        [
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    ]
    aligned.insert(1, ["─" * width for width in widths])
    return "\n".join("  ".join(line).rstrip() for line in aligned)


def write_scores_csv(
    path: str | os.PathLike[str], names: Sequence[str], labels: Any, columns: Mapping[str, Any]
) -> Path:
    """One line per image: name, label, and the given columns.

    Args:
        path: the file to write.
        names: M file names. One that a spreadsheet would take for a formula (``=1+1.png``) is written ``./=1+1.png``.
        labels: M values, 0 (normal) or 1 (abnormal).
        columns: title to M values, such as ``{"best": scores, "best_scaled": scaled}``.

    Raises:
        ValueError: a column does not have M values.
    """
    listed = {
        "name": [in_table(name) for name in names],
        "label": _plain(labels),
        **{title: _plain(data) for title, data in columns.items()},
    }
    for title, values in listed.items():
        if len(values) != len(names):
            raise ValueError(f"column {title!r} has {len(values)} values for {len(names)} names")
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(listed)
        writer.writerows(zip(*listed.values(), strict=True))
    return Path(path)


def write_metrics_json(
    path: str | os.PathLike[str], rows: Sequence[ResultRow], extra: Mapping[str, Any] | None = None
) -> Path:
    """The figures in full precision under ``"results"``, and ``extra`` beside them.

    Args:
        path: the file to write.
        rows: the results, best and last weights.
        extra: what else to keep; dataclasses, paths, arrays and tensors become plain JSON.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot hold.
        TypeError: a value has no JSON form.
    """
    results = []
    for row in rows:
        flat = dataclasses.asdict(row)
        figures = flat.pop("metrics")
        results.append({**flat, **figures})
    text = json.dumps({"results": results, **(extra or {})}, indent=2, allow_nan=False, default=_plain)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return Path(path)


def environment(device: str = "cpu") -> dict[str, str]:
    """Versions and hardware of this process, for the record of a run."""
    found = {"device": f"{_cpu_name()}, {torch.get_num_threads()} threads"}
    if torch.device(device).type == "cuda":
        found["device"] = torch.cuda.get_device_name(device)
    found["system"] = f"{platform.system()} {platform.machine()}"
    found["python"] = platform.python_version()
    found["anatpaste_aug"] = __version__
    for package in ("torch", "torchvision", "kornia", "timm", "scikit-learn", "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def write_report(
    run_dir: str | os.PathLike[str],
    *,
    title: str,
    config: TrainConfig | Mapping[str, Any],
    data: Mapping[str, Any],
    rows: Sequence[ResultRow],
    figures: Mapping[str, str | os.PathLike[str]],
    environment: Mapping[str, Any],
    highlights: Sequence[ResultRow] | None = None,
    tables: Sequence[Table] = (),
    methods: Mapping[str, str] | None = None,
    protocol: str = "",
    data_note: str = "",
    command: str = "",
    seconds: float | None = None,
) -> Path:
    """Writes ``report.html``: one page that explains the run to a reader who has not seen the code.

    The page needs no other file: pictures are part of it. All text is escaped, file names included.

    Args:
        run_dir: the existing run folder.
        title: heading of the page.
        config: settings of the training.
        data: what to call a set of images to how many there are, such as ``{"training, normal": 1133}``.
        rows: results of the best and the last weights, or of several methods; empty where nothing was trained.
        figures: PNG files, relative to ``run_dir`` or absolute. The keys of
            ``CAPTIONS``, such as ``"roc"``, come with an explanation; any other is a heading of its own, after them.
        environment: versions and hardware, from :func:`environment`.
        highlights: results that stand at the top; None is the first two.
        tables: shown above the results, each with its notes.
        methods: name of an augmentation -> what it does, in a sentence.
        protocol: how the images were split, in a sentence.
        data_note: stands out at the top: that the data are synthetic, stand-ins or development data.
        command: the command line of the run.
        seconds: time of training and scoring.

    Returns:
        Path of the page.

    Raises:
        FileNotFoundError: the folder or a picture is missing.
        ValueError: there is nothing to show, neither rows nor tables nor figures.
    """
    if not (rows or tables or figures):
        raise ValueError("no results to show")
    run_dir = Path(run_dir)
    order = [name for name in CAPTIONS if name in figures] + [name for name in figures if name not in CAPTIONS]
    pictures = []
    for name in order:
        heading, caption = CAPTIONS.get(name, (name, ""))
        encoded = base64.b64encode((run_dir / figures[name]).read_bytes()).decode("ascii")
        pictures.append({"heading": heading, "caption": caption, "source": f"data:image/png;base64,{encoded}"})
    top = rows[:2] if highlights is None else highlights
    settings = dataclasses.asdict(config) if isinstance(config, TrainConfig) else dict(config)
    template = resources.files("anatpaste_aug.detection.reporting").joinpath("report.html").read_text(encoding="utf-8")
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(template)
    html = page.render(
        title=title,
        config=settings,
        data=data,
        rows=[row.cells() for row in rows],
        tables=[table.html() for table in tables],
        methods=methods or {},
        cards=[(row.dataset, _whose(row), f"{row.metrics.auroc:.3f}") for row in top],
        test_counts=sorted({(row.dataset, row.metrics.normal, row.metrics.abnormal) for row in rows}),
        pictures=pictures,
        environment=environment,
        protocol=protocol,
        data_note=data_note,
        command=command,
        time=None if seconds is None else _duration(seconds),
    )
    target = run_dir / "report.html"
    with atomic_path(target) as temporary:
        temporary.write_text(html, encoding="utf-8", errors="backslashreplace")
    return target


def _whose(row: ResultRow) -> str:
    return f"{row.weights} weights" if row.weights in ("best", "last") else row.weights


def _cells(rows: Sequence[ResultRow]) -> list[dict[str, str]]:
    if not rows:
        raise ValueError("no results to show")
    return [row.cells() for row in rows]


def _plain(value: Any) -> Any:
    """Arrays, tensors, dataclasses and paths as plain Python values; sequences as lists."""
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


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # no such file outside Linux, no such line on some CPUs
        return platform.processor() or "CPU"
