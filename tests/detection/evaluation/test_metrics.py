"""Metrics against scikit-learn's, thresholds against brute force."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, recall_score, roc_auc_score

from anatpaste_aug.detection import Metrics, auroc, best_f1_threshold, evaluate
from anatpaste_aug.detection.evaluation.metrics import ScoreScaler


def example(seed, ties=False):
    rng = np.random.default_rng(seed)
    labels = np.r_[0, 1, rng.integers(0, 2, 118)]
    scores = labels + rng.normal(0, 1.2, 120)
    return labels, scores.round(1) if ties else scores


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ties", [False, True])
def test_figures_equal_sklearn(seed, ties):
    labels, scores = example(seed, ties=ties)
    threshold = float(np.median(scores))
    found = evaluate(labels, scores, threshold)
    predicted = scores >= threshold
    assert found.auroc == auroc(labels, scores) == roc_auc_score(labels, scores)
    assert found.accuracy == accuracy_score(labels, predicted)
    assert found.f1 == f1_score(labels, predicted)
    assert found.sensitivity == pytest.approx(recall_score(labels, predicted))
    assert found.specificity == pytest.approx(recall_score(labels, predicted, pos_label=0))
    assert (found.normal, found.abnormal) == ((labels == 0).sum(), labels.sum())


def test_float32_scores_meet_their_own_threshold():
    labels, scores = example(4)
    scores = torch.from_numpy(scores).float()
    threshold = best_f1_threshold(torch.from_numpy(labels), scores)
    assert evaluate(labels, scores, threshold).f1 == f1_score(labels, scores.numpy() >= np.float32(threshold))


def test_nothing_called_abnormal_is_an_f1_of_zero():
    found = evaluate([0, 1], [0.0, 1.0], threshold=2.0)
    assert found == Metrics(1.0, 0.5, 0.0, 2.0, 0.0, 1.0, 1, 1)


def test_scaler():
    scaler = ScoreScaler.fit(torch.tensor([1.0, 3.0, 2.0]))
    assert (scaler.low, scaler.high) == (1.0, 3.0)
    assert scaler.transform([0.0, 1.0, 1.5, 3.0, 10.0]).tolist() == [-0.5, 0.0, 0.25, 1.0, 4.5]
    assert ScoreScaler.fit([2.0, 2.0]).transform([1.0, 2.0, 3.0]).tolist() == [-1.0, 0.0, 1.0]
    with pytest.raises(ValueError, match="low <= high"):
        ScoreScaler(low=1.0, high=0.0)
    with pytest.raises(ValueError, match="need finite low <= high"):
        ScoreScaler(low=0.0, high=10**400)
    with pytest.raises(ValueError, match="non-empty"):
        ScoreScaler.fit([])


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 0], [1.0, 2.0], "both classes are needed, but all 2 labels are normal"),
        ([1, 1], [1.0, 2.0], "all 2 labels are abnormal"),
        ([0, 1], [1.0, float("nan")], "1 of 2 scores are NaN"),
        ([0, 1], [1.0, float("inf")], "NaN or infinite"),
        ([0, 1, 1], [1.0, 2.0], r"shapes \(3,\) and \(2,\)"),
        ([0, 2], [1.0, 2.0], "labels must be 0"),
        ([], [], "non-empty"),
        ([[0], [1]], [[1.0], [2.0]], "vector"),
        ([0, 1], ["low", "high"], r"vector of numbers, got \['low', 'high'\]"),
        ([0, 1], [1j, 2j], "vector of numbers"),
        (["no", "yes"], [1.0, 2.0], r"labels must be 0 .* got \['no', 'yes'\]"),
    ],
)
def test_impossible_inputs(labels, scores, message):
    calls = [auroc, best_f1_threshold]
    if labels != [0, 0]:  # which have a specificity
        calls.append(lambda truth, values: evaluate(truth, values, 0.5))
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call(labels, scores)


def test_normal_images_alone_have_a_specificity():
    found = evaluate([0, 0, 0, 0], [0.1, 0.2, 0.3, 0.9], threshold=0.5)
    assert (found.specificity, found.accuracy, found.normal, found.abnormal) == (0.75, 0.75, 4, 0)
    assert (found.auroc, found.f1, found.sensitivity) == (None, None, None)


def test_scores_of_half_precision_are_scores():
    scores = torch.tensor([0.1, 0.2, 0.3], dtype=torch.bfloat16)
    assert auroc(torch.tensor([0, 0, 1]), scores) == 1


def test_threshold_must_be_finite():
    with pytest.raises(ValueError, match="threshold must be finite, got nan"):
        evaluate([0, 1], [0.0, 1.0], float("nan"))
