"""A run folder: one training of one method with its settings, weights, scores and report.

A finished folder contains ``config.json``, ``checkpoint.pt``, the scores of the test images (``scores.csv``) and of the
validation images (``val_scores.csv``), ``metrics.json``, figures, ``report.html``, and ``split.json`` if the data are
files. The report is written last: a folder with a report is finished.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anatpaste_aug.datasets import DetectionTask, Subset
from anatpaste_aug.detection.evaluation.results import MethodScores
from anatpaste_aug.detection.evaluation.thresholds import has_both
from anatpaste_aug.detection.models.base import Detector
from anatpaste_aug.detection.models.loading import load_detector
from anatpaste_aug.detection.models.trained import TrainedDetector
from anatpaste_aug.detection.studies.methods import METHODS
from anatpaste_aug.detection.studies.run_results import write_results
from anatpaste_aug.detection.training.config import TrainConfig
from anatpaste_aug.detection.training.fingerprint import differences
from anatpaste_aug.detection.training.result import Progress, Weights
from anatpaste_aug.detection.training.tensorboard import TensorBoardLog
from anatpaste_aug.files import atomic_path

_TRAINING = "training.pt"  # checkpoint of a training in progress
_LABELS: tuple[tuple[Weights, str], ...] = (("best", ""), ("last", ", last weights"))


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """A finished training, with the scores of its best and its last weights.

    Attributes:
        folder: The run folder.
        method: A name in `METHODS`.
        seed: Seed of the training.
        best: Scores of the validation and test images with the best weights.
        last: Scores with the last weights.
        seconds: Time of training and scoring.
        config: Settings of the training.
        environment: Versions and hardware of the training.
    """

    folder: Path
    method: str
    seed: int
    best: MethodScores
    last: MethodScores
    seconds: float
    config: TrainConfig
    environment: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def device(self) -> str:
        """The device of the training."""
        return self.config.device

    def detector(self, weights: Weights = "best") -> Detector:
        """Load the trained detector on the device of the training if it is available, else on the CPU."""
        here = torch.device(self.device).type == "cpu" or torch.cuda.is_available()
        return load_detector(self.folder, weights, self.device if here else "cpu")


def begin_run(folder: Path, settings: Mapping[str, Any], task: DetectionTask) -> None:
    """Create the folder with everything that is needed to repeat or resume its run."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "config.json") as file:
        file.write_text(json.dumps(settings, indent=2, default=str) + "\n", encoding="utf-8")
    if task.split is not None:
        task.split.save(folder / "split.json")


def has_begun(folder: Path, task: DetectionTask) -> bool:
    """Return whether `begin_run` has completed in this folder."""
    return (folder / "config.json").is_file() and (task.split is None or (folder / "split.json").is_file())


def is_finished(folder: Path) -> bool:
    """Return whether the run or study in this folder is finished."""
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
    """Train a method in the folder that `begin_run` created, or resume its training, and write all results.

    All processes of torchrun call it; the main one shows the progress and writes the files.

    Args:
        folder: The run folder.
        task: The images.
        method: A name of `METHODS`.
        config: The settings of the training, including its seed.
        main: Whether this is the main process.
        command: The command line, for the report.
        checkpoint_every: Updates between checkpoints, besides those at validations.
        tensorboard: Log to ``folder/tensorboard``.

    Returns:
        The results of best weights, last weights and one-number scores, as text for a terminal.
    """
    with _locked(folder) if main else nullcontext():
        detector = _train(folder, task, method, config, main, checkpoint_every, tensorboard)
        if not main:
            return ""
        text = write_results(folder, task, method, detector, command)
        (folder / _TRAINING).unlink()  # nothing is left to resume
        return text


def read_run(folder: Path, task: DetectionTask, config: TrainConfig) -> Run:
    """Read a finished run.

    Args:
        folder: The run folder.
        task: The images; must be those that the run scored.
        config: The settings; must be those of the run, except for the device.

    Raises:
        ValueError: The run had other settings or images.
        OSError: A file is missing.
    """
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    names = {field.name for field in dataclasses.fields(config)} & settings.keys()
    there = type(config)(**{name: settings[name] for name in names})
    here = dataclasses.asdict(config) | {"device": there.device}
    if differing := differences(dataclasses.asdict(there), here):
        raise ValueError(f"{folder} contains another run ({differing}): give its settings, or name another folder")
    val, test = (
        _read_scores(folder / file, part) for file, part in (("val_scores.csv", task.val), ("scores.csv", task.test))
    )
    (method,) = settings["method"]
    label = METHODS[method].label
    rate, normals_only = config.false_positive_rate, not has_both(task.val.labels)
    best, last = (
        MethodScores(f"{label}, seed {config.seed}{suffix}", val[weights], test[weights], rate, normals_only)
        for weights, suffix in _LABELS
    )
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return Run(folder, method, config.seed, best, last, metrics["seconds"], there, metrics["environment"])


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock the folder, so that two trainings do not overwrite each other's files.

    Raises:
        BlockingIOError: Another process trains in the folder.
    """
    from filelock import FileLock, Timeout  # comes with torch

    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BlockingIOError(f"another process trains in {folder}: wait for it, or stop it") from None
    try:
        yield
    finally:
        lock.release()
        if is_finished(folder):
            (folder / ".lock").unlink(missing_ok=True)


def check_task(task: DetectionTask) -> None:
    """Check before training that there are enough test images for an interval, and normal validation images.

    Raises:
        ValueError: There are fewer than two normal test images, only one abnormal one, or no normal validation image.
    """
    normal, abnormal = (int((task.test.labels == label).sum()) for label in (0, 1))
    if normal < 2 or abnormal == 1:
        raise ValueError(
            f"{normal} normal and {abnormal} abnormal test images: expected at least 2 of each, or no abnormal ones"
        )
    if not int((task.val.labels == 0).sum()):
        raise ValueError("no normal validation image: expected at least 1, for the threshold")


def _train(
    folder: Path,
    task: DetectionTask,
    method: str,
    config: TrainConfig,
    main: bool,
    checkpoint_every: int | None,
    tensorboard: bool,
) -> TrainedDetector:
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise ImportError("the progress bar needs tqdm: pip install 'anatpaste_aug[examples]'") from error
    detector = METHODS[method].create(config, None if task.split is None else task.split.white)
    masks: dict[str, Any] = {}
    if METHODS[method].transforms:
        # Segment once; the lungs of an image do not change.
        found = find_lung_masks(METHODS[method].transforms[0](), task.train.images, task.train.regions)
        if main and found is not None and (missing := int((~found.flatten(1).any(1)).sum())):
            print(f"no lungs found in {missing} of {len(found)} training images: patches are pasted anywhere in them")
        masks = {"lung_masks": found, "val_masks": None if found is None else task.val.regions}
    log = TensorBoardLog(folder / "tensorboard") if tensorboard and main else None
    title = f"{METHODS[method].label}, seed {config.seed}"
    with tqdm(total=config.updates, desc=title, unit="update", disable=not main) as bar, log or nullcontext():

        def show(progress: Progress) -> None:
            if log is not None:
                log(progress)
            text = f"loss {progress.loss:.3f}"
            for name, value in (("AUROC", progress.val_auroc), ("loss", progress.val_loss)):
                text += "" if value is None else f", validation {name} {value:.3f}"
            bar.set_postfix_str(text, refresh=False)
            bar.update(progress.update - bar.n)

        return detector.fit(
            task.train.images,
            task.val.images,
            task.val.labels,
            progress=show,
            checkpoint=folder / _TRAINING,
            checkpoint_every=checkpoint_every,
            resume=True,  # starts if there is no checkpoint
            **masks,
        )


def find_lung_masks(transform: Any, images: Tensor, regions: Tensor | None = None) -> Tensor | None:
    """Return the given masks or segment the lungs; None for an augmentation that does not use them."""
    if not transform.config.needs_region:
        return None
    if regions is not None:
        return regions
    masks: Tensor = transform.segmenter(images)
    return masks


def _read_scores(path: str | os.PathLike[str], subset: Subset) -> dict[Weights, list[float]]:
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if [(row["name"], int(row["label"])) for row in rows] != list(
        zip(subset.names, subset.labels.tolist(), strict=True)
    ):
        raise ValueError(f"{os.fspath(path)} has the scores of other images: give the data and split of that run")
    return {"best": [float(row["best"]) for row in rows], "last": [float(row["last"]) for row in rows]}
