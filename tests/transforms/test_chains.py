"""Chains of augmentations: the anomaly mask is the union of what each of them changed.

The oracle runs every augmentation a second time with the same random numbers and an empty mask, and unites the masks.
"""

import numpy as np
import pytest
import torch
from batches import batch
from kornia.augmentation import AugmentationSequential, RandomHorizontalFlip
from torch import nn
from torchvision import tv_tensors
from torchvision.transforms import v2

from anatpaste_aug import (
    AnatPasteTransform,
    AnomalyMask,
    CutPasteTransform,
    KorniaPaste,
    OneClassPairs,
    TimmPasteMixup,
)
from anatpaste_aug.adapters.numpy import NumpyPaste

SIZE = (64, 64)
SEEDS = range(6)


class Recorded(nn.Module):
    """A transform that keeps what each of its calls would have written into an empty mask."""

    def __init__(self, transform):
        super().__init__()
        self.transform = transform
        self.masks = []

    def forward(self, image, mask, *rest):
        with torch.random.fork_rng(devices=[]):
            empty = tv_tensors.wrap(torch.zeros_like(mask), like=mask)
            self.masks.append(self.transform(image, empty, *rest)[1].as_subclass(torch.Tensor))
        return self.transform(image, mask, *rest)


def recorded(count=2):
    kinds = [
        AnatPasteTransform(p=0.7),
        CutPasteTransform(p=0.7, variant="union"),
        AnatPasteTransform(segmentation=False),
    ]
    return [Recorded(kind) for kind in kinds[:count]]


def image(seed=0):
    return tv_tensors.Image(batch(1, size=SIZE, seed=seed)[0])


CONTAINERS = {
    "Compose of two": (2, v2.Compose),
    "Compose of three": (3, v2.Compose),
    "RandomApply": (2, v2.RandomApply),
    "RandomChoice": (3, v2.RandomChoice),
    "RandomOrder": (3, v2.RandomOrder),
    "nested": (3, lambda kinds: v2.Compose([v2.RandomApply(kinds[:1]), v2.RandomChoice(kinds[1:]), *kinds[:1]])),
}
every_container = pytest.mark.parametrize("name", CONTAINERS)


@every_container
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float32])
def test_an_anomaly_mask_is_the_union_over_a_container(name, dtype):
    """Tolerance: 1e-6 for floating-point masks, whose products are taken in another order; else none."""
    count, container = CONTAINERS[name]
    for seed in SEEDS:
        kinds, given = recorded(count), image()
        torch.manual_seed(seed)
        result, mask = container(kinds)(given, AnomalyMask(torch.zeros(1, *SIZE, dtype=dtype)))
        masks = [each for kind in kinds for each in kind.masks]
        left = torch.ones(1, *SIZE)
        for each in masks:
            left = left * (1 - each.float())
        assert type(mask) is AnomalyMask
        assert mask.dtype == dtype
        torch.testing.assert_close(mask.float().as_subclass(torch.Tensor), 1 - left, rtol=0, atol=1e-6)
        assert torch.equal(mask > 0, sum((each > 0 for each in masks), torch.zeros(1, *SIZE, dtype=torch.bool)) > 0)
        assert not (result != given)[mask == 0].any()


@every_container
def test_an_image_that_any_of_them_changed_has_the_label_of_its_augmentation(name):
    count, container = CONTAINERS[name]
    for seed in SEEDS:
        torch.manual_seed(seed)
        kinds = recorded(count)
        sample = OneClassPairs(container(kinds), CutPasteTransform())(image())
        masks = [each for kind in kinds for each in kind.masks]
        changed = any(bool(each.any()) for each in masks)
        assert sample.labels.tolist() == [0, int(changed), 2]
        assert bool((sample.images[1] != sample.images[0]).any()) <= changed


@pytest.mark.parametrize("kind", [AnatPasteTransform, CutPasteTransform])
@pytest.mark.parametrize(("dtype", "value"), [(torch.bool, True), (torch.uint8, 255), (torch.float32, 0.25)])
def test_what_stood_in_the_mask_is_kept(kind, dtype, value):
    """Tolerance: 1e-6 for floating-point masks."""
    earlier = torch.zeros(1, *SIZE, dtype=dtype)
    earlier[:, :, :32] = value
    torch.manual_seed(0)
    alone = kind()(image(), AnomalyMask(torch.zeros_like(earlier)))[1]
    torch.manual_seed(0)
    both = kind()(image(), AnomalyMask(earlier))[1]
    assert torch.equal(both > 0, (alone > 0) | (earlier > 0))
    if dtype == torch.float32:
        torch.testing.assert_close(both, 1 - (1 - alone) * (1 - earlier), rtol=0, atol=1e-6)
    else:
        assert torch.equal(both[earlier > 0], earlier[earlier > 0])
    assert int((earlier > 0).sum()) == 32 * 64  # the given tensor is not written to


def test_the_mask_moves_with_the_image_between_two_augmentations():
    kinds = [Recorded(AnatPasteTransform(segmentation=False)), Recorded(CutPasteTransform())]
    pipeline = v2.Compose([kinds[0], v2.RandomHorizontalFlip(1.0), kinds[1]])
    torch.manual_seed(1)
    _, mask = pipeline(image(), AnomalyMask(torch.zeros(1, *SIZE, dtype=torch.bool)))
    (first,), (second,) = (kind.masks for kind in kinds)
    assert first.any()
    assert second.any()
    assert torch.equal(mask, first.flip(2) | second)


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
def test_the_targets_of_timms_loops_tell_what_any_of_them_changed(count):
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
def test_arrays_unite_with_the_mask_that_is_handed_on(shape, count):
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
