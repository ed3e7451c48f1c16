"""Distances of features against scikit-learn's and SciPy's."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf
from sklearn.model_selection import KFold
from sklearn.neighbors import NearestNeighbors

from anatpaste_aug.detection.models import distances
from anatpaste_aug.detection.models.distances import (
    SCORES,
    MahalanobisDistance,
    NeighborDistance,
    fit_score,
    validation_scores,
)
from anatpaste_aug.detection.models.kde import GaussianKDE


def features(count, width=24, seed=0, dtype=torch.float64):
    """Unit vectors as the network gives them, of features that depend on each other."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(count, width)) @ np.random.default_rng(9).normal(size=(width, width)) + 3
    return torch.from_numpy(mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).to(dtype)


@pytest.mark.parametrize("neighbors", [1, 5])
def test_neighbors_are_scikit_learns(monkeypatch, neighbors):
    monkeypatch.setattr(distances, "_BLOCK_ELEMENTS", 300)  # several blocks
    rows, queries = features(100), features(30, seed=1)
    found = NeighborDistance(rows, neighbors).score(queries)
    expected = NearestNeighbors(n_neighbors=neighbors, algorithm="brute").fit(rows).kneighbors(queries)[0].mean(1)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    # A row is its own nearest neighbor; rounding of squares leaves up to 1e-7.
    np.testing.assert_allclose(NeighborDistance(rows, 1).score(rows), 0, atol=1e-7)


def test_fewer_rows_than_neighbors_are_all_averaged():
    rows, queries = features(3), features(4, seed=1)
    expected = torch.cdist(queries, rows).mean(1)
    torch.testing.assert_close(NeighborDistance(rows, 5).score(queries), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("count", [10, 500])  # fewer rows than features, and more
@pytest.mark.parametrize("size", [1.0, 1e-30, 1e60])
def test_mahalanobis_is_scipys_with_scikit_learns_covariance(count, size):
    rows, queries = features(count), features(30, seed=1)
    model = LedoitWolf().fit(rows.numpy())
    expected = [mahalanobis(query, model.location_, model.precision_) for query in queries.numpy()]
    np.testing.assert_allclose(MahalanobisDistance(size * rows).score(size * queries), expected, rtol=1e-7)


def test_mahalanobis_of_features_that_do_not_vary():
    rows = torch.tensor([[1.0, 2.0]]).repeat(5, 1)
    assert MahalanobisDistance(rows).score(torch.tensor([[1.0, 2.0], [4.0, 6.0]])).tolist() == [0, 5]
    assert MahalanobisDistance(rows[:1]).score(torch.tensor([[4.0, 6.0]])).tolist() == [5]
    # A dead feature, and two images: their covariance is singular even when shrunk.
    two = MahalanobisDistance(torch.tensor([[1.0, 0.0], [3.0, 0.0]])).score(torch.tensor([[2.0, 0.0], [5.0, 1.0]]))
    assert two[0] == 0
    assert 1 < two[1] < float("inf")


@pytest.mark.parametrize("score", ["knn", "mahalanobis"])
def test_float32_features_lose_no_digits_to_a_common_offset(score):
    rows, queries = features(60, dtype=torch.float32), features(30, seed=1, dtype=torch.float32)
    found = fit_score(score, rows).score(queries)
    assert found.dtype == torch.float32
    expected = fit_score(score, rows.double()).score(queries.double())
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("score", SCORES)
def test_scores_by_name(score):
    rows, queries = features(60), features(30, seed=1)
    kinds = {"kde": GaussianKDE, "knn": NeighborDistance, "mahalanobis": MahalanobisDistance}
    fitted = fit_score(score, rows, bandwidth=0.5)
    assert type(fitted) is kinds[score]
    assert getattr(fitted, "bandwidth", 0.5) == 0.5
    assert fitted.score(queries[:0]).shape == (0,)
    assert fitted.score(rows.mean(0)[None] + 1).item() > fitted.score(queries).max()
    with pytest.raises(ValueError, match="queries have 5 features, the training features have 24"):
        fitted.score(queries[:, :5])
    with pytest.raises(ValueError, match="NaN or infinity in 1 of 30 rows"):
        fitted.score(queries.index_fill(0, torch.tensor([3]), float("nan")))
    with pytest.raises(TypeError, match="floating tensor"):
        fit_score(score, rows.long())


def test_an_unknown_score_is_named():
    with pytest.raises(ValueError, match="score must be one of kde, knn, mahalanobis, got 'svm'"):
        fit_score("svm", features(5))


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("normals", [10, 30])
def test_validation_scores_compare_normal_images_with_the_others_in_scikit_learns_folds(score, normals):
    own, abnormal = features(normals), features(6, seed=1)
    labels = torch.zeros(normals + 6, dtype=torch.int64)
    labels[torch.randperm(normals + 6, generator=torch.Generator().manual_seed(0))[:6]] = 1
    rows = torch.empty(normals + 6, 24, dtype=torch.float64)
    rows[labels == 0], rows[labels == 1] = own, abnormal
    found = validation_scores(score, None, rows, labels, bandwidth=0.5)
    expected = torch.empty(normals, dtype=torch.float64)
    for rest, part in KFold(10).split(own):
        expected[part] = fit_score(score, own[rest], bandwidth=0.5).score(own[part])
    torch.testing.assert_close(found[labels == 0], expected, rtol=1e-9, atol=1e-12)
    expected = fit_score(score, own, bandwidth=0.5).score(abnormal)
    torch.testing.assert_close(found[labels == 1], expected, rtol=1e-9, atol=1e-12)


def test_validation_scores_with_training_features_are_those_of_the_score():
    train, val = features(20), features(5, seed=1)
    found = validation_scores("knn", train, val, torch.tensor([0, 1, 0, 1, 1]))
    assert torch.equal(found, fit_score("knn", train).score(val))


def test_too_few_normal_validation_images_to_compare_with():
    with pytest.raises(ValueError, match=r"needs at least 10, got 1; add some, or .*reference='train'"):
        validation_scores("knn", None, features(3), torch.tensor([0, 1, 1]))
