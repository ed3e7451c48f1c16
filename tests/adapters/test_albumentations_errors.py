"""Errors of the albumentations adapter name the target and the remedy."""

import os

import numpy as np
import pytest
import torch
from batches import batch, raises

from anatpaste_aug import AnatPasteTransform

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would query the network for a newer version
pytest.importorskip("albumentations", reason='needs host: pip install "anatpaste_aug[hosts]"')

from anatpaste_aug.adapters.albumentations import AlbumentationsPaste

IMAGE = batch(1, size=(72, 64))[0, 0].numpy()


def test_the_probability_is_set_in_the_transform():
    with raises(ValueError, "p must be 1, got 0.5", "AnatPasteTransform(p=0.5)"):
        AlbumentationsPaste(p=0.5)


def test_an_unknown_recipe_in_a_file():
    with raises(ValueError, "unknown recipe 'Nothing'"):
        AlbumentationsPaste({"Nothing": {}})


@pytest.mark.parametrize(
    ("given", "kind", "parts"),
    [
        ({"image": torch.zeros(64, 64)}, TypeError, ("numpy.ndarray, got Tensor",)),
        ({"image": np.zeros((3, 64, 64))}, ValueError, ("got (3, 64, 64)", "numpy.moveaxis")),
        ({"image": np.zeros((2, 64, 64, 3))}, ValueError, ("(H, W) or (H, W, C)", "got (2, 64, 64, 3)")),
        ({"image": np.zeros((64, 64), np.int16)}, TypeError, ("got int16", "scale other integers")),
        ({"image": np.full((64, 64), 200.0)}, ValueError, ("outside value_range=(0, 1)", "mean= and std=")),
        ({"images": np.zeros((2, 64, 64))}, ValueError, ("needs image=", "['images']", "one at a time")),
        ({"image": IMAGE, "mask": np.zeros((64, 64), bool)}, ValueError, ("'mask'", "(72, 64)", "got (64, 64)")),
        ({"image": IMAGE, "mask": [[0]]}, TypeError, ("'mask' must be a numpy.ndarray, got list",)),
    ],
)
def test_a_wrong_target(given, kind, parts):
    with raises(kind, *parts):
        AlbumentationsPaste()(**given)


def test_a_wrong_region_target():
    for given, part in (({}, "needs the region mask lungs="), ({"lungs": np.zeros((9, 9), bool)}, "got (9, 9)")):
        with raises(ValueError, part):
            AlbumentationsPaste(region_target="lungs")(image=IMAGE, **given)


def test_an_unknown_setting():
    with raises(TypeError, "unexpected keyword argument 'sigmas'"):
        AlbumentationsPaste(AnatPasteTransform(sigmas=(0, 15)))
