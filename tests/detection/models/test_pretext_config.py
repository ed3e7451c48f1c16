"""The settings of the paper's detector."""

import pytest

from anatpaste_aug.detection import PretextConfig


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
        PretextConfig(**change)


def test_synchronised_statistics_need_a_gpu():
    with pytest.raises(ValueError, match="sync_bn needs a CUDA device, got device 'cpu'"):
        PretextConfig(sync_bn=True)
    assert PretextConfig(sync_bn=True, device="cuda").sync_bn
