"""The density against scikit-learn's, which is the definition."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import KernelDensity

from anatpaste_aug.detection.models import kde
from anatpaste_aug.detection.models.kde import GaussianKDE


def unit_rows(count, seed, spread, width=512):
    """Rows of unit length: a cluster for a small spread, all directions for a large one."""
    common = np.random.default_rng(0).normal(size=width)
    rows = common + spread * np.random.default_rng(seed).normal(size=(count, width))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def sklearn_log_density(train, queries, bandwidth=1.0, normalize=True, leaf_size=40):
    tree = KernelDensity(kernel="gaussian", bandwidth=bandwidth, leaf_size=leaf_size).fit(train)
    constant = train.shape[1] * (0.5 * np.log(2 * np.pi) + np.log(bandwidth))
    return tree.score_samples(queries) + (0 if normalize else constant)


@pytest.mark.parametrize("spread", [0.01, 0.3, 100.0])
def test_float64_equals_sklearn_with_the_constant(spread):
    train, queries = unit_rows(1000, 1, spread), unit_rows(200, 2, spread)
    found = GaussianKDE(torch.from_numpy(train)).log_density(torch.from_numpy(queries))
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found, sklearn_log_density(train, queries), rtol=0, atol=1e-9)


@pytest.mark.parametrize("spread", [0.01, 0.3, 100.0])
@pytest.mark.parametrize("bandwidth", [0.2, 3.0])
def test_other_bandwidths_equal_sklearns_sum(spread, bandwidth):
    # All rows in one leaf make scikit-learn sum kernels one by one. The bounds of its tree lose digits where kernels
    # are tiny: 8e-5 from that sum at bandwidth 0.2 and spread 100, however small its rtol.
    train, queries = unit_rows(1000, 1, spread), unit_rows(200, 2, spread)
    found = GaussianKDE(torch.from_numpy(train), bandwidth).log_density(torch.from_numpy(queries))
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found, sklearn_log_density(train, queries, bandwidth, leaf_size=2000), rtol=0, atol=1e-9)


@pytest.mark.parametrize("spread", [0.01, 0.3, 100.0])
def test_float32_equals_sklearn_without_the_constant(spread):
    train, queries = (unit_rows(n, n, spread).astype(np.float32) for n in (1000, 200))
    found = GaussianKDE(torch.from_numpy(train)).log_density(torch.from_numpy(queries), normalize=False)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, sklearn_log_density(train, queries, normalize=False), rtol=0, atol=2e-6)


def test_a_large_common_offset_costs_no_digits():
    train, queries = (100 + np.random.default_rng(seed).normal(size=(50, 3)) for seed in (1, 2))
    found = GaussianKDE(torch.from_numpy(train)).log_density(torch.from_numpy(queries))
    np.testing.assert_allclose(found, sklearn_log_density(train, queries), rtol=0, atol=1e-9)


def test_blocks_of_queries_change_nothing(monkeypatch):
    train, queries = (torch.from_numpy(unit_rows(n, n, 0.3, width=16)) for n in (40, 33))
    whole = GaussianKDE(train).log_density(queries)
    monkeypatch.setattr(kde, "_BLOCK_ELEMENTS", 7 * 40)
    torch.testing.assert_close(GaussianKDE(train).log_density(queries), whole, rtol=0, atol=1e-12)


def test_autocast_and_half_precision_inputs_keep_the_precision():
    train, queries = (torch.from_numpy(unit_rows(n, n, 0.3)).float() for n in (100, 20))
    exact = GaussianKDE(train).score(queries)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(GaussianKDE(train).score(queries), exact)
    assert GaussianKDE(train.half()).score(queries.half()).dtype == torch.float32


def test_later_changes_of_the_features_do_not_reach_the_model():
    train = torch.rand(4, 2, dtype=torch.float64)
    model = GaussianKDE(train)
    before = model.score(torch.zeros(1, 2))
    train.zero_()
    assert torch.equal(model.score(torch.zeros(1, 2)), before)


@pytest.mark.parametrize(
    ("features", "bandwidth", "message"),
    [
        (torch.empty(0, 3), 1.0, r"empty: shape \(0, 3\)"),
        (torch.rand(3), 1.0, r"shape \(3,\)"),
        (torch.tensor([[1.0], [float("nan")]]), 1.0, "NaN or infinity in 1 of 2 rows"),
        (torch.tensor([[float("inf")]]), 1.0, "NaN or infinity"),
        (torch.rand(2, 2), 0.0, r"bandwidth must be a number in \[1e-70, 1e\+70\], got 0"),
        (torch.rand(2, 2), -1.0, "bandwidth"),
        (torch.rand(2, 2), float("nan"), "bandwidth"),
        (torch.rand(2, 2), 1e-300, "bandwidth"),
        (torch.rand(2, 2), 1e300, "bandwidth"),
        (torch.tensor([[-1e200]], dtype=torch.float64), 1.0, r"must lie within ±1e70, got 1e\+200"),
    ],
)
def test_impossible_training_features(features, bandwidth, message):
    with pytest.raises(ValueError, match=message):
        GaussianKDE(features, bandwidth)


def test_impossible_queries():
    model = GaussianKDE(torch.rand(3, 4))
    with pytest.raises(ValueError, match="queries have 5 features, the training features have 4"):
        model.score(torch.rand(2, 5))
    with pytest.raises(ValueError, match="NaN"):
        model.score(torch.full((2, 4), float("nan")))
    with pytest.raises(ValueError, match="queries are on meta"):
        model.score(torch.rand(2, 4).as_subclass(_OnMeta))
    with pytest.raises(TypeError, match="int64"):
        model.score(torch.zeros(2, 4, dtype=torch.int64))
    with pytest.raises(TypeError, match="ndarray"):
        model.score(np.zeros((2, 4)))


class _OnMeta(torch.Tensor):
    """A tensor with values that says it is elsewhere."""

    @property
    def device(self):
        return torch.device("meta")
