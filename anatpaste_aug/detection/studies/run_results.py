"""The files of a finished run: weights, scores, metrics, pictures and a report."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from anatpaste_aug.datasets import DetectionTask
from anatpaste_aug.detection.evaluation.groups import group_aurocs, matched_group_aurocs
from anatpaste_aug.detection.evaluation.matched import MatchedAuroc, matched_aurocs
from anatpaste_aug.detection.evaluation.one_number import one_number_scores
from anatpaste_aug.detection.evaluation.pixels import PixelMetrics, pixel_metrics
from anatpaste_aug.detection.evaluation.results import MethodScores, ResultRow, result_row
from anatpaste_aug.detection.evaluation.shortcuts import shortcut_findings
from anatpaste_aug.detection.evaluation.thresholds import FALSE_POSITIVE_RATE, has_both
from anatpaste_aug.detection.models.base import CHECKPOINT
from anatpaste_aug.detection.models.trained import TrainedDetector
from anatpaste_aug.detection.reporting.output_files import results_table, write_metrics_json, write_scores_csv
from anatpaste_aug.detection.reporting.report import write_report
from anatpaste_aug.detection.reporting.result_tables import groups_table, matched_groups_table
from anatpaste_aug.detection.reporting.run_figures import extremes_figure, gallery_figure, history_figure, roc_figure
from anatpaste_aug.detection.studies.methods import METHODS
from anatpaste_aug.detection.training.fingerprint import environment
from anatpaste_aug.detection.training.result import TrainResult, Weights

_WEIGHTS: tuple[Weights, ...] = ("best", "last")


def write_results(folder: Path, task: DetectionTask, method: str, detector: TrainedDetector, command: str) -> str:
    """Score the images with a trained detector, and write all files of its run folder; the report is the last.

    Args:
        folder: The run folder.
        task: The images.
        method: A name in `METHODS`.
        detector: Trained on them.
        command: The command line, for the report.

    Returns:
        The results as text for a terminal.
    """
    result = detector.result
    if result is None:
        raise ValueError("the detector is not trained: call fit first")
    start = time.perf_counter() - result.history[-1].seconds  # includes the time before an interruption
    config, labels = result.config, task.test.labels
    methods: list[MethodScores] = []
    updates: dict[str, int] = {}
    columns: dict[str, dict[str, Any]] = {"val": {}, "test": {}}
    rate, labeled = config.false_positive_rate, has_both(task.val.labels)
    for weights in _WEIGHTS:
        scorer = detector.with_weights(weights)
        val = scorer.score_validation(task.val.images, task.val.labels)
        test = scorer.score(task.test.images)
        scores = MethodScores(weights, val, test, rate, not labeled)
        for part, values in (("val", scores.val), ("test", scores.test)):
            scaled = scorer.calibration.scaler.transform(values)
            columns[part] |= {weights: values, f"{weights}_scaled": scaled}
        if weights == "best" and config.selects_last(labeled):
            continue  # written to the files, but shown only once in the tables
        methods.append(scores)
        updates[scores.name] = result.best_update if weights == "best" else config.updates
    both, label = has_both(labels), METHODS[method].label
    # Baselines of one number per image, without training. Their sign is chosen by labels.
    numbers = one_number_scores(task) if labeled and both else []
    numbers = [dataclasses.replace(number, false_positive_rate=rate) for number in numbers]
    tests = {each.name: each.test for each in (*methods, *numbers)}
    parts = task.groups() if both else {}
    groups = {name: group_aurocs(parts, labels, test) for name, test in tests.items()}
    matched: dict[str, MatchedAuroc] = {}
    matched_groups: dict[str, dict[str, MatchedAuroc]] = {}
    findings: list[str] = []
    if numbers:
        nuisances = {each.name: each.test for each in numbers}
        matched = matched_aurocs(labels, tests, nuisances)
        matched_groups = matched_group_aurocs(parts, labels, tests, nuisances)
        named = [dataclasses.replace(each, name=f"{label} ({each.name} weights)") for each in methods]
        findings = shortcut_findings(labels, named, numbers, matched["last"])
    rows = [
        result_row(
            each,
            task.val.labels,
            labels,
            dataset=task.name,
            update=updates.get(each.name),
            matched=matched.get(each.name),
        )
        for each in (*methods, *numbers)
    ]
    own = rows[: len(methods)]
    detector.save(folder / CHECKPOINT)
    for name, part, subset in (("val_scores.csv", "val", task.val), ("scores.csv", "test", task.test)):
        write_scores_csv(folder / name, subset.names, subset.labels, columns[part])
    threshold = detector.with_weights("best").calibration.scaled_threshold
    pictures = _draw(folder, task, method, result, own, columns["test"], threshold)
    record: dict[str, Any] = {
        "method": method,
        "seed": config.seed,
        "protocol": task.protocol,
        "note": task.note,
        "groups": groups,
        "matched_groups": matched_groups,
        "findings": findings,
    }
    if (pixels := _pixels(task, detector.with_weights("best"))) is not None:
        record["pixels"] = pixels
    record |= {"seconds": time.perf_counter() - start, "environment": environment(config.device)}
    write_metrics_json(folder / "metrics.json", rows, record)
    notes = [
        f"“Best weights” and “last weights” are those of the {label} detector.",
        *filter(None, [task.protocol, task.note]),
    ]
    titles = {row.weights: row.label for row in rows}
    tables = []
    if parts:
        tables.append(groups_table({titles[name]: of_groups for name, of_groups in groups.items()}, notes=notes))
    if parts and numbers:
        tables.append(matched_groups_table({titles[name]: found for name, found in matched_groups.items()}))
    report = write_report(
        folder,
        title=f"{label} on {task.name}",
        config=config,
        data=task.counts(),
        rows=rows,
        findings=findings,
        highlights=own,
        tables=tables,
        methods={label: METHODS[method].about},
        pretext=bool(METHODS[method].transforms),
        figures={name: f"{name}.png" for name in pictures},
        environment=record["environment"],
        protocol=task.protocol,
        data_note=task.note,
        command=command,
        seconds=record["seconds"],
    )
    lines = [results_table(rows), *findings]
    first = own[0].weights
    lines += [f"{name}: {group}, {first} weights" for name, group in groups[first].items()]
    normals, share = int((task.val.labels == 0).sum()), rate or FALSE_POSITIVE_RATE
    if (rate or not labeled) and normals * share < 1:
        lines.append(
            f"{normals} normal validation images are too few for a false-positive rate of {share:g}: the threshold is "
            "above all of them"
        )
    lines += [] if pixels is None else [f"{detector.map_name}: {pixels}"]
    return "\n".join([*lines, *filter(None, [task.note]), f"report: {report}"])


def _pixels(task: DetectionTask, detector: TrainedDetector) -> PixelMetrics | str | None:
    """Compare the anomaly maps with the masks of the test images; None without masks.

    If there are no such maps, return the reason as a text.
    """
    truth, known = task.test.truth, task.test.has_truth
    if truth is None or known is None or not bool(truth[known].any()):
        return None
    try:
        return pixel_metrics(truth[known], detector.anomaly_map(task.test.images[known]))
    except (ImportError, ValueError) as error:
        return f"no pixel metrics: {error}"


def _draw(
    folder: Path,
    task: DetectionTask,
    method: str,
    result: TrainResult,
    rows: list[ResultRow],
    columns: Mapping[str, Any],
    threshold: float,
) -> tuple[str, ...]:
    """Draw the figures; return their names in the report."""
    labels, note = task.test.labels, task.note
    curves = {f"{row.weights} weights": row for row in rows}
    both = has_both(labels)
    if both:
        roc_figure(
            folder / "roc.png",
            {name: (labels, columns[row.weights]) for name, row in curves.items()},
            note=note,
            intervals={name: row.interval for name, row in curves.items() if row.interval is not None},
        )
    history_figure(folder / "history.png", result.history, best_update=result.best_update, note=note)
    extremes_figure(
        folder / "extremes.png",
        task.test.images,
        labels,
        columns["best_scaled"],
        threshold,
        names=task.test.names,
        note=note,
    )
    names = (*(("roc",) if both else ()), "history", "extremes")
    if not METHODS[method].transforms:
        return names
    images = task.train.images[:6]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(result.config.seed)
        augmented = METHODS[method].augment(images, None if task.train.regions is None else task.train.regions[:6])
    gallery_figure(
        folder / "gallery.png",
        images,
        augmented.region_mask,
        augmented.mask,
        augmented.image,
        names=task.train.names[:6],
        note=note,
    )
    return (*names, "gallery")
