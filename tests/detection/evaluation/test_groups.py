"""Groups are evaluated separately if they are large enough."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from anatpaste_aug.datasets import phantom_task
from anatpaste_aug.detection import bootstrap_auroc
from anatpaste_aug.detection.evaluation.groups import group_aurocs


def diseased(labels, count):
    """All normal images and the first abnormal ones."""
    mask = labels == 0
    mask[np.flatnonzero(labels)[:count]] = True
    return torch.from_numpy(mask)


def test_a_group_below_ten_images_of_a_class_has_counts_alone():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [30, 25])
    scores = labels + rng.normal(size=55)
    masks = {"edema": diseased(labels, 9), "effusion": diseased(labels, 10), "nothing": torch.zeros(55).bool()}
    masks["abnormal alone"] = torch.from_numpy(labels > 0)
    found = group_aurocs(masks, torch.from_numpy(labels), torch.from_numpy(scores), resamples=300)
    assert {name: (group.normal, group.abnormal) for name, group in found.items()} == {
        "edema": (30, 9),
        "effusion": (30, 10),
        "nothing": (0, 0),
        "abnormal alone": (0, 25),
    }
    chosen = masks["effusion"].numpy()
    assert found["effusion"].auroc == roc_auc_score(labels[chosen], scores[chosen])
    assert found["effusion"].interval == bootstrap_auroc(labels[chosen], scores[chosen], resamples=300)
    for name in ("edema", "nothing", "abnormal alone"):
        assert found[name].auroc is found[name].interval is None
    assert str(found["edema"]) == "too few for an AUROC (30 normal + 9 abnormal)"
    assert group_aurocs(masks, labels, scores, min_per_class=9, resamples=100)["edema"].auroc is not None


def test_masks_of_another_length_are_named():
    with pytest.raises(ValueError, match="edema has 3 values for 4 labels"):
        group_aurocs({"edema": [True] * 3}, [0, 0, 1, 1], [1.0, 2.0, 3.0, 4.0])


def test_the_groups_of_a_task():
    task = phantom_task(32, train=1, val=2, test=100)
    found = group_aurocs(task.groups(), task.test.labels, task.test.images.double().mean((1, 2, 3)), resamples=100)
    assert list(found) == list(task.findings)
    assert sum(group.abnormal for group in found.values()) == int(task.test.labels.sum())
    assert all(group.normal == 50 for group in found.values())
