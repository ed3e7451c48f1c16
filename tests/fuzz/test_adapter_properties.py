"""Pairs and adapters: the guarantees of `AnatPasteTransform` in the host's form."""

import numpy as np
import pytest
import torch
from fuzz.invariants import attempt, same, untouched
from fuzz.strategies import FLOATS, Batch, batches, seeded, seeds, small_batches
from hypothesis import given
from hypothesis import strategies as st
from kornia.augmentation import AugmentationSequential

from anatpaste_aug import AnatPasteTransform, CutPasteTransform, OneClassPairs, collate_one_class, one_class_batch
from anatpaste_aug.adapters.kornia import KorniaPaste
from anatpaste_aug.adapters.numpy import NumpyPaste
from anatpaste_aug.adapters.timm import TimmPasteErasing, TimmPasteMixup


@given(small_batches, seeds, st.floats(0, 1))
def test_one_class_batches_hold_the_normal_images_first(batch, seed, p):
    images = batch.images()
    with untouched(images):
        found = one_class_batch(images, AnatPasteTransform(p), CutPasteTransform(p), generator=seeded(seed))
    count = len(batch)
    assert same(found.images[:count], images.contiguous())
    assert (found.masks.shape, found.masks.dtype) == ((3 * count, 1, *batch.size), torch.bool)
    assert not found.masks[:count].any()
    changed = found.masks.flatten(1).any(1).view(3, count)
    assert torch.equal(found.labels.view(3, count), changed * torch.arange(3).unsqueeze(1))
    outside = ~found.masks.expand_as(found.images)
    assert same(found.images[outside], images.repeat(3, 1, 1, 1)[outside])


@given(small_batches.filter(len), seeds, st.floats(0, 1))
def test_collated_pairs_are_one_class_batches(batch, seed, p):
    images = batch.images()
    torch.manual_seed(seed)
    found = collate_one_class([OneClassPairs(AnatPasteTransform(p))(image) for image in images])
    assert same(found.images[: len(batch)], images.contiguous())
    changed = found.masks.flatten(1).any(1)
    assert torch.equal(found.labels, changed.long())
    assert type(found.images) is type(found.masks) is type(found.labels) is torch.Tensor


@given(
    batches(dtypes=[torch.float32, torch.float64], least=1, sizes=st.just((33, 40))),
    seeds,
    st.floats(0, 1),
    st.booleans(),
)
def test_kornia_s_masks_show_what_changed(batch, seed, p, same_on_batch):
    images = batch.images()
    pipeline = AugmentationSequential(
        KorniaPaste(AnatPasteTransform(p=p), same_on_batch=same_on_batch), data_keys=["input", "mask"]
    )
    torch.manual_seed(seed)
    with untouched(images):
        image, mask = pipeline(images, torch.ones(len(batch), 1, *batch.size))
    assert (image.shape, image.dtype) == (images.shape, images.dtype)
    assert ((mask == 0) | (mask == 1)).all()
    outside = (mask == 0).expand_as(images)
    assert same(image[outside], images[outside])


@given(
    small_batches.filter(lambda batch: batch.dtype in FLOATS), seeds, st.booleans(), st.booleans(), st.integers(0, 3)
)
def test_timm_s_targets_mark_anomalous_images(batch, seed, pairs, one_hot, splits):
    images = batch.images()
    mean, std = (0.5,) * batch.channels, (0.25,) * batch.channels
    normalized = ((images.double() - 0.5) / 0.25).to(images.dtype)
    target = torch.randint(0, 3, (len(batch),), generator=seeded(seed))
    torch.manual_seed(seed)
    with untouched(normalized, target):
        x, y = TimmPasteMixup(AnatPasteTransform(p=0.7, mean=mean, std=std), pairs=pairs, one_hot=one_hot)(
            normalized, target
        )
        erased = TimmPasteErasing(AnatPasteTransform(p=1.0, mean=mean, std=std), num_splits=splits)(normalized)
    assert len(x) == len(y) == len(batch) * (1 + pairs)
    assert y.dtype == (torch.float32 if one_hot else torch.int64)
    last = x[-len(batch) :] if len(batch) else x
    changed = (last != normalized).flatten(1).any(1)
    anomalous = (y.argmax(1) if one_hot else y)[len(y) - len(batch) :] > 0
    assert not changed[target != 0].any()
    assert anomalous[(target != 0) | changed].all()
    clean = len(batch) // splits if splits > 1 else 0
    assert same(erased[:clean], normalized[:clean].contiguous())


@given(
    small_batches,
    st.sampled_from(["C", "F", "flipped", "strided", "read-only", "big-endian"]),
    st.sampled_from([np.uint8, np.float16, np.float32, np.float64, np.longdouble]),
    seeds,
)
@pytest.mark.filterwarnings("error")
def test_arrays_in_any_order_of_memory(batch, order, dtype, seed):
    recipe = Batch(batch.size, batch.kinds, batch.channels, torch.float64, seed=batch.seed)
    images = recipe.images().permute(0, 2, 3, 1).numpy()
    images = (images * 255).round().astype(np.uint8) if dtype == np.uint8 else images.astype(dtype)
    ways = {
        "F": np.asfortranarray,
        "flipped": lambda a: a[:, ::-1, ::-1],
        "strided": lambda a: np.repeat(a, 2, 2)[:, :, ::2],
        "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    }
    images = ways.get(order, np.ascontiguousarray)(images)
    images.flags.writeable = order != "read-only"
    kept = images.copy()
    found = attempt(lambda: NumpyPaste(rng=seed)(images))
    if found is None:
        assert dtype == np.longdouble
        return
    augmented, mask = found
    assert (augmented.shape, augmented.dtype) == (images.shape, images.dtype)
    assert (mask.shape, mask.dtype) == ((*images.shape[:3], 1), np.bool_)
    assert np.array_equal(images, kept)
    outside = np.broadcast_to(~mask, images.shape)
    assert np.array_equal(augmented[outside], images[outside])
