"""Chains of augmentations in every host: the anomaly mask is the union of all changes.

The oracle is the anomaly mask of every call of `PasteTransform.augment`.
"""

import numpy as np
import pytest
import torch
from helpers.batches import batch, recorded
from kornia.augmentation import AugmentationSequential, RandomHorizontalFlip
from torchvision import tv_tensors
from torchvision.transforms import v2

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.adapters.anomalib import AnomalibPasteAugmentation
from anatpaste_aug.adapters.kornia import KorniaPaste
from anatpaste_aug.adapters.numpy import NumpyPaste
from anatpaste_aug.adapters.timm import TimmPasteMixup

SIZE, SEEDS = (64, 64), range(8)


@pytest.fixture
def changes():
    """The results of all calls of `augment`."""
    with recorded() as results:
        yield results


def united(results):
    masks = [result.anomaly_mask for result in results]
    return torch.stack(masks).any(0) if masks else torch.zeros(1, 1, *SIZE, dtype=torch.bool)


# kornia


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
@pytest.mark.parametrize("random_apply", [False, 1, (1, 2)])
def test_kornias_sequences_unite(count, dtype, random_apply, changes):
    images = batch(4, dtype=torch.float32, size=SIZE)
    for seed in SEEDS:
        changes.clear()
        torch.manual_seed(seed)
        augmentations = [KorniaPaste(AnatPasteTransform(p=0.5)) for _ in range(count)]
        pipeline = AugmentationSequential(*augmentations, data_keys=["input", "mask"], random_apply=random_apply)
        result, mask = pipeline(images, torch.zeros(4, 1, *SIZE, dtype=dtype))
        assert mask.dtype == dtype
        assert torch.equal(mask > 0, united(changes))
        assert not (result != images)[mask == 0].any()


def test_kornias_nested_sequences_unite(changes):
    images = batch(4, dtype=torch.float32, size=SIZE)
    first, second, third = (KorniaPaste(AnatPasteTransform(p=0.5)) for _ in range(3))
    inner = AugmentationSequential(first, second, data_keys=["input", "mask"])
    pipeline = AugmentationSequential(inner, RandomHorizontalFlip(1.0), third, data_keys=["input", "mask"])
    _, mask = pipeline(images, torch.zeros(4, 1, *SIZE))
    assert torch.equal(mask > 0, united(changes[:2]).flip(3) | changes[2].anomaly_mask)


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


@pytest.mark.parametrize("shape", [(64, 64), (64, 64, 1), (3, 64, 64, 1)])
def test_arrays_unite_with_an_earlier_mask(shape, changes):
    given = batch(3 if len(shape) == 4 else 1, size=SIZE).numpy().reshape(shape)
    image, mask, paste = given, None, NumpyPaste(AnatPasteTransform(p=0.6), rng=5)
    for _ in range(3):
        image, mask = paste(image, anomaly_mask=mask)
    assert mask.dtype == bool
    assert np.array_equal(mask.ravel(), united(changes).flatten().numpy())
    assert mask.any()
    assert not (image != given)[~mask].any()


def test_a_wrong_mask_of_earlier_changes_is_named():
    with pytest.raises(ValueError, match="anomaly_mask must have shape"):
        NumpyPaste()(np.zeros((64, 64), np.uint8), anomaly_mask=np.zeros((32, 32), bool))


# MONAI


def monai_containers():
    from monai.transforms import Compose, OneOf, RandAdjustContrastd, SomeOf

    from anatpaste_aug.adapters.monai import MonaiPasted

    def paste(prob=0.7):
        return MonaiPasted("image", AnatPasteTransform(p=prob))

    other = RandAdjustContrastd("image", prob=1.0)
    return {
        "two": Compose([paste(), paste()]),
        "three": Compose([paste(), paste(), paste()]),
        "OneOf": OneOf([paste(), Compose([paste(), paste()]), other]),
        "SomeOf": SomeOf([paste(), paste(), other], num_transforms=2),
        "OneOf, then another": Compose([OneOf([paste(), other]), paste()]),
    }


@pytest.mark.parametrize("name", ["two", "three", "OneOf", "SomeOf", "OneOf, then another"])
@pytest.mark.parametrize("kind", ["tensor", "array", "MetaTensor"])
def test_monai(name, kind, changes):
    pytest.importorskip("monai", reason='needs the host: pip install "anatpaste_aug[hosts]"')
    from monai.data import MetaTensor

    make = {"tensor": lambda x: x, "array": lambda x: x.numpy(), "MetaTensor": MetaTensor}[kind]
    image = batch(1, dtype=torch.float32, size=(64, 64))[0]
    pipeline = monai_containers()[name]
    pipeline.set_random_state(1)
    some = 0
    for _ in SEEDS:
        changes.clear()
        zeros = make(torch.zeros(1, 64, 64, dtype=torch.bool))
        sample = pipeline({"image": make(image), "anomaly_mask": zeros})
        assert type(sample["anomaly_mask"]) is type(zeros)
        mask = torch.as_tensor(sample["anomaly_mask"])
        assert mask.dtype == torch.bool
        assert torch.equal(torch.as_tensor(mask), united(changes)[0])
        some += bool(mask.any())
    assert some > 1


def test_monai_without_a_mask_before_and_with_one_of_another_dtype(changes):
    pytest.importorskip("monai", reason='needs the host: pip install "anatpaste_aug[hosts]"')
    image = batch(1, dtype=torch.float32, size=(64, 64))[0]
    pipeline = monai_containers()["two"].set_random_state(1)
    assert torch.equal(pipeline({"image": image})["anomaly_mask"], united(changes)[0])
    changes.clear()
    earlier = torch.zeros(1, 64, 64, dtype=torch.uint8)
    earlier[:, :9] = 7
    mask = pipeline({"image": image, "anomaly_mask": earlier})["anomaly_mask"]
    assert mask.dtype == torch.uint8
    assert torch.equal(mask > 0, united(changes)[0] | (earlier > 0))
    assert (mask[:, :9] == 7).all()


def test_monai_collates_samples_of_a_choice():
    pytest.importorskip("monai", reason='needs the host: pip install "anatpaste_aug[hosts]"')
    from monai.data import list_data_collate

    pipeline = monai_containers()["OneOf"].set_random_state(0)
    images = batch(8, dtype=torch.float32, size=(64, 64))
    zeros = torch.zeros(1, 64, 64, dtype=torch.bool)
    collated = list_data_collate([pipeline({"image": image, "anomaly_mask": zeros}) for image in images])
    assert collated["anomaly_mask"].shape == (8, 1, 64, 64)
    assert not zeros.any()


# albumentations


@pytest.mark.parametrize("name", ["two", "three", "OneOf", "SomeOf", "OneOf, then another"])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_albumentations(name, dtype, changes):
    A = pytest.importorskip("albumentations", reason='needs the host: pip install "anatpaste_aug[hosts]"')  # noqa: N806
    from anatpaste_aug.adapters.albumentations import AlbumentationsPaste

    def paste(p=0.7):
        return AlbumentationsPaste(AnatPasteTransform(p=p))

    other = A.RandomGamma(p=1.0)
    steps = {
        "two": [paste(), paste()],
        "three": [paste(), paste(), paste()],
        "OneOf": [A.OneOf([paste(), other], p=1.0)],
        "SomeOf": [A.SomeOf([paste(), paste(), other], n=2, p=1.0)],
        "OneOf, then another": [A.OneOf([paste(), other], p=1.0), paste()],
    }[name]
    image, some = batch(1, size=(64, 64))[0, 0].numpy(), 0
    pipeline = A.Compose(steps, seed=3)
    for _ in SEEDS:
        changes.clear()
        mask = pipeline(image=image, mask=np.zeros((64, 64), dtype))["mask"]
        assert mask.dtype == dtype
        assert np.array_equal(mask, united(changes)[0, 0].numpy().astype(dtype))
        some += bool(mask.any())
    assert some > 1


def test_albumentations_keeps_the_earlier_mask(changes):
    A = pytest.importorskip("albumentations", reason='needs the host: pip install "anatpaste_aug[hosts]"')  # noqa: N806
    from anatpaste_aug.adapters.albumentations import AlbumentationsPaste

    earlier = np.zeros((64, 64), np.uint8)
    earlier[:9] = 255
    image = batch(1, size=(64, 64))[0, 0].numpy()
    mask = A.Compose([AlbumentationsPaste()], seed=0)(image=image, mask=earlier)["mask"]
    assert np.array_equal(mask > 0, united(changes)[0, 0].numpy() | (earlier > 0))
    assert (mask[:9] == 255).all()
    assert not earlier[9:].any()


# anomalib and Lightning


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("container", [v2.Compose, v2.RandomApply, v2.RandomChoice, v2.RandomOrder])
def test_anomalibs_ground_truth(container, count):
    image = tv_tensors.Image(batch(1, dtype=torch.float32, size=(64, 64))[0])
    pipeline = container(
        [AnomalibPasteAugmentation(AnatPasteTransform(p=0.6, blur=False, opacity=(1, 1))) for _ in range(count)]
    )
    for seed in SEEDS:
        torch.manual_seed(seed)
        result, mask = pipeline(image, tv_tensors.Mask(torch.zeros(64, 64, dtype=torch.uint8)))
        changed = (result != image).any(0)
        assert type(mask) is tv_tensors.Mask
        assert not changed[mask == 0].any()
        assert bool(mask.any()) == bool(changed.any())


def test_lightnings_dictionary_keeps_the_mask_of_the_dataset(changes):
    lightning = pytest.importorskip("lightning", reason='needs the host: pip install "anatpaste_aug[hosts]"')
    from anatpaste_aug.adapters.lightning import LightningPasteMixin

    class Module(LightningPasteMixin, lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.paste = AnatPasteTransform(p=0.5)

    batch_of = {"image": batch(6, dtype=torch.float32, size=(64, 64)), "label": torch.arange(6)}
    module, first = Module(), None
    for _ in range(3):
        batch_of = module.augment_batch(batch_of)
        first = batch_of["anomaly_mask"] if first is None else first
    assert first.dtype == batch_of["anomaly_mask"].dtype == torch.bool
    assert torch.equal(batch_of["anomaly_mask"], united(changes))
    assert not torch.equal(batch_of["anomaly_mask"], first)
    assert torch.equal(batch_of["label"], torch.arange(6))
