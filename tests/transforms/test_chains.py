"""Chains of augmentations: the anomaly mask is the union of what each of them changed.

The oracle runs every augmentation a second time with the same random numbers and an empty mask, and unites the masks.
"""

import pytest
import torch
from helpers.batches import batch
from torch import nn
from torchvision import tv_tensors
from torchvision.transforms import v2

from anatpaste_aug import AnatPasteTransform, AnomalyMask, CutPasteTransform, OneClassPairs

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
