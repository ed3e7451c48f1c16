"""Intervals against resampling by hand and known populations, DeLong's variance against its definition."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from anatpaste_aug.detection import bootstrap_auroc, bootstrap_difference, delong_test
from anatpaste_aug.detection.evaluation import intervals
from anatpaste_aug.detection.evaluation.intervals import delong_covariance


def example(seed, normal=40, abnormal=30, shift=1.0, ties=False):
    """Labels, and correlated scores of two methods."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat([0, 1], [normal, abnormal]))
    common = rng.normal(size=labels.size)
    first, second = (labels * move + common + rng.normal(size=labels.size) for move in (shift, 0.7 * shift))
    return (labels, first.round(), second.round()) if ties else (labels, first, second)


def resample(labels, methods, count, seed):
    """The stratified bootstrap, one resample at a time, pair by pair: areas as count×K."""
    rng = np.random.default_rng(seed)
    normal, abnormal = (np.flatnonzero(labels == label) for label in (0, 1))
    won = [(np.sign(scores[abnormal][:, None] - scores[normal]) + 1) / 2 for scores in methods]
    assert [pairs.mean() for pairs in won] == pytest.approx([roc_auc_score(labels, scores) for scores in methods])
    draws = [
        (rng.integers(0, abnormal.size, abnormal.size), rng.integers(0, normal.size, normal.size)) for _ in range(count)
    ]
    return np.array([[pairs[np.ix_(rows, columns)].mean() for pairs in won] for rows, columns in draws])


def naive_covariance(labels, methods):
    """DeLong's formulas with every pair of a normal and an abnormal image written out."""
    parts = []
    for scores in methods:
        normal, abnormal = scores[labels == 0], scores[labels == 1]
        won = [[1.0 if x > y else 0.5 if x == y else 0.0 for y in normal] for x in abnormal]
        found = [sum(row) / len(normal) for row in won]
        passed = [sum(column) / len(abnormal) for column in zip(*won, strict=True)]
        parts.append((found, passed))
    covariance = np.zeros((len(methods), len(methods)))
    for (i, one), (j, other) in itertools.product(enumerate(parts), repeat=2):
        for left, right in zip(one, other, strict=True):
            product = sum((a - np.mean(left)) * (b - np.mean(right)) for a, b in zip(left, right, strict=True))
            covariance[i, j] += product / (len(left) - 1) / len(left)
    return covariance


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("sizes", [(40, 30), (7, 90), (2, 2)])
def test_delong_covariance_is_its_definition(ties, sizes):
    labels, *methods = example(1, *sizes, ties=ties)
    third = -methods[0]
    found = delong_covariance(labels, *methods, third)
    np.testing.assert_allclose(found, naive_covariance(labels, [*methods, third]), rtol=0, atol=1e-14)


@pytest.mark.parametrize("ties", [False, True])
def test_bootstrap_equals_resampling_by_hand(ties):
    labels, first, second = example(2, ties=ties)
    areas = resample(labels, [first, second], 3000, seed=5)
    one = bootstrap_auroc(labels, first, resamples=6000)
    assert one.estimate == roc_auc_score(labels, first)
    # Monte Carlo: a quantile at 2.5 % of 3000 resamples has a standard error near 0.0025 here.
    np.testing.assert_allclose((one.low, one.high), np.quantile(areas[:, 0], [0.025, 0.975]), rtol=0, atol=0.012)
    both = bootstrap_difference(labels, first, second, resamples=6000, level=0.9)
    differences = areas[:, 0] - areas[:, 1]
    assert both.estimate == roc_auc_score(labels, first) - roc_auc_score(labels, second)
    np.testing.assert_allclose((both.low, both.high), np.quantile(differences, [0.05, 0.95]), rtol=0, atol=0.012)
    # Unpaired, the difference would be this much wider.
    unpaired = areas[:, 0] - np.random.default_rng(0).permutation(areas[:, 1])
    assert both.high - both.low < 0.9 * np.diff(np.quantile(unpaired, [0.05, 0.95])).item()


@pytest.mark.slow
def test_intervals_hold_the_true_area_about_as_often_as_they_say():
    shift = 1.2
    truth = norm.cdf(shift / math.sqrt(2))  # of two normal populations
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [60, 60])
    held = np.zeros(2)
    for _ in range(200):
        scores = labels * shift + rng.normal(size=labels.size)
        by_bootstrap = bootstrap_auroc(labels, scores, level=0.9, resamples=300)
        reach = norm.ppf(0.95) * math.sqrt(delong_covariance(labels, scores)[0, 0])
        held += [by_bootstrap.low <= truth <= by_bootstrap.high, abs(by_bootstrap.estimate - truth) <= reach]
    # 200 trials at 90 %: a standard error of 0.021.
    assert np.all(np.abs(held / 200 - 0.9) < 0.065), held


@pytest.mark.slow
def test_under_the_hypothesis_p_values_are_uniform():
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], [50, 50])
    p_values = []
    for _ in range(400):
        common = labels + rng.normal(size=labels.size)
        first, second = (common + 0.8 * rng.normal(size=labels.size) for _ in range(2))
        p_values.append(delong_test(labels, first, second).p_value)
    # 400 trials: standard errors of 0.011 at 5 % and 0.025 at 50 %.
    assert abs(np.mean(np.array(p_values) < 0.05) - 0.05) < 0.035
    assert abs(np.mean(np.array(p_values) < 0.5) - 0.5) < 0.075


def test_delong_test_agrees_with_its_own_interval_and_with_the_bootstrap():
    labels, first, second = example(4, 300, 200)
    test = delong_test(labels, first, second)
    covariance = naive_covariance(labels, [first, second])
    error = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert test.standard_error == pytest.approx(error, abs=1e-12)
    difference = roc_auc_score(labels, first) - roc_auc_score(labels, second)
    assert test.difference.estimate == pytest.approx(difference, abs=1e-15)
    assert test.p_value == pytest.approx(2 * norm.sf(abs(difference) / error), rel=1e-9)
    both = bootstrap_difference(labels, first, second)
    # Two methods on 500 images, an interval 0.08 wide: they agree within a tenth of it.
    assert both.low == pytest.approx(test.difference.low, abs=0.008)
    assert both.high == pytest.approx(test.difference.high, abs=0.008)
    swapped = delong_test(labels, second, first)
    assert swapped.p_value == test.p_value
    assert swapped.difference.low == pytest.approx(-test.difference.high)


def test_equal_rankings_do_not_differ():
    labels, first, _ = example(5)
    test = delong_test(labels, first, np.exp(first))
    assert (test.difference.estimate, test.standard_error, test.p_value) == (0, pytest.approx(0, abs=1e-7), 1)
    assert bootstrap_difference(labels, first, np.exp(first)).low == 0


def test_seed_and_portions(monkeypatch):
    labels, scores, _ = example(6)
    found = bootstrap_auroc(labels, scores, seed=3)
    assert bootstrap_auroc(labels, scores, seed=3) == found
    assert bootstrap_auroc(labels, scores, seed=4) != found
    monkeypatch.setattr(intervals, "_BATCH_ELEMENTS", 7 * labels.size)
    assert bootstrap_auroc(labels, scores, seed=3).low == pytest.approx(found.low, abs=0.02)
    assert bootstrap_auroc(labels, scores, level=0.5).high < found.high


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([0, 0, 0, 0], {}, "both classes"),
        ([0, 1, 1, 1], {}, "two images of each class"),
        ([0, 0, 1, 1], {"level": 1.0}, "level must be between 0 and 1, got 1.0"),
        ([0, 0, 1, 1], {"resamples": 10}, "resamples must be a whole number of at least 100, got 10"),
    ],
)
def test_impossible_inputs(labels, options, message):
    scores = [1.0, 2.0, 3.0, 4.0]
    with pytest.raises(ValueError, match=message):
        bootstrap_auroc(labels, scores, **options)
    with pytest.raises(ValueError, match=message):
        bootstrap_difference(labels, scores, scores, **options)
    if "resamples" not in options:
        with pytest.raises(ValueError, match=message):
            delong_test(labels, scores, scores, **options)
