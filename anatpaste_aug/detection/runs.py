"""One training of one method as a folder: begun with its settings, trained, scored, and read back.

A finished folder holds ``config.json``, ``checkpoint.pt``, the scores of the test images (``scores.csv``) and of the
validation images (``val_scores.csv``), ``metrics.json``, pictures, ``report.html``, and ``split.json`` where there are
files to split. The report comes last: a folder that has one is finished.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from anatpaste_aug.datasets.tasks import DetectionTask, Subset
from anatpaste_aug.detection.augmentations import METHODS
from anatpaste_aug.detection.baselines import image_statistics, one_number_methods
from anatpaste_aug.detection.checkpoint import save_checkpoint
from anatpaste_aug.detection.config import TrainConfig
from anatpaste_aug.detection.detector import Detector
from anatpaste_aug.detection.figures import extremes_figure, gallery_figure, history_figure, roc_figure
from anatpaste_aug.detection.groups import group_aurocs
from anatpaste_aug.detection.methods import MethodScores, judge
from anatpaste_aug.detection.progress import Progress, TrainResult
from anatpaste_aug.detection.report import (
    ResultRow,
    environment,
    results_table,
    write_metrics_json,
    write_report,
    write_scores_csv,
)
from anatpaste_aug.detection.resume import differences
from anatpaste_aug.detection.tables import groups_table
from anatpaste_aug.detection.tensorboard import TensorBoardLog
from anatpaste_aug.detection.training import train
from anatpaste_aug.files import atomic_path

Weights = Literal["best", "last"]
_PROGRESS = "training.pt"
_NAMED: tuple[tuple[Weights, str], ...] = (("best", ""), ("last", ", last weights"))


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """A finished training: its scores of a task's validation and test images with the best and with the last weights.

    ``method`` is a name of :data:`anatpaste_aug.detection.augmentations.METHODS`, ``device`` that of the training.
    """

    folder: Path
    method: str
    seed: int
    best: MethodScores
    last: MethodScores
    seconds: float
    device: str = "cpu"

    def detector(self, weights: Weights = "best") -> Detector:
        """The trained detector, on the device of the training if it is there, else on the CPU."""
        here = torch.device(self.device).type == "cpu" or torch.cuda.is_available()
        return Detector.load(self.folder, weights, self.device if here else "cpu")


def begin_run(folder: Path, settings: Mapping[str, Any], task: DetectionTask) -> None:
    """Makes the folder, with all that it takes to repeat what is run in it, or to go on with that."""
    folder.mkdir(parents=True, exist_ok=True)
    if task.split is not None:
        task.split.save(folder / "split.json")
    with atomic_path(folder / "config.json") as file:
        file.write_text(json.dumps(settings, indent=2, default=str) + "\n", encoding="utf-8")


def is_finished(folder: Path) -> bool:
    """Whether a run, or a study of several, has come to its end in this folder."""
    return (folder / "report.html").is_file()


def train_run(
    folder: Path,
    task: DetectionTask,
    method: str,
    config: TrainConfig,
    *,
    main: bool = True,
    command: str = "",
    checkpoint_every: int | None = None,
    tensorboard: bool = False,
) -> str:
    """Trains a method in the folder that :func:`begin_run` made, or goes on with that, and writes all its results.

    Every process of torchrun calls it; the main one shows how far it is, and writes.

    Args:
        folder: the run folder.
        task: the images.
        method: a name of :data:`anatpaste_aug.detection.augmentations.METHODS`.
        config: the settings of the training, its seed among them.
        main: whether this is the main process.
        command: the command line, for the report.
        checkpoint_every: updates between checkpoints, besides those at validations.
        tensorboard: log to ``folder/tensorboard``.

    Returns:
        The results of the best and of the last weights and of one-number scores, as text for a terminal.
    """
    result = _train(folder, task, method, config, main, checkpoint_every, tensorboard)
    if not main:
        return ""
    found = _write_results(folder, task, method, result, command)
    (folder / _PROGRESS).unlink()  # nothing is left to resume
    return found


def read_run(folder: Path, task: DetectionTask, config: TrainConfig) -> Run:
    """Reads a finished run back.

    Args:
        folder: the run folder.
        task: the images that it must have scored.
        config: the settings that it must have been trained with; its device may be another.

    Raises:
        ValueError: the run had other settings or images.
        OSError: a file is missing.
    """
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    wanted = {name: value for name, value in dataclasses.asdict(config).items() if name != "device"}
    if differing := differences({name: settings.get(name) for name in wanted}, wanted):
        raise ValueError(f"{folder} holds another run ({differing}): give its settings, or name another folder")
    val, test = (
        _read_scores(folder / file, part) for file, part in (("val_scores.csv", task.val), ("scores.csv", task.test))
    )
    (method,) = settings["method"]
    label = METHODS[method].label
    best, last = (
        MethodScores(f"{label}, seed {config.seed}{note}", val[weights], test[weights]) for weights, note in _NAMED
    )
    seconds = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["seconds"]
    return Run(folder, method, config.seed, best, last, seconds, settings["device"])


def _train(
    folder: Path,
    task: DetectionTask,
    method: str,
    config: TrainConfig,
    main: bool,
    checkpoint_every: int | None,
    tensorboard: bool,
) -> TrainResult:
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise ImportError("the progress bar needs tqdm: pip install 'anatpaste_aug[examples]'") from error
    transform = METHODS[method].transform()
    # The lungs of an image never change: they are found once and handed to every call.
    lungs = _lungs(transform, task.train.images)
    if main and lungs is not None and (missing := int((~lungs.flatten(1).any(1)).sum())):
        print(f"no lungs found in {missing} of {len(lungs)} training images: patches go anywhere in those")
    log = TensorBoardLog(folder / "tensorboard") if tensorboard and main else None
    title = f"{METHODS[method].label}, seed {config.seed}"
    with tqdm(total=config.updates, desc=title, unit="update", disable=not main) as bar, log or nullcontext():

        def show(progress: Progress) -> None:
            if log is not None:
                log(progress)
            auroc = "–" if progress.val_auroc is None else f"{progress.val_auroc:.3f}"
            bar.set_postfix_str(f"loss {progress.loss:.3f}, validation AUROC {auroc}", refresh=False)
            bar.update(progress.update - bar.n)

        return train(
            config,
            task.train.images,
            task.val.images,
            task.val.labels,
            transform.augment,
            lung_masks=lungs,
            callback=show,
            checkpoint=folder / _PROGRESS,
            checkpoint_every=checkpoint_every,
            resume=True,  # or start, if there is no checkpoint yet
        )


def _lungs(transform: Any, images: Tensor) -> Tensor | None:
    """The lung masks, for a method that looks at them."""
    if not getattr(transform, "segmentation", False):
        return None
    masks: Tensor = transform.segmenter(images)
    return masks


def _write_results(folder: Path, task: DetectionTask, method: str, result: TrainResult, command: str) -> str:
    start = time.perf_counter() - result.history[-1].seconds  # the time before an interruption counts too
    config, labels = result.config, task.test.labels
    rows, extra, groups = [], {}, {}
    columns: dict[str, dict[str, Any]] = {"val": {}, "test": {}}
    for weights in ("best", "last"):
        model = result.model(weights)
        detector = Detector.fit(model, task.train.images, task.val.images, task.val.labels, bandwidth=config.bandwidth)
        scores = MethodScores(weights, detector.score(task.val.images), detector.score(task.test.images))
        for part, values in (("val", scores.val), ("test", scores.test)):
            columns[part] |= {weights: values, f"{weights}_scaled": detector.scaler.transform(values)}
        groups[weights] = group_aurocs(task.groups(), labels, scores.test)
        extra[weights] = detector.state()
        update = result.best_update if weights == "best" else config.updates
        rows.append(judge(scores, task.val.labels, labels, dataset=task.name, update=update))
    # What one number per image achieves, without any learning: a detector has to beat it.
    baselines = one_number_methods(
        image_statistics(task.val.images), task.val.labels, image_statistics(task.test.images)
    )
    rows += [judge(each, task.val.labels, labels, dataset=task.name) for each in baselines]
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
        f"Scores of the {METHODS[method].label} detector, best weights.",
        *filter(None, [task.protocol, task.note]),
    ]
    report = write_report(
        folder,
        title=f"{METHODS[method].label} on {task.name}",
        config=config,
        data=task.counts(),
        rows=rows,
        tables=[groups_table(groups["best"], notes=notes)] if groups["best"] else [],
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
        example = METHODS[method].transform().augment(shown)
    pasted = getattr(example, "soft_mask", example.anomaly_mask)
    lungs = getattr(example, "lung_mask", None)
    gallery_figure(folder / "gallery.png", shown, lungs, pasted, example.image, note=note)
    extremes_figure(
        folder / "extremes.png",
        task.test.images,
        labels,
        columns["best_scaled"],
        threshold,
        names=task.test.names,
        note=note,
    )


def _read_scores(path: str | os.PathLike[str], subset: Subset) -> dict[Weights, list[float]]:
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if [(row["name"], int(row["label"])) for row in rows] != list(
        zip(subset.names, subset.labels.tolist(), strict=True)
    ):
        raise ValueError(f"{os.fspath(path)} is of other images than those at hand: give its data and split")
    return {"best": [float(row["best"]) for row in rows], "last": [float(row["last"]) for row in rows]}
