import pickle
from types import SimpleNamespace

import pytest
import torch
from helpers.oracles import smooth_images
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tvf

from anatpaste_aug import AnatPasteTransform, AnomalyMask, CutPasteTransform
from anatpaste_aug.transforms.pairs import (
    OneClassBatch,
    OneClassPairs,
    OneClassSample,
    collate_one_class,
    one_class_batch,
)

AUGMENTATIONS = {
    "anatpaste": AnatPasteTransform(),
    "normal": CutPasteTransform(variant="normal"),
    "scar": CutPasteTransform(variant="scar"),
    "union": CutPasteTransform(variant="union"),
}
every_augmentation = pytest.mark.parametrize("augmentation", AUGMENTATIONS.values(), ids=AUGMENTATIONS.keys())


def batch(count=6, channels=1):
    return smooth_images(count, 96, 80, channels)


def seeded(function, *inputs, **settings):
    torch.manual_seed(0)
    return function(*inputs, **settings)


# a sample


@every_augmentation
@pytest.mark.parametrize("wrap", [torch.Tensor.clone, tv_tensors.Image, tvf.to_pil_image])
def test_a_sample_is_the_image_and_what_the_transform_makes_of_it(augmentation, wrap):
    image = wrap(batch(1)[0])
    sample = seeded(OneClassPairs(augmentation), image)
    expected, mask = seeded(augmentation, image, AnomalyMask(torch.zeros(1, 96, 80, dtype=torch.bool)))
    assert isinstance(sample, OneClassSample)
    assert torch.equal(tvf.to_image(sample.images[0]), tvf.to_image(image))
    assert torch.equal(tvf.to_image(sample.images[1]), tvf.to_image(expected))
    assert not sample.masks[0].any()
    assert torch.equal(sample.masks[1], mask)
    assert sample.masks[1].any()
    assert sample.labels.tolist() == [0, 1]
    assert sample.labels.dtype == torch.int64


def test_transforms_that_follow_treat_all_images_and_masks_alike():
    """Tolerance: 1e-6."""
    pairs, image = OneClassPairs(AnatPasteTransform()), batch(1)[0]
    plain = seeded(pairs, image)
    to_float = [v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5], [0.25])]
    sample = seeded(v2.Compose([pairs, v2.RandomHorizontalFlip(1.0), *to_float]), image)
    for before, after in zip(plain.images, sample.images, strict=True):
        torch.testing.assert_close(after, (before.flip(2) / 255 - 0.5) / 0.25, rtol=0, atol=1e-6)
    for before, after in zip(plain.masks, sample.masks, strict=True):
        assert torch.equal(after, before.flip(2))
    assert isinstance(sample, OneClassSample)
    assert sample.labels.tolist() == [0, 1]


def test_two_augmentations_give_three_classes():
    sample = OneClassPairs(CutPasteTransform(), CutPasteTransform(variant="scar"))(batch(1)[0])
    normal, patch, scar = sample.images
    assert sample.labels.tolist() == [0, 1, 2]
    for image, mask in ((patch, sample.masks[1]), (scar, sample.masks[2])):
        assert torch.equal(image[~mask], normal[~mask])
    assert sample.masks[1].sum() > sample.masks[2].sum() > 0


@pytest.mark.parametrize(
    "augmentation",
    [
        AnatPasteTransform(p=0),
        CutPasteTransform(p=0),
        AnatPasteTransform(skip_without_region=True),
        v2.RandomApply([CutPasteTransform()], p=0.0),
    ],
)
def test_what_is_left_alone_for_any_reason_is_normal(augmentation):
    image = torch.arange(96, dtype=torch.uint8).view(1, 96, 1).expand(1, 96, 80)  # a ramp has no lungs
    sample = OneClassPairs(augmentation, CutPasteTransform())(image)
    assert sample.labels.tolist() == [0, 0, 2]
    assert torch.equal(sample.images[1], image)
    assert not sample.masks[1].any()


def test_a_choice_of_transforms_is_one_class():
    choice = v2.RandomChoice([AnatPasteTransform(), CutPasteTransform()])
    assert OneClassPairs(choice)(batch(1)[0]).labels.tolist() == [0, 1]


@pytest.mark.parametrize("shape", [(96, 80), (1, 96, 80)])
def test_lungs_are_handed_over(shape):
    lungs = torch.zeros(shape, dtype=torch.bool)
    lungs[..., 40:50, 20:30] = True
    sample = OneClassPairs(AnatPasteTransform(), CutPasteTransform())(batch(1)[0], lungs)
    assert not (sample.masks[1] & ~lungs).any()
    assert (sample.masks[2] & ~lungs).any()


def test_the_transform_has_a_repr_and_can_be_pickled():
    pairs, image = OneClassPairs(CutPasteTransform(variant="scar")), batch(1)[0]
    assert "CutPasteTransform(p=1.0, size='scar'" in repr(pairs)
    twin = pickle.loads(pickle.dumps(pairs))
    assert torch.equal(seeded(twin, image).images[1], seeded(pairs, image).images[1])


# a batch


@every_augmentation
@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_is_the_images_and_what_augment_makes_of_them(augmentation, channels):
    images = batch(channels=channels)
    doubled = seeded(one_class_batch, images, augmentation)
    result = seeded(augmentation.augment, images)
    assert isinstance(doubled, OneClassBatch)
    assert torch.equal(doubled.images, torch.cat([images, result.image]))
    assert torch.equal(doubled.masks, torch.cat([torch.zeros_like(result.anomaly_mask), result.anomaly_mask]))
    assert doubled.labels.tolist() == [0] * 6 + [1] * 6
    assert doubled.labels.dtype == torch.int64


def test_lungs_and_generator_reach_the_augmentation():
    lungs = torch.zeros(6, 1, 96, 80, dtype=torch.bool)
    lungs[..., 40:50, 20:30] = True
    first, second = (
        one_class_batch(batch(), AnatPasteTransform(), region_mask=lungs, generator=torch.Generator().manual_seed(1))
        for _ in range(2)
    )
    assert not (first.masks[6:] & ~lungs).any()
    assert torch.equal(first.images, second.images)


def test_any_object_with_augment_is_an_augmentation():
    class Negative:
        def augment(self, images, *, region_mask=None, generator=None):
            return SimpleNamespace(image=255 - images, anomaly_mask=torch.ones_like(images, dtype=torch.bool))

    doubled = one_class_batch(batch(), Negative())
    assert torch.equal(doubled.targets, doubled.masks.float())
    assert torch.equal(doubled.images[6:], 255 - batch())
    assert doubled.labels.tolist() == [0] * 6 + [1] * 6


# collate


def test_collated_samples_are_a_batch_in_the_same_order():
    pairs, images = OneClassPairs(AnatPasteTransform(p=0.5), CutPasteTransform()), batch()
    samples = seeded(lambda: [pairs(image) for image in images])
    collated = collate_one_class(samples)
    assert [type(field) for field in collated] == [torch.Tensor] * 4
    for kind in range(3):
        for index, sample in enumerate(samples):
            place = kind * 6 + index
            assert torch.equal(collated.images[place], sample.images[kind])
            assert torch.equal(collated.masks[place], sample.masks[kind])
            assert torch.equal(collated.targets[place], sample.targets[kind])
            assert collated.labels[place] == sample.labels[kind]
    assert collated.masks.shape == (18, 1, 96, 80)
    assert collated.masks.dtype == torch.bool
    assert collated.targets.shape == (18, 1, 96, 80)
    assert collated.targets.dtype == torch.float32


@pytest.mark.parametrize("kind", [tuple, list])
def test_labels_are_carried_along(kind):
    pairs = OneClassPairs(CutPasteTransform())
    items = [kind((pairs(image), number, f"{number}.png")) for number, image in enumerate(batch())]
    collated, labels, names = collate_one_class(items)
    assert isinstance(collated, OneClassBatch)
    assert torch.equal(collated.images[:6], batch())
    assert torch.equal(labels, torch.arange(6))
    assert list(names) == [f"{number}.png" for number in range(6)]


# errors


@pytest.mark.parametrize("build", [OneClassPairs, lambda: one_class_batch(batch())])
def test_no_augmentation(build):
    with pytest.raises(ValueError, match="give at least one augmentation"):
        build()


def test_something_else_as_an_augmentation():
    with pytest.raises(TypeError, match=r"must have the method augment, .* got <built-in function len>"):
        one_class_batch(batch(), len)
    with pytest.raises(TypeError, match=r"must have the method forward, .* got 3"):
        OneClassPairs(3)


def test_something_else_as_an_image():
    pairs = OneClassPairs(CutPasteTransform())
    with pytest.raises(TypeError, match="image must be a PIL image or a C×H×W tensor, got list"):
        pairs([1])
    with pytest.raises(ValueError, match=r"got shape \(6, 1, 96, 80\); for batches use one_class_batch"):
        pairs(batch())


def test_something_else_as_samples():
    sample = OneClassPairs(CutPasteTransform())(tvf.to_pil_image(batch(1)[0]))
    with pytest.raises(TypeError, match=r"images must be tensors to be collated, got Image; add v2.ToImage\(\)"):
        collate_one_class([sample])
    with pytest.raises(TypeError, match="or tuples that begin with one, got tuple of int, OneClassSample; give"):
        collate_one_class([(3, sample)])
    with pytest.raises(TypeError, match=r"images must be tensors to be collated, got Image; add v2.ToImage\(\)"):
        collate_one_class([(sample, 3)])
    with pytest.raises(ValueError, match="no samples to collate"):
        collate_one_class([])
