"""The matched AUROC of a shortcut is 0.5, and that of an independent signal is its AUROC."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from anatpaste_aug.detection.evaluation.matched import matched_aurocs
from anatpaste_aug.detection.evaluation.overlap import design_matrix, effective_number, overlap_weights


@pytest.fixture(scope="module")
def simulated():
    """1000 images whose sharpness and size differ between the classes, and scores with and without the shortcut."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 500)
    noise = rng.normal(size=(4, 1000))
    nuisances = {"sharpness": noise[0] - 1.2 * labels, "size": noise[1] + 0.4 * labels, "constant": np.ones(1000)}
    scores = {
        "shortcut": np.exp(-nuisances["sharpness"] + 0.3 * nuisances["size"]),
        "signal": noise[2] + labels,
        "chance": noise[3],
        "sharpness": -nuisances["sharpness"],
    }
    return labels, scores, nuisances, matched_aurocs(labels, scores, nuisances, resamples=500)


def test_a_shortcut_falls_to_a_half_and_a_signal_keeps_its_area(simulated):
    labels, scores, _, found = simulated
    plain = {name: roc_auc_score(labels, values) for name, values in scores.items()}
    assert min(plain["shortcut"], plain["sharpness"]) > 0.75
    # The tolerance is about two standard errors of an AUROC near 0.5 of the 2 × 350 images that remain.
    for name in ("shortcut", "chance", "sharpness"):
        assert found[name].interval.estimate == pytest.approx(0.5, abs=0.04)
        assert found[name].interval.low < 0.5 < found[name].interval.high
    assert found["signal"].interval.estimate == pytest.approx(plain["signal"], abs=0.04)
    assert found["signal"].interval.low > 0.65


def test_the_area_is_scikit_learns_with_the_weights(simulated):
    labels, scores, nuisances, found = simulated
    (weights,), _ = overlap_weights(labels, design_matrix(list(nuisances.values())))
    for name, values in scores.items():
        expected = roc_auc_score(labels, values, sample_weight=weights)
        assert found[name].interval.estimate == pytest.approx(expected, abs=1e-12)
        assert found[name].normal == effective_number(weights[labels == 0])
        assert found[name].effective == min(found[name].normal, found[name].abnormal)
    assert 200 < found["signal"].effective < 500


def test_the_interval_covers_what_fresh_samples_give():
    """The spread of the estimate over fresh samples is within a third of the bootstrap's."""

    def sample(seed):
        rng = np.random.default_rng(seed)
        labels = np.repeat([0, 1], 60)
        nuisance, signal = rng.normal(size=(2, 120)) + labels * [[1.0], [0.8]]
        return matched_aurocs(labels, {"signal": signal}, {"n": nuisance}, resamples=100)["signal"].interval

    intervals = [sample(seed) for seed in range(60)]
    spread = np.std([interval.estimate for interval in intervals])
    width = np.mean([interval.high - interval.low for interval in intervals]) / (2 * 1.96)
    assert width == pytest.approx(spread, rel=0.33)


def test_equal_seeds_give_equal_intervals(simulated, monkeypatch):
    labels, scores, nuisances, found = simulated
    again = matched_aurocs(labels, {"signal": scores["signal"]}, nuisances, resamples=500)["signal"]
    assert again == found["signal"]
    assert matched_aurocs(labels, scores, nuisances, resamples=500, seed=1)["signal"] != again


def test_what_cannot_be_matched_has_a_note_instead():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 30)
    scores = {"signal": rng.normal(size=60) + labels}
    apart = matched_aurocs(labels, scores, {"n": np.arange(60.0)}, resamples=100)["signal"]
    assert apart.interval is None
    assert str(apart) == "cannot be matched: the one-number scores separate the classes"
    nearly = np.arange(60.0)
    nearly[[29, 30]] = nearly[[30, 29]]
    often = matched_aurocs(labels, scores, {"n": nearly}, resamples=100)["signal"]
    assert often.interval is None
    assert "separate the classes in " in often.note
    assert often.normal < 5


@pytest.mark.parametrize(("normal", "abnormal"), [(9, 30), (30, 0), (0, 12)])
def test_too_few_images_are_counted(normal, abnormal):
    labels = np.repeat([0, 1], [normal, abnormal])
    values = np.arange(float(len(labels)))
    found = matched_aurocs(labels, {"a": values}, {"n": values % 7})["a"]
    assert found.interval is None
    assert found.note == f"too few images ({normal} normal, {abnormal} abnormal)"
    assert found.effective == 0


def test_impossible_inputs():
    labels, values = np.repeat([0, 1], 10), np.arange(20.0)
    with pytest.raises(ValueError, match="one label per score"):
        matched_aurocs(labels, {"a": values[1:]}, {"n": values})
    with pytest.raises(ValueError, match="one or more nuisances"):
        matched_aurocs(labels, {"a": values}, {})
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        matched_aurocs(labels, {"a": values}, {"n": values}, level=95)
