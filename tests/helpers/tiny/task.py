"""A detection task that trains in a second: white squares on noise."""

from types import SimpleNamespace

import torch

from anatpaste_aug.detection import PretextConfig
from anatpaste_aug.detection.models.kde import GaussianKDE
from anatpaste_aug.detection.models.pretext_net import extract_features

CONFIG = PretextConfig(image_size=32, batch_size=8, updates=12, updates_per_epoch=4, backbone="test_byobnet", seed=3)


def blobs(count, seed, bright=False):
    """Noise images; abnormal ones have a white square at a random place."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(40, 120, (count, 1, 32, 32), dtype=torch.uint8, generator=generator)
    for image in images if bright else ():
        top, left = torch.randint(0, 20, (2,), generator=generator).tolist()
        image[:, top : top + 12, left : left + 12] = 250
    return images


def squares(images, *, region_mask=None):
    """An augmentation: a white square, placed by torch's global generator as AnatPaste's are."""
    images = images.clone()
    for image in images:
        top, left = torch.randint(0, 20, (2,)).tolist()
        image[:, top : top + 12, left : left + 12] = 0.98
    return SimpleNamespace(image=images)


TRAIN = blobs(20, seed=0)
VAL = torch.cat([blobs(10, seed=1), blobs(10, seed=2, bright=True)])
VAL_LABELS = torch.tensor([0] * 10 + [1] * 10)


def score_images(net, reference_images, images, *, bandwidth=1.0, batch_size=128):
    """The definition of the score: minus the log density of the features among those of the reference images."""
    kde = GaussianKDE(extract_features(net, reference_images, batch_size=batch_size), bandwidth)
    return kde.score(extract_features(net, images, batch_size=batch_size)).cpu()
