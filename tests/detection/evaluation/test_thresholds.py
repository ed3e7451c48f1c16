"""Thresholds by normal images only, against counting and against thresholds by F1."""

import numpy as np
import pytest

from anatpaste_aug.detection.evaluation.metrics import best_f1_threshold
from anatpaste_aug.detection.evaluation.results import MethodScores, ensemble, result_row
from anatpaste_aug.detection.evaluation.thresholds import choose_scaler, choose_threshold, false_positive_threshold


@pytest.mark.parametrize("count", [1, 7, 20, 100, 333])
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.29, 0.5])
def test_the_threshold_is_the_smallest_with_this_rate(count, rate):
    scores = np.random.default_rng(count).normal(size=count)
    threshold = false_positive_threshold(scores, rate)
    assert (scores >= threshold).mean() <= rate
    smaller = scores[scores < threshold]
    assert (scores >= smaller.max()).mean() > rate


def test_equal_scores_are_on_one_side():
    assert not (np.ones(10) >= false_positive_threshold(np.ones(10), 0.2)).any()


def test_labels_decide_unless_a_rate_is_given():
    labels, scores = np.repeat([0, 1], 50), np.r_[np.arange(50.0), np.arange(30.0, 80.0)]
    assert choose_threshold(labels, scores) == best_f1_threshold(labels, scores)
    assert choose_threshold(labels, scores, 0.1) == false_positive_threshold(scores[:50], 0.1)
    assert choose_threshold(labels[:50], scores[:50]) == false_positive_threshold(scores[:50], 0.05)
    with pytest.raises(ValueError, match="scores of normal validation images"):
        choose_threshold([1, 1], [0.0, 1.0], 0.1)
    with pytest.raises(ValueError, match=r"false_positive_rate must be between 0 and 1, got 1\.5"):
        choose_threshold([0, 0], [0.0, 1.0], 1.5)


def test_the_threshold_is_the_middle_of_a_scale_by_normal_images():
    scaler = choose_scaler([0, 0, 0], [1.0, 2.0, 3.0], threshold=3.0)
    assert scaler.transform([1.0, 3.0, 4.0, 9.0]).tolist() == [0.0, 0.5, 0.75, 2.0]


def test_an_ensemble_calibrated_on_normal_images_separates_abnormal_ones():
    """On the scale of the normal images' range, all scores above it would be 1."""
    members = [MethodScores(name, [0.0, 1.0], [0.5, 1.2, 1.5, 1.8], 0.05, normals_only=True) for name in "ab"]
    both = ensemble(members)
    assert np.unique(both.test).size == 4
    row = result_row(both, [0, 0], [0, 0, 1, 1], dataset="mine", resamples=100)
    assert (row.metrics.auroc, row.val_auroc, row.metrics.threshold) == (1.0, None, pytest.approx(0.5))
    row = result_row(both, [0, 0], [0, 0, 0, 0], dataset="mine")
    assert (row.cells()["AUROC"], row.cells()["F1"], row.cells()["specificity"]) == ("–", "–", "0.250")
