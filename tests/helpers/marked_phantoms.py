"""Phantoms for training, and test phantoms with and without a square on a lung: an obvious anomaly."""

import torch

from anatpaste_aug.datasets import phantom_task
from anatpaste_aug.detection import auroc


def learned_from_phantoms(make, config):
    """Return the detector, fitted without labels, and the AUROCs of its score and of the mean of its map on squares."""
    task = phantom_task(config.image_size, val=20, test=100)
    normal = task.test.images[task.test.labels == 0]
    detector = make(config).fit(task.train.images, task.val.images[task.val.labels == 0])
    marked = normal.clone()
    marked[..., 20:36, 14:30] = 255
    images, labels = torch.cat([normal, marked]), torch.arange(2 * len(normal)) // len(normal)
    maps = detector.anomaly_map(images).mean((1, 2, 3))
    return detector, auroc(labels, detector.score(images)), auroc(labels, maps)
