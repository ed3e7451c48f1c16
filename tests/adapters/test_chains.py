"""Chains of adapters: the anomaly mask is the union of all changes."""

import numpy as np
import pytest
import torch
from batches import batch
from kornia.augmentation import AugmentationSequential, RandomHorizontalFlip

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.adapters.kornia import KorniaPaste
from anatpaste_aug.adapters.numpy import NumpyPaste
from anatpaste_aug.adapters.timm import TimmPasteMixup

SIZE = (64, 64)
SEEDS = range(6)

# kornia


def kornia_masks(augmentations):
    return [each.result.anomaly_mask for each in augmentations if each.result is not None]


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
@pytest.mark.parametrize("random_apply", [False, 1, (1, 2)])
def test_kornias_sequences_unite(count, dtype, random_apply):
    images = batch(4, dtype=torch.float32, size=SIZE)
    for seed in SEEDS:
        torch.manual_seed(seed)
        augmentations = [KorniaPaste(AnatPasteTransform(p=0.5)) for _ in range(count)]
        pipeline = AugmentationSequential(*augmentations, data_keys=["input", "mask"], random_apply=random_apply)
        result, mask = pipeline(images, torch.zeros(4, 1, *SIZE, dtype=dtype))
        assert mask.dtype == dtype
        assert torch.equal(mask > 0, torch.stack(kornia_masks(augmentations)).any(0))
        assert not (result != images)[mask == 0].any()


def test_kornias_nested_sequences_unite():
    images = batch(4, dtype=torch.float32, size=SIZE)
    first, second, third = augmentations = [KorniaPaste(AnatPasteTransform(p=0.5)) for _ in range(3)]
    inner = AugmentationSequential(first, second, data_keys=["input", "mask"])
    pipeline = AugmentationSequential(inner, RandomHorizontalFlip(1.0), third, data_keys=["input", "mask"])
    _, mask = pipeline(images, torch.zeros(4, 1, *SIZE))
    masks = kornia_masks(augmentations)
    assert torch.equal(mask > 0, (masks[0] | masks[1]).flip(3) | masks[2])


# timm and NumPy


@pytest.mark.parametrize("count", [2, 3])
def test_targets_of_timms_loops_are_united(count):
    images = batch(12, dtype=torch.float32, size=SIZE)
    target = torch.tensor([0, 0, 1] * 4)
    result, new = images, target
    for _ in range(count):
        result, new = TimmPasteMixup(AnatPasteTransform(p=0.4, mean=(0.0,), std=(1.0,)))(result, new)
    changed = (result != images).flatten(1).any(1)
    assert changed.any()
    assert torch.equal(new == 1, changed | (target == 1))


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("shape", [(64, 64), (64, 64, 1), (3, 64, 64, 1)])
def test_arrays_unite_with_an_earlier_mask(shape, count):
    given = batch(3, size=SIZE)[:, 0].numpy()
    given = given[0].reshape(shape) if shape[0] == 64 else given.reshape(shape)
    image, mask, twin, masks = given, None, given, []
    paste, again = NumpyPaste(AnatPasteTransform(p=0.6), rng=5), NumpyPaste(AnatPasteTransform(p=0.6), rng=5)
    for _ in range(count):
        image, mask = paste(image, anomaly_mask=mask)
        twin, each = again(twin)
        masks.append(each)
    assert np.array_equal(image, twin)
    assert mask.dtype == bool
    assert np.array_equal(mask, np.any(masks, axis=0))
    assert not (image != given)[~mask].any()


def test_a_wrong_mask_of_earlier_changes_is_named():
    with pytest.raises(ValueError, match="anomaly_mask must have shape"):
        NumpyPaste()(np.zeros((64, 64), np.uint8), anomaly_mask=np.zeros((32, 32), bool))
