"""The report: one HTML page with results, figures, settings and environment."""

from __future__ import annotations

import base64
import dataclasses
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from anatpaste_aug.detection.evaluation.results import ResultRow, result_cells
from anatpaste_aug.detection.models.distances import SCORES
from anatpaste_aug.detection.reporting.captions import CAPTIONS
from anatpaste_aug.detection.reporting.result_tables import Table, unbroken
from anatpaste_aug.detection.training.config import TrainConfig
from anatpaste_aug.files import atomic_path


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
    findings: Sequence[str] = (),
    tables: Sequence[Table] = (),
    methods: Mapping[str, str] | None = None,
    pretext: bool = True,
    protocol: str = "",
    data_note: str = "",
    command: str = "",
    seconds: float | None = None,
) -> Path:
    """Write ``report.html``, a single file with embedded figures.

    All text, including file names, is escaped.

    Args:
        run_dir: The existing run folder.
        title: Heading of the page.
        config: Settings of the training.
        data: Name of a set of images -> number of images, such as ``{"training, normal": 1133}``.
        rows: Results of the best and the last weights, or of several methods; empty if nothing was trained.
        figures: PNG files, relative to ``run_dir`` or absolute. Keys of ``CAPTIONS``, such as ``"roc"``, have a
            caption; other keys are headings, and follow.
        environment: Versions and hardware, see `environment`.
        highlights: Results at the top of the page; None is the first two.
        findings: Sentences about shortcuts, at the top of the page; see `shortcut_findings`.
        tables: Tables above the results, with their notes.
        methods: Name of a method -> description in one sentence.
        pretext: Whether the page explains the pretext task; False if no method has one.
        protocol: How the images were split, in one sentence.
        data_note: Note at the top of the page, for example that the data are synthetic or development data.
        command: The command line of the run.
        seconds: Time of training and scoring.

    Returns:
        The path of the page.

    Raises:
        FileNotFoundError: The folder or a figure is missing.
        ValueError: There are neither rows nor tables nor figures.
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
    engine = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    engine.filters["cell"] = unbroken
    html = engine.from_string(template).render(
        title=title,
        config=settings,
        score=_score_text(settings),
        pretext=pretext,
        data=data,
        rows=result_cells(rows),
        effective=sorted({row.cells()["effective images"] for row in rows} - {"–"}),
        findings=findings,
        tables=[table.html() for table in tables],
        methods=methods or {},
        cards=[(row.dataset, row.label, *_headline(row)) for row in top],
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


def _headline(row: ResultRow) -> tuple[str, str]:
    """Return the number at the top of the page and its name."""
    if row.metrics.auroc is None:
        return f"{row.metrics.specificity:.3f}", "specificity"
    return f"{row.metrics.auroc:.3f}", "AUROC"


def _score_text(settings: Mapping[str, Any]) -> str:
    """Say what the score of an image is; empty settings are those of several kinds of detectors."""
    text = SCORES.get(settings.get("score", "kde"), "computed by each method in its own way")
    return text.format(reference="validation" if settings.get("reference") == "val" else "training")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
