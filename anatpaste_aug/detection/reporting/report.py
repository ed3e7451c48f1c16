"""The report: one HTML page that explains a run to a reader who has not seen the code."""

from __future__ import annotations

import base64
import dataclasses
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from anatpaste_aug.detection.evaluation.results import ResultRow
from anatpaste_aug.detection.models.distances import SCORES
from anatpaste_aug.detection.reporting.captions import CAPTIONS
from anatpaste_aug.detection.reporting.result_tables import Table
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
    """Write ``report.html``, one page that needs no other file: pictures are part of it.

    All text is escaped, file names included.

    Args:
        run_dir: the existing run folder.
        title: heading of the page.
        config: settings of the training.
        data: name of a set of images to their number, such as ``{"training, normal": 1133}``.
        rows: results of the best and the last weights, or of several methods; empty where nothing was trained.
        figures: PNG files, relative to ``run_dir`` or absolute. The keys of
            ``CAPTIONS``, such as ``"roc"``, come with an explanation; any other is its own heading, after them.
        environment: versions and hardware, from :func:`anatpaste_aug.detection.training.fingerprint.environment`.
        highlights: results shown at the top; None is the first two.
        findings: sentences about shortcuts, shown at the top; see
            :func:`anatpaste_aug.detection.evaluation.shortcuts.shortcut_findings`.
        tables: shown above the results, each with its notes.
        methods: name of a method -> what it does, in a sentence.
        pretext: whether the page explains the pretext task; False where no method has one.
        protocol: how the images were split, in a sentence.
        data_note: shown at the top, such as that the data are synthetic, stand-ins or development data.
        command: the command line of the run.
        seconds: time of training and scoring.

    Returns:
        The path of the page.

    Raises:
        FileNotFoundError: the folder or a picture is missing.
        ValueError: there are neither rows nor tables nor figures.
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
        score=SCORES.get(settings.get("score", "kde"), "that of each method"),
        pretext=pretext,
        data=data,
        rows=[row.cells() for row in rows],
        findings=findings,
        tables=[table.html() for table in tables],
        methods=methods or {},
        cards=[(row.dataset, _weights_label(row), *_headline(row)) for row in top],
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
    """The number at the top of the page, and what it is."""
    if row.metrics.auroc is None:
        return f"{row.metrics.specificity:.3f}", "specificity"
    return f"{row.metrics.auroc:.3f}", "AUROC"


def _weights_label(row: ResultRow) -> str:
    return f"{row.weights} weights" if row.weights in ("best", "last") else row.weights


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
