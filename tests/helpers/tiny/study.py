"""AnatPaste with two seeds and CutPaste with one on white squares, each trained for a second."""

import dataclasses

import torch
from helpers.tiny.task import CONFIG, TRAIN, VAL, VAL_LABELS, blobs

from anatpaste_aug.datasets import DetectionTask, Subset
from anatpaste_aug.detection.studies.runs import begin_run, read_run, train_run

TRAINED = (("anatpaste", 3), ("anatpaste", 4), ("cutpaste-scar", 3))
SHORT = dataclasses.replace(CONFIG, updates=4, updates_per_epoch=2)


def _subset(kind, images, labels):
    findings = tuple((("square", "odd")[i % 8 == 0],) if label else () for i, label in enumerate(labels.tolist()))
    names = tuple(f"{kind}-{i}.png" for i in range(len(images)))
    return Subset(images, labels, names, findings, (None,) * len(images))


TASK = DetectionTask(
    "squares (synthetic)",
    "reduced protocol for tests",
    "White squares: nothing about radiographs.",
    _subset("train", TRAIN, torch.zeros(20, dtype=torch.int64)),
    _subset("val", VAL, VAL_LABELS),
    # Eight of the abnormal images have no square, so that no detector is perfect.
    _subset("test", torch.cat([blobs(28, seed=5), blobs(12, seed=6, bright=True)]), torch.arange(40) // 20),
    ("square", "odd"),
)


def train_one(folder, method, config=SHORT, task=TASK):
    settings = {"method": [method], "seeds": [str(config.seed)], **dataclasses.asdict(config)}
    begin_run(folder, settings, task)
    printed = train_run(folder, task, method, config, command="python test.py")
    return printed, read_run(folder, task, config)


def train_all(folder):
    """The finished runs, below the folder."""
    return [
        train_one(folder / f"{method}-seed{seed}", method, dataclasses.replace(SHORT, seed=seed))[1]
        for method, seed in TRAINED
    ]
