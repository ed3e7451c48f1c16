"""The ensemble against its definition, metrics of a method against scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, precision_recall_curve, roc_auc_score

from anatpaste_aug.detection import bootstrap_auroc
from anatpaste_aug.detection.evaluation.results import MethodScores, ensemble, result_row


def seeds(count=3):
    """Methods with different scales, with validation and test labels."""
    rng = np.random.default_rng(0)
    val_labels, test_labels = (rng.permutation(np.repeat([0, 1], [n, n])) for n in (30, 50))
    methods = [
        MethodScores(
            f"seed {i}",
            10**i * (val_labels + rng.normal(size=60)) + i,
            torch.from_numpy(10**i * (test_labels + rng.normal(size=100)) + i),
        )
        for i in range(count)
    ]
    return methods, val_labels, test_labels


def test_ensemble_is_the_mean_of_the_clipped_scaled_scores():
    methods, _, _ = seeds()
    found = ensemble(methods, "AnatPaste, 3 seeds")
    assert found.name == "AnatPaste, 3 seeds"
    for part in ("val", "test"):
        scaled = [
            ((getattr(method, part) - method.val.min()) / (method.val.max() - method.val.min())).clip(0, 1)
            for method in methods
        ]
        np.testing.assert_allclose(getattr(found, part), sum(scaled) / 3, rtol=0, atol=1e-14)
    assert max(found.test) < max(max(method.test) for method in methods)


def test_ensemble_figures_are_scikit_learns_at_its_own_threshold():
    methods, val_labels, test_labels = seeds()
    both = ensemble(methods)
    row = result_row(both, val_labels, test_labels, dataset="phantoms (synthetic)", resamples=300, seed=4)
    precision, recall, thresholds = precision_recall_curve(val_labels, both.val)
    curve = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    best = thresholds[np.flatnonzero(curve[:-1] > curve.max() - 1e-12).max()]
    predicted = both.test >= best
    figures = row.metrics
    assert figures.threshold == best
    assert figures.auroc == roc_auc_score(test_labels, both.test)
    assert figures.accuracy == accuracy_score(test_labels, predicted)
    assert figures.f1 == f1_score(test_labels, predicted)
    assert row.val_auroc == roc_auc_score(val_labels, both.val)
    assert row.interval == bootstrap_auroc(test_labels, both.test, resamples=300, seed=4)
    assert (row.dataset, row.weights, row.update) == ("phantoms (synthetic)", "ensemble", None)
    # Its own threshold is not the mean of the members'.
    assert figures.auroc > max(roc_auc_score(test_labels, method.test) for method in methods)


def test_test_labels_do_not_affect_the_threshold():
    methods, val_labels, test_labels = seeds()
    rows = [result_row(methods[0], val_labels, labels, dataset="d") for labels in (test_labels, 1 - test_labels)]
    assert rows[0].metrics.threshold == rows[1].metrics.threshold
    assert rows[0].metrics.auroc == pytest.approx(1 - rows[1].metrics.auroc)


def test_impossible_inputs():
    with pytest.raises(ValueError, match="one member or more"):
        ensemble([])
    with pytest.raises(ValueError, match=r"different images: \[\(1, 2\), \(2, 2\)\]"):
        ensemble([MethodScores("a", [1.0], [1.0, 2.0]), MethodScores("b", [1.0, 2.0], [1.0, 2.0])])
    with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
        MethodScores("a", [1.0], [1.0, float("nan")])
    with pytest.raises(ValueError, match="one label per score"):
        result_row(MethodScores("a", [1.0, 2.0], [1.0, 2.0]), [0, 1, 1], [0, 1], dataset="d")
