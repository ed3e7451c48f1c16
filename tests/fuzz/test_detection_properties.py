"""Scores, thresholds, densities and intervals of any numbers."""

import math

import numpy as np
import torch
from fuzz.invariants import attempt, untouched
from fuzz.strategies import anything, seeds
from hypothesis import given
from hypothesis import strategies as st

from anatpaste_aug.detection import (
    auroc,
    best_f1_threshold,
    bootstrap_auroc,
    bootstrap_difference,
    delong_test,
    evaluate,
)
from anatpaste_aug.detection.evaluation.groups import group_aurocs
from anatpaste_aug.detection.evaluation.intervals import delong_covariance
from anatpaste_aug.detection.evaluation.metrics import ScoreScaler
from anatpaste_aug.detection.models.kde import GaussianKDE

magnitudes = st.sampled_from([1e-300, 1e-30, 1.0, 1e30, 1e300, 1.7e308])


def scored(seed, count, magnitude, levels):
    """Labels of both classes, and scores with ties, of any size and sign."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.r_[0, 0, 1, 1, rng.integers(0, 2, count)])
    scores = rng.integers(-levels, levels + 1, labels.size) / levels
    return labels, scores * magnitude


cases = st.builds(scored, seeds, st.integers(0, 20), magnitudes, st.sampled_from([1, 3, 1000]))


def by_pairs(labels, scores):
    """The fraction of ordered pairs."""
    normal, abnormal = scores[labels == 0], scores[labels == 1]
    return np.mean([[1.0 if a > n else 0.5 if a == n else 0.0 for n in normal] for a in abnormal])


@given(cases)
def test_an_auroc_is_the_fraction_of_ordered_pairs(case):
    """Tolerance: 1e-12."""
    labels, scores = case
    area = auroc(labels, scores)
    assert abs(area - by_pairs(labels, scores)) <= 1e-12
    assert abs(auroc(labels, -scores) - (1 - area)) <= 1e-12
    assert abs(auroc(torch.from_numpy(labels), torch.from_numpy(scores)) - area) == 0
    groups = group_aurocs({"all": labels >= 0, "none": labels < 0}, labels, scores, min_per_class=2, resamples=100)
    assert (groups["all"].auroc, groups["none"].auroc) == (area, None)


@given(cases)
def test_no_threshold_has_a_better_f1(case):
    labels, scores = case
    threshold = best_f1_threshold(labels, scores)

    def f1(threshold):
        called = scores >= threshold
        return 2 * (called & (labels == 1)).sum() / (called.sum() + (labels == 1).sum())

    every = [f1(value) for value in np.unique(scores)]
    assert f1(threshold) == max(every)
    assert threshold == max(value for value, score in zip(np.unique(scores), every, strict=True) if score == max(every))
    metrics = evaluate(labels, scores, threshold)
    assert abs(metrics.f1 - max(every)) <= 1e-12
    assert metrics.normal + metrics.abnormal == len(labels)
    assert all(0 <= value <= 1 for value in (metrics.auroc, metrics.accuracy, metrics.sensitivity, metrics.specificity))


@given(cases, cases)
def test_scaled_scores_keep_the_order_and_those_of_validation_are_from_0_to_1(case, other):
    scaler = ScoreScaler.fit(case[1])
    for scores in (case[1], other[1]):
        scaled = scaler.transform(scores)
        assert np.isfinite(scaled).all()
        inside = (scores >= scaler.low) & (scores <= scaler.high)
        assert (((scaled >= 0) & (scaled <= 1)) == inside).all()
        assert (np.diff(scaled[np.argsort(scores)]) >= 0).all()
    ends = scaler.transform([scaler.low, scaler.high])
    assert ends.tolist() == ([0, 0] if scaler.low == scaler.high else [0, 1])


@given(cases, seeds)
def test_intervals_hold_what_they_are_about(case, seed):
    labels, first = case
    second = np.random.default_rng(seed).permutation(first)
    one, difference = (
        bootstrap_auroc(labels, first, resamples=100, seed=seed),
        bootstrap_difference(labels, first, second, resamples=100, seed=seed),
    )
    assert 0 <= one.low <= one.high <= 1
    assert one.estimate == auroc(labels, first)
    assert -1 <= difference.low <= difference.high <= 1
    assert bootstrap_auroc(labels, first, resamples=100, seed=seed) == one


@given(cases, seeds)
def test_delong_s_variances_are_variances(case, seed):
    labels, first = case
    second = np.random.default_rng(seed).permutation(first)
    covariance = delong_covariance(labels, first, second)
    assert np.isfinite(covariance).all()
    assert np.allclose(covariance, covariance.T, rtol=0, atol=1e-12)
    assert (np.linalg.eigvalsh(covariance) >= -1e-12).all()
    there, back = delong_test(labels, first, second), delong_test(labels, second, first)
    assert 0 <= there.p_value <= 1
    assert abs(there.p_value - back.p_value) <= 1e-9
    assert abs(there.difference.estimate + back.difference.estimate) <= 1e-12
    assert delong_test(labels, first, first).p_value == 1


@given(anything, st.sampled_from([auroc, best_f1_threshold, bootstrap_auroc, delong_test]), st.booleans())
def test_labels_and_scores_of_any_kind_are_accepted_or_named(value, function, as_labels):
    scores, labels = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0, 1, 0, 1])
    arguments = (value, scores) if as_labels else (labels, value)
    assert attempt(function, *arguments, *([scores] if function is delong_test else [])) is None


@given(anything, anything)
def test_settings_of_any_kind_are_accepted_or_named(value, other):
    for function, name in ((bootstrap_auroc, "level"), (bootstrap_auroc, "resamples")):
        if isinstance(value, (int, float)) and not (name == "resamples" and value > 1000):
            attempt(function, [0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], **{name: value})
    if isinstance(value, (int, float)) and isinstance(other, (int, float)):
        scaler = attempt(ScoreScaler, value, other)
        assert scaler is None or np.isfinite(scaler.transform([0.0, 1.0])).all()
        kde = attempt(GaussianKDE, torch.zeros(2, 3), value)
        assert kde is None or kde.log_density(torch.ones(1, 3)).isfinite().all() or kde.bandwidth < 1e-18


kde_dtypes = st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64])


@given(
    seeds,
    st.integers(1, 12),
    st.integers(0, 5),
    st.integers(1, 6),
    kde_dtypes,
    st.sampled_from([0.0, 1e-30, 1.0, 100.0]),
    st.sampled_from([0.0, 1.0, 1e4]),
    st.sampled_from([0.3, 1.0, 30.0]),
)
def test_densities_are_sums_over_all_rows(seed, count, queries, width, dtype, spread, offset, bandwidth):
    """Tolerance: 1e-6 relative and absolute, float32's own rounding."""
    rng = np.random.default_rng(seed)
    features, x = (
        torch.from_numpy(offset + spread * rng.standard_normal((n, width))).to(dtype) for n in (count, queries)
    )
    with untouched(features, x):
        kde = GaussianKDE(features, bandwidth)
        found = kde.log_density(x)
    squared = (x.double().unsqueeze(1) - features.double()).square().sum(2)
    constant = width * (0.5 * math.log(2 * math.pi) + math.log(bandwidth))
    expected = torch.logsumexp(-0.5 * squared / bandwidth**2, 1) - math.log(count) - constant
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(kde.score(x).double(), -(expected + constant), rtol=1e-6, atol=1e-5)
    for i in range(queries):
        torch.testing.assert_close(kde.log_density(x[i : i + 1])[0], found[i], rtol=1e-6, atol=1e-6)


@given(seeds, st.integers(1, 5), st.integers(1, 4), magnitudes, st.sampled_from([1e-300, 1e-8, 1.0, 1e8, 1e300]))
def test_densities_of_huge_features_are_finite(seed, count, width, magnitude, bandwidth):
    """Far away is −infinity at the end of float64, and never NaN."""
    rng = np.random.default_rng(seed)
    features, x = (torch.from_numpy(rng.uniform(-1, 1, (n, width)) * magnitude) for n in (count, 3))
    kde = attempt(GaussianKDE, features, bandwidth)
    if kde is not None:
        found = attempt(kde.log_density, x)
        assert found is None or not found.isnan().any()
