"""The distance from the training images: Mahalanobis on 8×8 fields, and what it recognizes."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis

from anatpaste_aug.datasets import phantom_batch, phantom_task
from anatpaste_aug.detection.evaluation.domain import Domain


@pytest.fixture(scope="module")
def phantoms():
    return phantom_batch(60, size=64).images


def fields_of(images):
    means = images.numpy().reshape(len(images), 8, 8, 8, 8).mean((2, 4)).reshape(len(images), 64)
    return (means - means.mean(1, keepdims=True)) / means.std(1, keepdims=True)


def test_distances_are_those_of_mahalanobis(phantoms):
    """Tolerance: 1e-4, relative, for float32."""
    domain = Domain.fit(phantoms[:30], phantoms[30:50])
    fields = fields_of(phantoms)
    covariance = np.cov(fields[:30].T, bias=True)
    shrunk = 0.8 * covariance + (0.2 * covariance.trace() / 64 + 1e-6) * np.eye(64)
    expected = [mahalanobis(row, fields[:30].mean(0), np.linalg.inv(shrunk)) for row in fields]
    np.testing.assert_allclose(domain.distances(phantoms).numpy(), expected, rtol=1e-4)
    assert domain.limit == pytest.approx(1.1 * max(expected[30:50]), rel=1e-4)


def test_brightness_and_contrast_do_not_matter(phantoms):
    domain = Domain.fit(phantoms[:30], phantoms[30:])
    torch.testing.assert_close(domain.distances(phantoms / 1020 + 0.5), domain.distances(phantoms), rtol=1e-3, atol=0)


@pytest.mark.parametrize("count", [1, 2])
def test_few_or_constant_images_have_finite_distances(count, phantoms):
    domain = Domain.fit(phantoms[:count], phantoms[:1])
    flat = torch.full((1, 1, 64, 64), 7, dtype=torch.uint8)
    assert domain.distances(torch.cat([phantoms, flat])).isfinite().all()
    assert Domain.fit(flat, flat).distances(flat).tolist() == [0]


def test_few_validation_images_set_no_limit(phantoms):
    assert Domain.fit(phantoms[:30], phantoms[30:49]).limit == float("inf")
    assert Domain.fit(phantoms[:30], phantoms[30:50]).limit < float("inf")
    assert Domain.fit(phantoms[:30], phantoms[:0]).limit == float("inf")


def test_a_domain_is_read_from_what_a_file_keeps(phantoms):
    state = Domain.fit(phantoms[:30], phantoms[30:])._asdict()
    assert Domain.read(state).limit == state["limit"]
    for change in ({"mean": state["mean"][:10]}, {"whitening": None}, {"limit": "x"}, {"other": 1.0}):
        with pytest.raises(TypeError):
            Domain.read(state | change)


@pytest.mark.slow
def test_real_radiographs_are_unlike_phantoms(radiographs):
    task = phantom_task(128, train=200)
    domain = Domain.fit(task.train.images, task.val.images)
    real = torch.nn.functional.avg_pool2d(radiographs.images.float(), 2)
    assert (domain.distances(real) > domain.limit).float().mean() > 0.95
    assert (domain.distances(task.test.images) > domain.limit).float().mean() < 0.02
