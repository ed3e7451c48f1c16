"""Phantoms are reproducible, have two lungs for Algorithm 1, and differ only in the pathology."""

import random

import numpy as np
import pytest
import torch
from helpers.oracles import SQUARE
from helpers.oracles import lungs as segmented
from scipy import ndimage

from anatpaste_aug.datasets.phantom.radiograph import FINDINGS, phantom_batch, phantom_radiograph


def has_one_lung_on_each_side(labels):
    columns = [np.nonzero(labels == k)[1] for k in np.unique(labels[labels > 0])]
    left = [c.mean() < labels.shape[1] / 2 for c in columns if c.size >= 0.025 * labels.size]
    return sorted(left) == [False, True]


@pytest.mark.parametrize(("size", "subjects", "precision"), [(256, 24, 0.97), (128, 24, 0.95), (64, 24, 0.85)])
def test_algorithm_1_finds_the_two_lungs(size, subjects, precision):
    phantoms = [phantom_radiograph(seed, size=size) for seed in range(subjects)]
    found = [ndimage.label(segmented(p.image), structure=SQUARE)[0] for p in phantoms]
    hits = [((labels > 0) & p.lungs).sum() for labels, p in zip(found, phantoms, strict=True)]

    assert np.mean([has_one_lung_on_each_side(labels) for labels in found]) >= (0.97 if size == 256 else 0.93)
    assert np.mean([hit / (labels > 0).sum() for hit, labels in zip(hits, found, strict=True)]) >= precision
    assert np.mean([hit / p.lungs.sum() for hit, p in zip(hits, phantoms, strict=True)]) >= 0.8


@pytest.mark.parametrize("finding", [None, *FINDINGS])
def test_a_seed_gives_the_same_bits_and_leaves_global_random_states_alone(finding):
    def states():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002

    def reseed(seed):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        return states()

    before = reseed(1)
    first = phantom_radiograph(3, size=96, finding=finding)
    assert states() == before
    before = reseed(2)
    second = phantom_radiograph(3, size=96, finding=finding)
    assert states() == before
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.lungs, second.lungs)
    np.testing.assert_array_equal(first.finding_mask, second.finding_mask)


def test_another_seed_is_another_subject():
    images = [phantom_radiograph(seed, size=64).image.astype(float) for seed in range(8)]
    for i, image in enumerate(images):
        assert all(np.abs(image - other).mean() > 4 for other in images[:i])


@pytest.mark.parametrize("finding", FINDINGS)
def test_a_finding_changes_only_its_mask_and_only_towards_white(finding):
    for seed in range(8):
        normal, ill = (phantom_radiograph(seed, size=128, finding=f) for f in (None, finding))

        assert ill.finding == finding
        np.testing.assert_array_equal(normal.image != ill.image, ill.finding_mask)
        np.testing.assert_array_equal(normal.lungs, ill.lungs)
        assert (ill.image >= normal.image).all()
        # Visible, but never most of the image, and inside the lungs except for their blurred edge.
        assert 0.002 < ill.finding_mask.mean() < 0.25
        assert (ill.image.astype(int) - normal.image).max() >= 15
        widened = torch.nn.functional.max_pool2d(torch.from_numpy(ill.lungs)[None].float(), 9, stride=1, padding=4)
        assert not (ill.finding_mask & (widened[0].numpy() == 0)).any()


def test_a_finding_lies_where_its_name_says():
    def changed(finding):
        return np.mean([phantom_radiograph(seed, size=64, finding=finding).finding_mask for seed in range(30)], axis=0)

    rows, columns = np.mgrid[:64, :64] / 64

    def center(weights, grid):
        return (weights * grid).sum() / weights.sum()

    effusion, heart, nodules = changed("effusion"), changed("cardiomegaly"), changed("nodules")
    assert center(effusion, rows) > 0.55  # at the base
    assert center(heart, columns) > 0.53  # more on the image's right, the patient's left
    assert center(heart, rows) > center(nodules, rows)
    assert abs(center(nodules, columns) - 0.5) < 0.05  # both lungs


@pytest.mark.parametrize("size", [32, 33, 64, 250, 512])
def test_every_size(size):
    phantom = phantom_radiograph(5, size=size, finding="opacity")

    assert phantom.image.shape == phantom.lungs.shape == phantom.finding_mask.shape == (size, size)
    assert phantom.image.dtype == np.uint8
    assert 0.1 < phantom.lungs.mean() < 0.4
    assert np.ptp(phantom.image) > 120


@pytest.mark.parametrize("finding", [None, *FINDINGS])
def test_a_seed_shows_the_same_subject_at_two_sizes(finding):
    for seed in range(3):
        large, small = (phantom_radiograph(seed, size=size, finding=finding) for size in (256, 128))
        halved = large.image.reshape(128, 2, 128, 2).mean((1, 3))

        assert np.abs(halved - small.image).mean() < 4
        assert (large.lungs[::2, ::2] == small.lungs).mean() > 0.98


def test_subjects_do_not_depend_on_the_count():
    short, long = phantom_batch(5, size=48, abnormal=0.4, seed=9), phantom_batch(9, size=48, abnormal=0.4, seed=9)

    assert torch.equal(short.images, long.images[:5])
    assert torch.equal(short.labels, long.labels[:5])
    assert short.findings == long.findings[:5]


def test_the_abnormal_fraction_does_not_change_who_is_examined():
    normal, mixed = phantom_batch(6, size=64, seed=2), phantom_batch(6, size=64, abnormal=0.5, seed=2)

    np.testing.assert_array_equal(normal.images != mixed.images, mixed.finding_masks)
    assert torch.equal(normal.lungs, mixed.lungs)


@pytest.mark.parametrize(("count", "abnormal"), [(1, 0.0), (1, 1.0), (7, 0.5), (10, 0.3), (11, 0.9), (8, 1.0)])
def test_batches(count, abnormal):
    batch = phantom_batch(count, size=32, abnormal=abnormal, seed=1)

    assert batch.images.shape == batch.lungs.shape == batch.finding_masks.shape == (count, 1, 32, 32)
    assert (batch.images.dtype, batch.labels.dtype) == (torch.uint8, torch.int64)
    assert (batch.lungs.dtype, batch.finding_masks.dtype) == (torch.bool, torch.bool)
    assert int(batch.labels.sum()) == round(count * abnormal)
    assert [int(bool(finding)) for finding in batch.findings] == batch.labels.tolist()
    abnormal_ones = [finding for finding in batch.findings if finding]
    assert abnormal_ones == [FINDINGS[k % 4] for k in range(len(abnormal_ones))]


def test_no_shortcut_in_brightness_or_contrast():
    batch = phantom_batch(240, size=32, abnormal=0.5, seed=4)
    ill, pixels = batch.labels.bool(), batch.images.float().flatten(1)
    for statistic in (pixels.mean(1), pixels.std(1), pixels.amax(1), pixels.amin(1)):
        wins = (statistic[ill][:, None] > statistic[~ill]).float() + 0.5 * (statistic[ill][:, None] == statistic[~ill])
        assert 0.35 < float(wins.mean()) < 0.65


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: phantom_radiograph(0, size=31), r"size is 31; use an integer from 32 up"),
        (lambda: phantom_radiograph(0, size=64.5), r"size is 64\.5; use an integer from 32 up"),
        (lambda: phantom_radiograph(-1), r"seed is -1; use an integer from 0 up"),
        (lambda: phantom_radiograph(0, finding="fracture"), r"finding is 'fracture'; use one of opacity, effusion, "),
        (lambda: phantom_batch(0), r"count is 0; ask for at least 1"),
        (lambda: phantom_batch(2, abnormal=1.5), r"abnormal is 1\.5; give .* between 0 and 1"),
        (lambda: phantom_batch(2, abnormal=float("nan")), r"abnormal is nan"),
        (lambda: phantom_batch(2, size=16), r"size is 16"),
        (lambda: phantom_batch(2, seed=-3), r"seed is -3"),
    ],
)
def test_errors_name_the_value_and_the_remedy(call, message):
    with pytest.raises(ValueError, match=message):
        call()
