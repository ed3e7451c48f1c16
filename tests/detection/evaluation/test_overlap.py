"""Overlap weights against scikit-learn's logistic regression, weighted areas against its ``roc_auc_score``."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from anatpaste_aug.detection.evaluation.overlap import design_matrix, effective_number, overlap_weights, weighted_auroc


def confounded(count=150, seed=0):
    """Labels, and nuisances that differ between the classes; the third is nearly the first."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat([0, 1], [count, 2 * count]))
    first, second = rng.normal(size=(2, 3 * count)) + labels * [[1.5], [-0.5]]
    return labels, [1e6 * first + 3e6, second, first + 0.3 * rng.normal(size=3 * count)]


def resamples(labels, number, seed=1):
    rng = np.random.default_rng(seed)
    counts = np.zeros((number, len(labels)), dtype=int)
    for row in counts:
        for label in (0, 1):
            np.add.at(row, rng.choice(np.flatnonzero(labels == label), size=(labels == label).sum()), 1)
    return counts


def scikit_weights(labels, design, counts):
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000)  # no penalty
    abnormal = model.fit(design[:, 1:], labels, sample_weight=counts).predict_proba(design[:, 1:])[:, 1]
    return np.where(labels == 1, 1 - abnormal, abnormal)


def test_weights_are_those_of_scikit_learns_regression_in_every_resample():
    labels, nuisances = confounded()
    design = design_matrix(nuisances)
    counts = np.concatenate([np.ones((1, len(labels)), dtype=int), resamples(labels, 4)])
    found, separated = overlap_weights(labels, design, counts)
    assert not separated.any()
    for weights, number in zip(found, counts, strict=True):
        np.testing.assert_allclose(weights, scikit_weights(labels, design, number), rtol=0, atol=1e-6)
    np.testing.assert_allclose(overlap_weights(labels, design)[0], found[:1], rtol=0, atol=1e-9)


def test_weighted_means_of_the_nuisances_are_those_of_both_classes():
    labels, nuisances = confounded()
    (weights,), _ = overlap_weights(labels, design_matrix(nuisances))
    for nuisance in nuisances:
        means = [np.average(nuisance[labels == label], weights=weights[labels == label]) for label in (0, 1)]
        assert means[0] == pytest.approx(means[1], abs=1e-6 * nuisance.std())
        assert abs(nuisance[labels == 0].mean() - nuisance[labels == 1].mean()) > 0.3 * nuisance.std()


def test_constant_and_repeated_nuisances_change_nothing():
    labels, nuisances = confounded()
    design = design_matrix([*nuisances, np.full(len(labels), 0.1)])
    assert design.shape == (len(labels), 4)
    (expected,), _ = overlap_weights(labels, design)
    (found,), (separated,) = overlap_weights(labels, design_matrix([*nuisances, 2 * nuisances[0] + 1]))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert not separated
    (alone,), _ = overlap_weights(labels, design_matrix([np.ones(len(labels))]))
    np.testing.assert_allclose(alone, np.where(labels == 1, 1 / 3, 2 / 3), rtol=0, atol=1e-9)


def test_separated_classes_are_found():
    labels = np.repeat([0, 1], 20)
    line = np.arange(40.0)
    assert overlap_weights(labels, design_matrix([line]))[1].tolist() == [True]
    # One pair that overlaps, as in all resamples that hold both images of it.
    line[[19, 20]] = line[[20, 19]]
    counts = np.ones((3, 40))
    counts[1, 19], counts[2, :20] = 0, [20, *[0] * 19]
    assert overlap_weights(labels, design_matrix([line]), counts)[1].tolist() == [False, True, True]


def test_areas_are_scikit_learns():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([0, 1], [30, 50]))
    weights = rng.uniform(size=(5, 80)) * rng.integers(0, 3, size=(5, 80))
    for scores in (rng.normal(size=80) + labels, rng.integers(0, 4, size=80)):  # the second with many ties
        expected = [roc_auc_score(labels, scores, sample_weight=row) for row in weights]
        np.testing.assert_allclose(weighted_auroc(labels, scores, weights), expected, rtol=0, atol=1e-12)


def test_effective_number():
    assert effective_number(np.full(7, 0.2)) == pytest.approx(7)
    assert effective_number(np.array([3.0, 1.0])) == pytest.approx(16 / 10)
    assert effective_number(np.zeros(3)) == 0


def test_impossible_nuisances():
    for nuisances in ([], [[1.0, 2.0], [1.0]]):
        with pytest.raises(ValueError, match="one or more nuisances of the same length"):
            design_matrix(nuisances)
