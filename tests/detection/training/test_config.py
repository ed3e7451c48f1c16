"""The settings of every run, and the shape of learning rates."""

import math

import pytest

from anatpaste_aug.detection import TrainConfig
from anatpaste_aug.detection.training.config import half_cosine


def test_half_cosine():
    assert half_cosine(0, 8, 0.03) == 0.03
    assert half_cosine(2, 8, 0.03) == pytest.approx(0.015 * (1 + math.sqrt(0.5)))
    assert half_cosine(4, 8, 0.03) == pytest.approx(0.015)
    assert half_cosine(8, 8, 0.03) == 0
    assert [half_cosine(i, 8, 0.03, lowest=0.01) for i in (0, 4, 8)] == pytest.approx([0.03, 0.02, 0.01])


@pytest.mark.parametrize("change", [{"updates_per_epoch": 0}, {"select": "first"}, {"false_positive_rate": 1.0}])
def test_impossible_settings_of_any_detector(change):
    (name,) = change
    with pytest.raises(ValueError, match=f"{name} must be"):
        TrainConfig(
            **{"image_size": 32, "batch_size": 4, "updates": 1, "updates_per_epoch": 1, "learning_rate": 0.1} | change
        )
