"""The timm adapters, in timm's own loader."""

import pickle

import pytest
import torch
from helpers.batches import augmented, batch, called, raises
from helpers.oracles import bits
from PIL import Image
from timm.data import FastCollateMixup, Mixup, create_loader
from timm.data.loader import PrefetchLoader, fast_collate
from timm.data.random_erasing import RandomErasing
from timm.loss import SoftTargetCrossEntropy
from torch.utils.data import DataLoader

from anatpaste_aug import (
    AnatPasteTransform,
    NSATransform,
)
from anatpaste_aug.adapters.timm import TimmPasteErasing, TimmPasteMixup

GRAY = {"mean": (0.4,), "std": (0.2,)}
COLOR = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def normalized(count=6):
    return (batch(count, dtype=torch.float32) - 0.4) / 0.2


def loader(channels=1, numbers=GRAY, **settings):
    """timm's prefetching loader over six uint8 images of class 0, in two batches."""
    samples = [(image.numpy(), 0) for image in batch(6, channels)]
    return PrefetchLoader(
        DataLoader(samples, 3, collate_fn=fast_collate, generator=torch.Generator()),  # the global one is for us alone
        numbers["mean"],
        numbers["std"],
        channels=channels,
        device=torch.device("cpu"),
        **settings,
    )


# in the place of RandomErasing


@pytest.mark.parametrize(("channels", "numbers"), [(1, GRAY), (3, COLOR)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_prefetch_loader_calls_it_on_normalized_batches(channels, numbers, dtype):
    plain = [images for images, _ in loader(channels, numbers, img_dtype=dtype)]
    prefetch = loader(channels, numbers, img_dtype=dtype, re_prob=1.0)
    assert isinstance(prefetch.random_erasing, RandomErasing)
    prefetch.random_erasing = TimmPasteErasing(AnatPasteTransform(p=0.7, **numbers))
    torch.manual_seed(0)
    received = list(prefetch)
    torch.manual_seed(0)
    transform = AnatPasteTransform(0.7, **numbers)
    for (images, target), expected in zip(received, plain, strict=True):
        assert torch.equal(bits(images), bits(transform.augment(expected).image))
        assert images.dtype == dtype
        assert target.tolist() == [0] * 3
        assert not torch.equal(images, expected)


def test_one_image_as_timm_passes_it_without_a_prefetcher():
    images = normalized(1)
    result = called(TimmPasteErasing(AnatPasteTransform(p=1.0, **GRAY)), images[0])
    assert torch.equal(result, augmented(images, **GRAY).image[0])


@pytest.mark.parametrize(("num_splits", "clean"), [(0, 0), (1, 0), (2, 3), (4, 1)])
def test_the_first_split_stays_clean(num_splits, clean):
    images = normalized()
    result = called(TimmPasteErasing(AnatPasteTransform(p=1.0, **GRAY), num_splits=num_splits), images)
    expected = augmented(images, **GRAY).image
    assert torch.equal(result, torch.cat([images[:clean], expected[clean:]]))


# every recipe


# in the place of Mixup


@pytest.mark.parametrize("p", [1.0, 0.5, 0.0])
def test_the_target_marks_augmented_images(p):
    images = normalized(12)
    result, target = called(TimmPasteMixup(AnatPasteTransform(p=p, **GRAY)), images, torch.zeros(12, dtype=torch.int64))
    expected = augmented(images, p=p, **GRAY)
    assert torch.equal(result, expected.image)
    assert target.dtype == torch.int64
    assert torch.equal(target == 1, (result != images).flatten(1).any(1))
    assert torch.equal(target == 1, expected.params.apply[:, 0])


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.bool])
def test_abnormal_images_are_left_alone_and_stay_abnormal(dtype):
    images, given = normalized(), torch.tensor([0, 1, 0, 1, 1, 0])
    result, target = called(TimmPasteMixup(AnatPasteTransform(p=1.0, **GRAY)), images, given.to(dtype))
    assert torch.equal(result[given > 0], images[given > 0])
    assert torch.equal(result[given == 0], augmented(images, **GRAY).image[given == 0])
    assert target.tolist() == [1] * 6


@pytest.mark.parametrize("p", [1.0, 0.5])
def test_pairs_are_the_batch_and_its_augmentations(p):
    images, given = normalized(), torch.tensor([0, 0, 2, 0, 0, 0])
    result, target = called(TimmPasteMixup(AnatPasteTransform(p=p, **GRAY), pairs=True), images, given)
    single, labels = called(TimmPasteMixup(AnatPasteTransform(p=p, **GRAY)), images, given)
    assert torch.equal(result, torch.cat([images, single]))
    assert torch.equal(target, torch.cat([(given > 0).long(), labels]))


def test_one_hot_targets_look_like_those_of_mixup_and_fit_its_loss():
    images, given = normalized(), torch.zeros(6, dtype=torch.int64)
    theirs = Mixup(num_classes=2, label_smoothing=0.0)(images.clone(), given)[1]
    _, dense = called(TimmPasteMixup(AnatPasteTransform(p=0.5, **GRAY), one_hot=True), images, given)
    _, classes = called(TimmPasteMixup(AnatPasteTransform(p=0.5, **GRAY)), images, given)
    assert dense.shape == theirs.shape
    assert dense.dtype == theirs.dtype
    assert torch.equal(dense.argmax(1), classes)
    logits = torch.randn(6, 2)
    expected = torch.nn.functional.cross_entropy(logits, classes)
    torch.testing.assert_close(SoftTargetCrossEntropy()(logits, dense), expected)


def test_it_is_switched_off_as_timm_does():
    assert {"mixup_enabled"} <= set(vars(Mixup())) & set(vars(FastCollateMixup())) & set(
        vars(TimmPasteMixup(AnatPasteTransform(**GRAY)))
    )
    mixup_fn = TimmPasteMixup(AnatPasteTransform(p=1.0, **GRAY), pairs=True)
    mixup_fn.mixup_enabled = False
    images, target = mixup_fn(normalized(), torch.tensor([0, 1, 0, 0, 0, 0]))
    assert torch.equal(images, normalized())
    assert target.tolist() == [0, 1, 0, 0, 0, 0]


class Pictures(torch.utils.data.Dataset):
    """Four color images of class 0."""

    transform = None  # timm sets it

    def __len__(self):
        return 4

    def __getitem__(self, index):
        picture = Image.fromarray(batch(4)[index, 0].numpy()).convert("RGB")
        return self.transform(picture), 0


def timm_loader(**settings):
    """timm's loader of the pictures, without worker processes."""
    settings |= {"num_workers": 0, "persistent_workers": False, "device": torch.device("cpu")}
    return create_loader(Pictures(), (3, 64, 64), 4, is_training=True, **COLOR, **settings)


@pytest.mark.parametrize("place", ["random_erasing", "random_erasing without prefetcher", "end of the transform"])
def test_where_a_loader_of_timm_calls_it(place):
    """Without the prefetcher nothing calls random_erasing; the adapter works at the end of the dataset's transform."""
    train = timm_loader(no_aug=True, use_prefetcher=place == "random_erasing")
    torch.manual_seed(0)  # of the order
    plain = next(iter(train))[0]
    erasing = TimmPasteErasing(AnatPasteTransform(**COLOR))
    if place == "end of the transform":
        train.dataset.transform.transforms.append(erasing)
    else:
        train.random_erasing = erasing
    torch.manual_seed(0)
    assert torch.equal(next(iter(train))[0], plain) == (place == "random_erasing without prefetcher")


# repr, copies, devices


def test_repr_shows_the_transform():
    transform = AnatPasteTransform(p=0.25, blur=False, **GRAY)
    assert repr(TimmPasteErasing(transform, num_splits=2)) == f"TimmPasteErasing({transform!r}, num_splits=2)"
    assert repr(TimmPasteMixup(transform)) == f"TimmPasteMixup({transform!r}, pairs=False, one_hot=False)"
    assert "mean=(0.4,)" in repr(transform)


@pytest.mark.parametrize(
    "adapter",
    [
        TimmPasteErasing(AnatPasteTransform(**GRAY), num_splits=2),
        TimmPasteMixup(AnatPasteTransform(**GRAY), pairs=True),
    ],
)
def test_a_copy_does_the_same(adapter):
    inputs = (normalized(),) if isinstance(adapter, TimmPasteErasing) else (normalized(), torch.zeros(6).long())
    called(adapter, *inputs)
    twin = pickle.loads(pickle.dumps(adapter))
    assert repr(twin) == repr(adapter)
    ours, theirs = called(twin, *inputs), called(adapter, *inputs)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


# errors


@pytest.mark.parametrize("adapter", [TimmPasteErasing, TimmPasteMixup])
def test_mean_and_std_are_needed(adapter):
    with raises(TypeError, "the transform needs the mean= and std=", "NSATransform(mean=..., std=...)", "mean=(0.0,)"):
        adapter(NSATransform())
    with raises(TypeError, "transform must be a transform of this package", "got 0.5"):
        adapter(0.5)


@pytest.mark.parametrize(
    ("target", "got"),
    [
        (torch.zeros(6), "got torch.float32 (6,)"),
        (torch.zeros(6, 2), "got torch.float32 (6, 2)"),
        (torch.zeros(5, dtype=torch.int64), "got torch.int64 (5,)"),
        ([0] * 6, "got list"),
    ],
)
def test_targets_that_are_no_class_indices(target, got):
    with raises(ValueError, "target must hold one class index per image, 0 for normal", got, "target.argmax(1)"):
        TimmPasteMixup(AnatPasteTransform(**GRAY))(normalized(), target)
