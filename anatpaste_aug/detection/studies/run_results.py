"""What a finished training leaves in its run folder: weights, scores, metrics, pictures and a report."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from anatpaste_aug.datasets.tasks import DetectionTask
from anatpaste_aug.detection.evaluation.groups import group_aurocs
from anatpaste_aug.detection.evaluation.one_number import one_number_scores
from anatpaste_aug.detection.evaluation.results import MethodScores, judge
from anatpaste_aug.detection.models.pretext_detector import Detector
from anatpaste_aug.detection.reporting.report import (
    ResultRow,
    environment,
    results_table,
    write_metrics_json,
    write_report,
    write_scores_csv,
)
from anatpaste_aug.detection.reporting.result_tables import groups_table
from anatpaste_aug.detection.reporting.run_figures import extremes_figure, gallery_figure, history_figure, roc_figure
from anatpaste_aug.detection.studies.methods import METHODS
from anatpaste_aug.detection.training.result import TrainResult
from anatpaste_aug.detection.training.result_file import save_checkpoint


def write_results(folder: Path, task: DetectionTask, method: str, result: TrainResult, command: str) -> str:
    """Scores a training's networks, and writes all files of its folder; the report, which marks it finished, last.

    Args:
        folder: the run folder.
        task: the images.
        method: a name of :data:`anatpaste_aug.detection.studies.methods.METHODS`.
        result: of the training.
        command: the command line, for the report.

    Returns:
        The results as text for a terminal.
    """
    start = time.perf_counter() - result.history[-1].seconds  # the time before an interruption counts too
    config, labels = result.config, task.test.labels
    rows, extra, groups = [], {}, {}
    columns: dict[str, dict[str, Any]] = {"val": {}, "test": {}}
    for weights in ("best", "last"):
        model = result.model(weights)
        white = None if task.split is None else task.split.white
        detector = Detector.fit(
            model, task.train.images, task.val.images, task.val.labels, bandwidth=config.bandwidth, white=white
        )
        scores = MethodScores(weights, detector.score(task.val.images), detector.score(task.test.images))
        for part, values in (("val", scores.val), ("test", scores.test)):
            columns[part] |= {weights: values, f"{weights}_scaled": detector.scaler.transform(values)}
        groups[weights] = group_aurocs(task.groups(), labels, scores.test)
        extra[weights] = detector.state()
        update = result.best_update if weights == "best" else config.updates
        rows.append(judge(scores, task.val.labels, labels, dataset=task.name, update=update))
    # What one number per image achieves, without any learning: a detector has to beat it.
    for each in one_number_scores(task):
        rows.append(judge(each, task.val.labels, labels, dataset=task.name))
        groups[each.name] = group_aurocs(task.groups(), labels, each.test)
    save_checkpoint(folder / "checkpoint.pt", result, extra)
    for name, part, subset in (("val_scores.csv", "val", task.val), ("scores.csv", "test", task.test)):
        write_scores_csv(folder / name, subset.names, subset.labels, columns[part])
    _draw(folder, task, method, result, rows, columns["test"], extra["best"]["scaled_threshold"])
    about: dict[str, Any] = {
        "method": method,
        "seed": config.seed,
        "protocol": task.protocol,
        "note": task.note,
        "groups": groups,
    }
    about |= {"seconds": time.perf_counter() - start, "environment": environment(config.device)}
    write_metrics_json(folder / "metrics.json", rows, about)
    notes = [
        f"“best” and “last” are the weights of the {METHODS[method].label} detector.",
        *filter(None, [task.protocol, task.note]),
    ]
    report = write_report(
        folder,
        title=f"{METHODS[method].label} on {task.name}",
        config=config,
        data=task.counts(),
        rows=rows,
        tables=[groups_table(groups, notes=notes)] if groups["best"] else [],
        methods={METHODS[method].label: METHODS[method].about},
        figures={name: f"{name}.png" for name in ("roc", "history", "gallery", "extremes")},
        environment=about["environment"],
        protocol=task.protocol,
        data_note=task.note,
        command=command,
        seconds=about["seconds"],
    )
    told = [results_table(rows)]
    told += [f"{name}: {group}, best weights" for name, group in groups["best"].items()]
    return "\n".join([*told, *filter(None, [task.note]), f"report: {report}"])


def _draw(
    folder: Path,
    task: DetectionTask,
    method: str,
    result: TrainResult,
    rows: list[ResultRow],
    columns: Mapping[str, Any],
    threshold: float,
) -> None:
    labels, note = task.test.labels, task.note
    curves = {f"{row.weights} weights": row for row in rows[:2]}
    roc_figure(
        folder / "roc.png",
        {name: (labels, columns[row.weights]) for name, row in curves.items()},
        note=note,
        intervals={name: row.interval for name, row in curves.items() if row.interval is not None},
    )
    history_figure(folder / "history.png", result.history, best_update=result.best_update, note=note)
    shown = task.train.images[:6]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(result.config.seed)
        pasted = METHODS[method].paste(shown)
    gallery_figure(folder / "gallery.png", shown, pasted.region_mask, pasted.mask, pasted.image, note=note)
    extremes_figure(
        folder / "extremes.png",
        task.test.images,
        labels,
        columns["best_scaled"],
        threshold,
        names=task.test.names,
        note=note,
    )
