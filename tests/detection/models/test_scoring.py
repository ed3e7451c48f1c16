"""Scoring images with a network."""

import torch
from tiny_task import TRAIN, VAL

from anatpaste_aug.detection import GaussianKDE, PretextNet, extract_features, score_images


def test_score_is_the_kde_of_the_features():
    net = PretextNet("test_byobnet")
    expected = GaussianKDE(extract_features(net, TRAIN), 0.5).score(extract_features(net, VAL))
    assert torch.equal(score_images(net, TRAIN, VAL, bandwidth=0.5), expected)
