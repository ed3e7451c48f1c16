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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from anatpaste_aug.datasets.tasks import DetectionTask, Subset
from anatpaste_aug.detection.evaluation.results import MethodScores
from anatpaste_aug.detection.models.pretext_detector import Detector
from anatpaste_aug.detection.studies.methods import METHODS
from anatpaste_aug.detection.studies.run_results import write_results
from anatpaste_aug.detection.training.checkpoints import differences
from anatpaste_aug.detection.training.config import TrainConfig
from anatpaste_aug.detection.training.loop import train
from anatpaste_aug.detection.training.result import Progress, TrainResult
from anatpaste_aug.detection.training.tensorboard import TensorBoardLog
from anatpaste_aug.files import atomic_path

Weights = Literal["best", "last"]
_PROGRESS = "training.pt"
_NAMED: tuple[tuple[Weights, str], ...] = (("best", ""), ("last", ", last weights"))


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """A finished training: its scores of a task's validation and test images with the best and with the last weights.

    ``method`` is a name of :data:`anatpaste_aug.detection.studies.methods.METHODS`, ``device`` that of the training,
    ``environment`` its versions and hardware.
    """

    folder: Path
    method: str
    seed: int
    best: MethodScores
    last: MethodScores
    seconds: float
    device: str = "cpu"
    environment: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def detector(self, weights: Weights = "best") -> Detector:
        """The trained detector, on the device of the training if it is there, else on the CPU."""
        here = torch.device(self.device).type == "cpu" or torch.cuda.is_available()
        return Detector.load(self.folder, weights, self.device if here else "cpu")


def begin_run(folder: Path, settings: Mapping[str, Any], task: DetectionTask) -> None:
    """Makes the folder, with all that it takes to repeat what is run in it, or to go on with that."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "config.json") as file:
        file.write_text(json.dumps(settings, indent=2, default=str) + "\n", encoding="utf-8")
    if task.split is not None:
        task.split.save(folder / "split.json")


def has_begun(folder: Path, task: DetectionTask) -> bool:
    """Whether :func:`begin_run` has come to its end in this folder."""
    return (folder / "config.json").is_file() and (task.split is None or (folder / "split.json").is_file())


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
        method: a name of :data:`anatpaste_aug.detection.studies.methods.METHODS`.
        config: the settings of the training, its seed among them.
        main: whether this is the main process.
        command: the command line, for the report.
        checkpoint_every: updates between checkpoints, besides those at validations.
        tensorboard: log to ``folder/tensorboard``.

    Returns:
        The results of the best and of the last weights and of one-number scores, as text for a terminal.
    """
    with _alone_in(folder) if main else nullcontext():
        result = _train(folder, task, method, config, main, checkpoint_every, tensorboard)
        if not main:
            return ""
        found = write_results(folder, task, method, result, command)
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
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    about = metrics["seconds"], settings["device"], metrics["environment"]
    return Run(folder, method, config.seed, best, last, *about)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """A training that outlived the process which began it may still run; two in one folder would destroy each other's.

    Raises:
        BlockingIOError: another process trains there.
    """
    from filelock import FileLock, Timeout  # comes with torch

    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BlockingIOError(f"another process trains in {folder}: wait until it is done, or end it") from None
    try:
        yield
    finally:
        lock.release()
        if is_finished(folder):
            (folder / ".lock").unlink(missing_ok=True)


def check_task(task: DetectionTask) -> None:
    """Finds before hours of training that the test images are too few for an interval.

    Raises:
        ValueError: fewer than two normal or abnormal ones.
    """
    normal, abnormal = (int((task.test.labels == label).sum()) for label in (0, 1))
    if min(normal, abnormal) < 2:
        raise ValueError(f"{normal} normal and {abnormal} abnormal images to test on: at least 2 of each are needed")


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
    transforms = [make() for make in METHODS[method].transforms]
    # The lungs of an image never change: they are found once and handed to every call.
    lungs = lungs_for(transforms[0], task.train.images)
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
            [transform.augment for transform in transforms],
            lung_masks=lungs,
            callback=show,
            checkpoint=folder / _PROGRESS,
            checkpoint_every=checkpoint_every,
            resume=True,  # or start, if there is no checkpoint yet
        )


def lungs_for(transform: Any, images: Tensor) -> Tensor | None:
    """The lung masks, for a method that looks at them."""
    if not getattr(transform, "segmentation", False):
        return None
    masks: Tensor = transform.segmenter(images)
    return masks


def _read_scores(path: str | os.PathLike[str], subset: Subset) -> dict[Weights, list[float]]:
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if [(row["name"], int(row["label"])) for row in rows] != list(
        zip(subset.names, subset.labels.tolist(), strict=True)
    ):
        raise ValueError(f"{os.fspath(path)} is of other images than those at hand: give its data and split")
    return {"best": [float(row["best"]) for row in rows], "last": [float(row["last"]) for row in rows]}
