"""Evaluated methods: the loaded detectors give the scores in the tables, for one seed and for several."""

import numpy as np
import pytest
import torch
from helpers.tiny.study import SHORT, TASK

from anatpaste_aug.detection.evaluation.one_number import image_statistics
from anatpaste_aug.detection.evaluation.results import MethodScores, ensemble
from anatpaste_aug.detection.models.pretext_net import PretextNet
from anatpaste_aug.detection.studies.evaluated_methods import EvaluatedMethod, baseline_methods, trained_methods


@pytest.mark.slow
def test_methods_have_their_seeds_and_an_ensemble(finished_runs):
    methods = trained_methods(finished_runs)
    assert [evaluated.label for evaluated in methods] == ["AnatPaste", "CutPaste (scar)"]
    assert trained_methods(finished_runs, "last")[0].label == "AnatPaste, last weights"
    first = methods[0]
    assert [member.name for member in first.members] == ["AnatPaste, seed 3", "AnatPaste, seed 4"]
    assert first.scores.name == "AnatPaste, ensemble of 2 seeds"
    assert (first.scores.test == ensemble([run.best for run in finished_runs[:2]]).test).all()
    assert [row.weights for row in first.rows(TASK)] == [member.name for member in (*first.members, first.scores)]


@pytest.mark.parametrize("weights", ["best", "last"])
def test_other_images_are_scored_on_the_same_scale(finished_runs, weights):
    for runs in (finished_runs[:1], finished_runs[:2]):
        (evaluated,) = trained_methods(runs, weights)
        # float32 features; the scaled scores of an ensemble magnify what they differ by.
        np.testing.assert_allclose(evaluated.scorer()(TASK.test.images), evaluated.scores.test, atol=1e-3)
        assert np.ptp(evaluated.scores.test) > 0.01


def test_baselines(tmp_path):
    torch.manual_seed(5)
    torch.save(PretextNet("test_byobnet", in_chans=3).backbone.state_dict(), tmp_path / "weights.pth")
    baselines = baseline_methods(TASK, SHORT, tmp_path / "weights.pth")
    names = [evaluated.scores.name for evaluated in baselines]
    assert names[:2] == ["untrained test_byobnet features", "pretrained test_byobnet features"]
    assert [name.rsplit(" ", 1)[0] for name in names[2:]] == [*image_statistics(TASK.val.images)]
    for evaluated in baselines[:2]:
        np.testing.assert_allclose(evaluated.scorer()(TASK.test.images), evaluated.scores.test, atol=1e-5)
    assert not np.allclose(baselines[0].scores.test, baselines[1].scores.test)
    assert [evaluated.scores.name for evaluated in baseline_methods(TASK, SHORT)] == [names[0], *names[2:]]


def test_without_a_detector_nothing_else_can_be_scored():
    with pytest.raises(ValueError, match="mean intensity has no detector"):
        EvaluatedMethod("mean intensity", (MethodScores("mean intensity", [0.0], [1.0]),)).scorer()
