"""The paper's experiments with so few images that they take seconds."""

from functools import partial

from anatpaste_aug import datasets
from anatpaste_aug.detection import PRESETS

TINY = {"image_size": 32, "batch_size": 4, "updates": 2, "updates_per_epoch": 1}
SMALL = partial(datasets.phantom_task, train=12, val=20, test=88)
QUICK = ("--preset", "smoke", "--backbone", "test_byobnet", "--device", "cpu")


def make_tiny(monkeypatch):
    """Replace the preset smoke by TINY, and draw few phantoms."""
    monkeypatch.setitem(PRESETS, "smoke", TINY)
    monkeypatch.setattr(datasets, "phantom_task", SMALL)
