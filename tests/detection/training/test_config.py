"""The settings of a run, and its learning rate."""

import math

import pytest

from anatpaste_aug.detection import TrainConfig
from anatpaste_aug.detection.training.config import half_cosine


def test_half_cosine():
    assert half_cosine(0, 8, 0.03) == 0.03
    assert half_cosine(2, 8, 0.03) == pytest.approx(0.015 * (1 + math.sqrt(0.5)))
    assert half_cosine(4, 8, 0.03) == pytest.approx(0.015)
    assert half_cosine(8, 8, 0.03) == 0


@pytest.mark.parametrize(
    "change",
    [
        *({"image_size": 16}, {"batch_size": 0}, {"updates": 0}, {"learning_rate": float("nan")}, {"momentum": 1.0}),
        *(
            {"jitter": 1.5},
            {"in_chans": 2},
            {"num_classes": 1},
            {"bandwidth": 0.0},
            {"score": "svm"},
            {"stages": (3, -1)},
            {"weight_decay": -1.0},
            {"seed": -1},
        ),
    ],
)
def test_impossible_settings(change):
    (name,) = change
    with pytest.raises(ValueError, match=f"{name} must be"):
        TrainConfig(**change)


def test_synchronised_statistics_need_a_gpu():
    with pytest.raises(ValueError, match="sync_bn needs a CUDA device, got device 'cpu'"):
        TrainConfig(sync_bn=True)
    assert TrainConfig(sync_bn=True, device="cuda").sync_bn
