"""The best one-number score is named, and each method that is not better."""

import numpy as np

from anatpaste_aug.detection import bootstrap_difference
from anatpaste_aug.detection.evaluation.matched import MatchedAuroc
from anatpaste_aug.detection.evaluation.results import MethodScores
from anatpaste_aug.detection.evaluation.shortcuts import best_one_number, shortcut_findings


def method(name, test):
    return MethodScores(name, [0.0], test)


def test_only_methods_that_are_not_better_are_named():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 100)
    noise = rng.normal(size=(4, 200))
    numbers = [method("size (high)", noise[0] + 0.2 * labels), method("mean gradient (low)", noise[1] + labels)]
    better, alike = method("better", 0.3 * noise[2] + labels), method("alike", noise[3] + 1.1 * labels)
    assert best_one_number(labels, numbers) is numbers[1]
    lines = shortcut_findings(labels, [better, alike], numbers)
    assert len(lines) == 2
    assert lines[0].startswith("Best one-number score: mean gradient (low), AUROC 0.")
    assert lines[1].startswith("alike is not significantly better than mean gradient (low): AUROC 0.")
    assert str(bootstrap_difference(labels, alike.test, numbers[1].test)) in lines[1]
    unmatched = shortcut_findings(labels, [better], numbers, MatchedAuroc(None, note="too few images"))
    assert unmatched[1:] == ["No matched AUROC: too few images."]
