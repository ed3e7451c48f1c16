import copy
import pickle
import re

import numpy as np
import pytest
import torch
from oracles import bits, smooth_images
from PIL import Image
from torch.utils.data import DataLoader, default_collate
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tvf

from anatpaste_aug import AnomalyMask, CutPasteTransform, PasteResult, RegionMask
from anatpaste_aug.functional import Intensities, paste

FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
every_variant = pytest.mark.parametrize("variant", ["normal", "scar", "union"])


def batch(count=6, channels=1, dtype=torch.uint8):
    images = smooth_images(count, 96, 80, channels)
    return images if dtype == torch.uint8 else (images.float() / 255).to(dtype)


def called(transform, *inputs):
    torch.manual_seed(0)
    return transform(*inputs)


def augmented(images, **settings):
    """The result of `augment` under the seed that `called` uses."""
    torch.manual_seed(0)
    return CutPasteTransform(**settings).augment(images)


def equal(first, second):
    """Two results of `augment`, bit for bit."""
    leaves = [torch.utils._pytree.tree_leaves(result._replace(region_mask=None)) for result in (first, second)]
    return all(torch.equal(bits(a), bits(b)) for a, b in zip(*leaves, strict=True) if a is not None)


# augment


@every_variant
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, *FLOATS])
def test_augment_returns_all_there_is_to_know(channels, dtype, variant):
    images = batch(channels=channels, dtype=dtype)
    before = images.clone()
    result = augmented(images, variant=variant)
    assert isinstance(result, PasteResult)
    assert result.image.dtype == dtype
    assert result.image.shape == images.shape
    assert result.anomaly_mask.dtype == torch.bool
    assert result.anomaly_mask.shape == (6, 1, 96, 80)
    outside = ~result.anomaly_mask.expand_as(images)
    assert torch.equal(bits(result.image)[outside], bits(images)[outside])
    assert (result.image != images).flatten(1).any(1).all()
    assert result.label.dtype == torch.int64
    assert result.label.tolist() == [1] * 6
    assert torch.equal(images, before)


def test_augment_is_paste_with_its_parameters():
    images = batch(channels=3)
    result = augmented(images, variant="union")
    image, mask = paste(images, result.params, None, Intensities(0.0, 255.0), hard=True, resized=False)
    assert torch.equal(image, result.image)
    assert torch.equal(mask, result.soft_mask)


def test_a_call_is_repeated_bit_for_bit_by_its_parameters():
    images, transform = batch(channels=3, dtype=torch.float32), CutPasteTransform(p=0.7, variant="union")
    first = transform.augment(images)
    assert equal(first, transform.augment(images, params=first.params))
    rows = first.params.rows(slice(2, 4))
    assert torch.equal(transform.augment(images[2:4], params=rows).image, first.image[2:4])


def test_a_generator_repeats_and_leaves_the_global_one_alone():
    transform, images = CutPasteTransform(), batch()
    before = torch.get_rng_state()
    first, second = (transform.augment(images, generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


def test_labels_masks_and_pixels_agree_on_which_images_were_left_alone():
    images = batch(8).repeat(50, 1, 1, 1)
    result = augmented(images, p=0.4)
    changed = (result.image != images).flatten(1).any(1)
    assert torch.equal(changed, result.label == 1)
    assert torch.equal(changed, result.anomaly_mask.flatten(1).any(1))
    assert 120 < changed.sum() < 200


def test_it_stands_in_for_anatpaste_where_lungs_are_handed_over():
    images = batch()
    torch.manual_seed(0)
    result = CutPasteTransform().augment(images, region_mask=torch.zeros(6, 1, 96, 80, dtype=torch.bool))
    assert equal(result, augmented(images))


@pytest.mark.slow
def test_the_detector_trains_with_it():
    detection = pytest.importorskip("anatpaste_aug.detection", exc_type=ImportError)
    config = detection.PretextConfig(image_size=32, batch_size=4, updates=2, updates_per_epoch=2)
    images = smooth_images(8, 32, 32)
    labels = torch.arange(8) % 2
    masks = torch.ones(8, 1, 32, 32, dtype=torch.bool)
    augment = CutPasteTransform(variant="scar").augment
    detector = detection.PretextDetector(config, augment).fit(images, images, labels, lung_masks=masks)
    assert [progress.update for progress in detector.result.history] == [2]


def test_another_range_gives_the_same_image_in_that_range():
    """Tolerance: 1e-5 of the range."""
    images = batch(channels=3, dtype=torch.float32)
    result = augmented(images * 4095 - 1024, value_range=(-1024, 3071)).image
    torch.testing.assert_close(result, augmented(images).image * 4095 - 1024, rtol=0, atol=0.05)


# as a v2 transform


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, *FLOATS])
@pytest.mark.parametrize("wrap", [torch.Tensor.clone, tv_tensors.Image])
def test_a_tensor_comes_back_as_it_was_given(wrap, dtype, channels):
    images = wrap(batch(channels=channels, dtype=dtype))
    result = called(CutPasteTransform(), images)
    assert type(result) is type(images)
    assert result.dtype == dtype
    assert torch.equal(result, augmented(images.as_subclass(torch.Tensor)).image)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_pil_image_comes_back_as_one(mode):
    images = batch(1, len(mode))
    result = called(CutPasteTransform(variant="scar"), tvf.to_pil_image(images[0]))
    assert isinstance(result, Image.Image)
    assert result.mode == mode
    assert torch.equal(tvf.pil_to_tensor(result), augmented(images, variant="scar").image[0])


@pytest.mark.parametrize("leading", [(), (1,), (6,), (2, 3), (0,)])
def test_any_leading_dimensions_are_a_batch(leading):
    images = batch(6)[: int(np.prod(leading))]
    result = called(CutPasteTransform(), images.view(*leading, 1, 96, 80))
    assert result.shape == (*leading, 1, 96, 80)
    assert torch.equal(result.reshape(images.shape), augmented(images).image)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float32])
@pytest.mark.parametrize("order", [("mask", "image"), ("image", "mask")])
def test_an_anomaly_mask_is_written_and_all_else_passes_through(dtype, order):
    images = batch(1)
    parts = {"image": tv_tensors.Image(images[0]), "mask": AnomalyMask(torch.zeros(96, 80).to(dtype))}
    others = {
        "lungs": RegionMask(torch.ones(96, 80, dtype=torch.bool)),
        "other": tv_tensors.Mask(torch.ones(96, 80)),
        "tensor": torch.arange(3),
        "label": 3,
    }
    result = called(CutPasteTransform(), {name: parts[name] for name in order} | others)
    expected = augmented(images)
    assert type(result["mask"]) is AnomalyMask
    assert result["mask"].dtype == dtype
    assert torch.equal(result["mask"], expected.anomaly_mask[0, 0].to(dtype))
    assert torch.equal(result["image"], expected.image[0])
    assert all(result[name] is value for name, value in others.items())


def test_loader_workers_and_epochs_differ_and_a_seed_repeats_them():
    """Every image is the same: a pair of equal results would be a pair of equal random numbers."""
    pictures = batch(1)[0].expand(12, -1, -1, -1)
    collate = v2.Compose([default_collate, CutPasteTransform()])

    def epochs():
        torch.manual_seed(0)
        loader = DataLoader(pictures, batch_size=2, num_workers=2, collate_fn=collate, timeout=60)
        return torch.cat([images for _ in range(2) for images in loader])

    first = epochs()
    assert len({tuple(image.flatten().tolist()) for image in first}) == 24
    assert torch.equal(epochs(), first)


def test_repr_shows_what_is_not_the_recipes():
    assert repr(CutPasteTransform()) == "CutPasteTransform(p=1.0)"
    shown = repr(CutPasteTransform(0.25, variant="union", rotation=(-90.0, 10.0), mean=(0.5,), std=(0.25,)))
    assert shown == ("CutPasteTransform(p=0.25, size='area_or_scar', rotation=(-90.0, 10.0), mean=(0.5,), std=(0.25,))")


def test_a_variant_that_is_none():
    message = "variant must be one of 'normal', 'scar', 'union', got 'both'; 3-way classification needs two transforms"
    with pytest.raises(ValueError, match=re.escape(message)):
        CutPasteTransform(variant="both")


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda transform: pickle.loads(pickle.dumps(transform))])
def test_a_copy_does_the_same(duplicate):
    transform, images = CutPasteTransform(p=0.8, variant="scar"), batch()
    twin = duplicate(transform)
    assert repr(twin) == repr(transform)
    assert torch.equal(called(twin, images), called(transform, images))


# errors


@pytest.mark.parametrize(
    ("images", "arguments", "kind", "message"),
    [
        (np.zeros((1, 1, 64, 64)), {}, TypeError, "images must be a torch.Tensor"),
        (torch.zeros(1, 64, 64, 3), {}, ValueError, "got (1, 64, 64, 3); add the missing dimension"),
        (torch.zeros(1, 1, 64, 64) + 9, {}, ValueError, "images have values in [9, 9], outside value_range=(0, 1)"),
        (batch(), {"generator": 3}, TypeError, "generator must be a torch.Generator, got int"),
        (batch(), {"params": 3}, TypeError, "params must be the PasteParams of an earlier result, got int"),
    ],
)
def test_wrong_arguments_of_augment(images, arguments, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        CutPasteTransform().augment(images, **arguments)


def test_parameters_of_another_call():
    params = augmented(batch()).params
    with pytest.raises(ValueError, match="params have 6 rows for 2 images"):
        CutPasteTransform().augment(batch(2), params=params)
    with pytest.raises(ValueError, match="params were sampled for images larger than 32×32"):
        CutPasteTransform().augment(batch()[..., :32, :32], params=params)


def test_a_sample_that_does_not_fit():
    with pytest.raises(TypeError, match="found no image in the sample"):
        CutPasteTransform()({"label": 3})
    with pytest.raises(ValueError, match="AnomalyMask has shape"):
        CutPasteTransform()(batch()[0], AnomalyMask(torch.zeros(9, 9)))
    with pytest.raises(TypeError, match="mean and std are set"):
        CutPasteTransform(mean=[0.5], std=[0.5])(batch())
