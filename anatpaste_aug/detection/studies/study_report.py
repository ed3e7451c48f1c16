"""A study as a reader finds it: tables, figures, metrics and one page, from the runs in its folder."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from anatpaste_aug.datasets.tasks import DetectionTask
from anatpaste_aug.detection.evaluation.one_number import pretrained_net, untrained_net
from anatpaste_aug.detection.models.grad_cam import grad_cam
from anatpaste_aug.detection.reporting.report import environment, write_metrics_json, write_report
from anatpaste_aug.detection.studies.evaluated_methods import Entrant, trained, untrained
from anatpaste_aug.detection.studies.methods import METHODS
from anatpaste_aug.detection.studies.runs import Run
from anatpaste_aug.detection.studies.study import Findings, study
from anatpaste_aug.detection.studies.study_figures import attention_figure, curves_figure, pasted_figure, scored_figure
from anatpaste_aug.detection.training.config import TrainConfig
from anatpaste_aug.files import atomic_path


def check_study(
    config: TrainConfig, figures: Sequence[int], weights_file: str | os.PathLike[str] | None = None
) -> None:
    """Find before any work what would fail after hours of training: the weights of a baseline, and Grad-CAM.

    Args:
        config: the settings of the trainings.
        figures: the paper's figures that the study is to have.
        weights_file: of a pretrained backbone.

    Raises:
        FileNotFoundError, ValueError: see :func:`pretrained_net` and :func:`grad_cam`.
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
    config: TrainConfig,
    *,
    tables: Sequence[int] = (),
    figures: Sequence[int] = (),
    drawn: Sequence[str] = (),
    weights_file: str | os.PathLike[str] | None = None,
    command: str = "",
) -> str:
    """Judges the runs together, and writes ``tables.md``, ``metrics.json``, ``figureN.png`` and ``report.html``.

    Args:
        folder: the study's folder.
        task: the images.
        runs: finished runs on them; empty for a study of Figure 1 alone. The first one's method is compared with the
            others, and shown in Figures 4 and 5.
        config: the settings of the trainings; the seed is that of the untrained baseline and of Figure 1.
        tables: 1, 2, 3, see :func:`anatpaste_aug.detection.studies.study`.
        figures: 1, 3, 4, 5.
        drawn: methods of Figure 1, as :data:`anatpaste_aug.detection.studies.methods.METHODS` names them.
        weights_file: of a pretrained backbone, a baseline in the tables.
        command: the command line, for the report.

    Returns:
        The tables and the place of the report, as text for a terminal.
    """
    start = time.perf_counter() - sum(run.seconds for run in runs)
    methods, last = trained(runs), trained(runs, "last")
    baselines = untrained(task, config, weights_file) if tables else []
    found = study(task, tables, methods, last, baselines) if runs else Findings()
    text = "\n\n".join(table.markdown() for table in found.tables)
    with atomic_path(folder / "tables.md") as file:
        file.write_text(text + "\n", encoding="utf-8")
    pictures = _draw(folder, task, methods, runs, figures, drawn, config.seed)
    about = found.record | {"protocol": task.protocol, "note": task.note, "environment": environment(config.device)}
    about["trainings"] = [
        {"method": run.method, "seed": run.seed, "seconds": run.seconds, "environment": run.environment} for run in runs
    ]
    about["seconds"] = time.perf_counter() - start
    write_metrics_json(folder / "metrics.json", found.rows, about)
    shown = dict.fromkeys([run.method for run in runs] + (list(drawn) if 1 in figures else []))
    names = [entrant.scores.name for entrant in methods]
    report = write_report(
        folder,
        title=f"Anomaly detection as in Sato et al. (arXiv 2205.04282), on {task.name}",
        config=together([_settings(config, run) for run in runs] or [dataclasses.asdict(config)]),
        data=task.counts(),
        rows=found.rows,
        highlights=[row for row in found.rows if row.weights in names][:4],
        tables=found.tables,
        methods={METHODS[method].label: METHODS[method].about for method in shown},
        figures=pictures,
        environment=together([run.environment for run in runs] or [about["environment"]]),
        protocol=task.protocol,
        data_note=task.note,
        command=command,
        seconds=about["seconds"],
    )
    return "\n\n".join(filter(None, [text, task.note, f"report: {report}"]))


def together(each: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What trainings have in common, and what they differ in: every value of a name, once.

    Example:
        >>> together([{"seed": 0, "torch": "2.9"}, {"seed": 1, "torch": "2.9"}])
        {'seed': '0; 1', 'torch': '2.9'}
    """
    names = dict.fromkeys(name for one in each for name in one)
    return {name: "; ".join(dict.fromkeys(str(one.get(name, "–")) for one in each)) for name in names}


def _settings(config: TrainConfig, run: Run) -> dict[str, Any]:
    own = {"seed": run.seed, "num_classes": METHODS[run.method].num_classes, "device": run.device}
    return dataclasses.asdict(config) | own


def _draw(
    folder: Path,
    task: DetectionTask,
    methods: Sequence[Entrant],
    runs: Sequence[Run],
    figures: Sequence[int],
    drawn: Sequence[str],
    seed: int,
) -> dict[str, Path]:
    paths = {number: (folder / f"figure{number}.png").resolve() for number in sorted(set(figures))}
    if 1 in paths:
        pasted_figure(paths[1], task, drawn, seed=seed)
    if 3 in paths:
        curves_figure(paths[3], task, methods)
    if 4 in paths:
        scored_figure(paths[4], task, methods[0])
    if 5 in paths:
        attention_figure(paths[5], task, methods[0], runs[0])
    return {f"figure{number}": path for number, path in paths.items()}
