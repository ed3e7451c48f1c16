"""The files of a study: tables, figures, metrics and a report from the runs in its folder."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from anatpaste_aug.datasets import DetectionTask
from anatpaste_aug.detection.evaluation.thresholds import has_both
from anatpaste_aug.detection.models.grad_cam import grad_cam
from anatpaste_aug.detection.models.pretext_config import PretextConfig
from anatpaste_aug.detection.models.pretrained import pretrained_net, untrained_net
from anatpaste_aug.detection.reporting.output_files import write_metrics_json
from anatpaste_aug.detection.reporting.report import write_report
from anatpaste_aug.detection.studies.evaluated_methods import EvaluatedMethod, baseline_methods, trained_methods
from anatpaste_aug.detection.studies.methods import METHODS
from anatpaste_aug.detection.studies.runs import Run
from anatpaste_aug.detection.studies.study import StudyResults, analyze
from anatpaste_aug.detection.studies.study_figures import (
    draw_augmentations,
    draw_grad_cam,
    draw_roc_curves,
    draw_scored_images,
)
from anatpaste_aug.detection.training.fingerprint import environment
from anatpaste_aug.files import atomic_path


def check_study(
    config: PretextConfig, figures: Sequence[int], weights_file: str | os.PathLike[str] | None = None
) -> None:
    """Check what would otherwise fail after hours of training: the weights of a baseline, and Grad-CAM.

    Args:
        config: Settings of the trainings.
        figures: Numbers of the paper's figures.
        weights_file: Weights of a pretrained backbone.

    Raises:
        FileNotFoundError, ValueError: See `pretrained_net` and `grad_cam`.
        ImportError: pytorch-grad-cam is not installed.
    """
    if weights_file is not None:
        pretrained_net(weights_file, config.backbone, image_size=config.image_size)
    if 5 in figures:
        side = config.image_size
        grad_cam(untrained_net(config.backbone, image_size=side), torch.zeros(1, 1, side, side, dtype=torch.uint8))


def write_study(
    folder: Path,
    task: DetectionTask,
    runs: Sequence[Run],
    config: PretextConfig,
    *,
    tables: Sequence[int] = (),
    figures: Sequence[int] = (),
    drawn_methods: Sequence[str] = (),
    weights_file: str | os.PathLike[str] | None = None,
    command: str = "",
) -> str:
    """Evaluate the runs together; write ``tables.md``, ``metrics.json``, ``figureN.png`` and ``report.html``.

    Args:
        folder: The study's folder.
        task: The images.
        runs: Finished runs on them; empty for a study of Figure 1 alone. The method of the first one is compared with
            the others, and shown in Figures 4 and 5.
        config: The settings of the trainings; the seed is that of the untrained baseline and of Figure 1.
        tables: 1, 2, 3, see `analyze`.
        figures: 1, 3, 4, 5. Tables and Figure 3 are left out without abnormal test images.
        drawn_methods: Methods of Figure 1, as `METHODS` names them.
        weights_file: File of a pretrained backbone, a baseline in the tables.
        command: The command line, for the report.

    Returns:
        The tables and the path of the report, as text for a terminal.
    """
    start = time.perf_counter() - sum(run.seconds for run in runs)
    missing = ""
    if not has_both(task.test.labels) and (tables or 3 in figures):
        missing = "No abnormal test images: without tables and ROC curves."
        tables, figures = (), [number for number in figures if number != 3]
    methods = trained_methods(runs)
    last = [] if config.selects_last(has_both(task.val.labels)) else trained_methods(runs, "last")
    baselines = baseline_methods(task, config, weights_file) if tables else []
    results = analyze(task, tables, methods, last, baselines) if runs else StudyResults()
    text = "\n\n".join([*(table.markdown() for table in results.tables), *results.findings])
    with atomic_path(folder / "tables.md") as file:
        file.write_text(text + "\n", encoding="utf-8")
    pictures = _draw(folder, task, methods, runs, figures, drawn_methods, config.seed)
    record = results.record | {"protocol": task.protocol, "note": task.note, "environment": environment(config.device)}
    record["trainings"] = [
        {"method": run.method, "seed": run.seed, "seconds": run.seconds, "environment": run.environment} for run in runs
    ]
    record["seconds"] = time.perf_counter() - start
    write_metrics_json(folder / "metrics.json", results.rows, record)
    shown = dict.fromkeys([run.method for run in runs] + (list(drawn_methods) if 1 in figures else []))
    names = [method.scores.name for method in methods]
    report = write_report(
        folder,
        title=f"Anomaly detection as in Sato et al. (arXiv 2205.04282), on {task.name}",
        config=merge_values([dataclasses.asdict(run.config) for run in runs] or [dataclasses.asdict(config)]),
        data=task.counts(),
        rows=results.rows,
        findings=results.findings,
        highlights=[row for row in results.rows if row.weights in names][:4],
        tables=results.tables,
        pretext=any(METHODS[method].transforms for method in shown) or not shown,
        methods={METHODS[method].label: METHODS[method].about for method in shown},
        figures=pictures,
        environment=merge_values([run.environment for run in runs] or [record["environment"]]),
        protocol=task.protocol,
        data_note=f"{task.note} {missing}".strip(),
        command=command,
        seconds=record["seconds"],
    )
    return "\n\n".join(filter(None, [text, task.note, missing, f"report: {report}"]))


def merge_values(records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Merge the settings of several trainings: every value of a name, once.

    Example:
        >>> merge_values([{"seed": 0, "torch": "2.9"}, {"seed": 1, "torch": "2.9"}])
        {'seed': '0; 1', 'torch': '2.9'}
    """
    names = dict.fromkeys(name for record in records for name in record)
    return {name: "; ".join(dict.fromkeys(str(record.get(name, "–")) for record in records)) for name in names}


def _draw(
    folder: Path,
    task: DetectionTask,
    methods: Sequence[EvaluatedMethod],
    runs: Sequence[Run],
    figures: Sequence[int],
    drawn_methods: Sequence[str],
    seed: int,
) -> dict[str, Path]:
    paths = {number: (folder / f"figure{number}.png").resolve() for number in sorted(set(figures))}
    if 1 in paths:
        draw_augmentations(paths[1], task, drawn_methods, seed=seed)
    if 3 in paths:
        draw_roc_curves(paths[3], task, methods)
    if 4 in paths:
        draw_scored_images(paths[4], task, methods[0])
    if 5 in paths:
        draw_grad_cam(paths[5], task, methods[0], runs[0])
    return {f"figure{number}": path for number, path in paths.items()}
