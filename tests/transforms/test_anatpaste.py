import copy
import inspect
import pickle
import re
from collections import namedtuple

import numpy as np
import pytest
import torch
from oracles import bits, smooth_images
from PIL import Image
from torch.utils.data import DataLoader, default_collate
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tvf

from anatpaste_aug import AnatPasteResult, AnatPasteTransform, AnomalyMask, LungMask, LungSegmenter
from anatpaste_aug.functional import Intensities, paste

FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
Sample = namedtuple("Sample", ["picture", "label"])


def batch(count=6, channels=1, dtype=torch.uint8, size=(96, 80), seed=0):
    images = smooth_images(count, *size, channels, seed)
    return images if dtype == torch.uint8 else (images.float() / 255).to(dtype)


def called(transform, *inputs, seed=0):
    torch.manual_seed(seed)
    return transform(*inputs)


def augmented(images, *, seed=0, **settings):
    """The result of `augment` under the seed that `called` uses."""
    torch.manual_seed(seed)
    return AnatPasteTransform(**settings).augment(images)


def equal(first, second):
    """Two results of `augment`, bit for bit."""
    pairs = [
        (first.image, second.image),
        (first.soft_mask, second.soft_mask),
        *zip(first.params, second.params, strict=True),
    ]
    return all(torch.equal(bits(a), bits(b)) for a, b in pairs)


# the types of images


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, *FLOATS])
@pytest.mark.parametrize("wrap", [torch.Tensor.clone, tv_tensors.Image])
def test_a_tensor_comes_back_as_it_was_given(wrap, dtype, channels):
    images = wrap(batch(channels=channels, dtype=dtype))
    result = called(AnatPasteTransform(), images)
    assert type(result) is type(images)
    assert result.dtype == dtype
    assert torch.equal(result, augmented(images.as_subclass(torch.Tensor)).image)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_pil_image_comes_back_as_one(mode):
    channels = 1 if mode == "L" else 3
    images = batch(1, channels)
    picture = tvf.to_pil_image(images[0])
    result = called(AnatPasteTransform(), picture)
    assert isinstance(result, Image.Image)
    assert result.mode == mode
    assert result.size == (80, 96)
    assert torch.equal(tvf.pil_to_tensor(result), augmented(images).image[0])
    assert np.array_equal(np.asarray(picture), np.asarray(tvf.to_pil_image(images[0])))


@pytest.mark.parametrize("wrap", [torch.Tensor.clone, tv_tensors.Image])
@pytest.mark.parametrize("leading", [(), (1,), (6,), (2, 3), (3, 1, 2), (0,)])
def test_any_leading_dimensions_are_a_batch(wrap, leading):
    count = int(np.prod(leading))
    images = batch(6)[:count]
    result = called(AnatPasteTransform(), wrap(images.view(*leading, 1, 96, 80)))
    assert result.shape == (*leading, 1, 96, 80)
    assert torch.equal(result.as_subclass(torch.Tensor).reshape(images.shape), augmented(images).image)


@pytest.mark.parametrize("dtype", [torch.uint8, *FLOATS])
def test_the_input_is_never_modified(dtype):
    images = batch(channels=3, dtype=dtype)
    sample = {"image": tv_tensors.Image(images), "mask": AnomalyMask(torch.zeros(6, 1, 96, 80))}
    AnatPasteTransform()(sample)
    AnatPasteTransform().augment(images)
    assert torch.equal(images, batch(channels=3, dtype=dtype))
    assert not sample["mask"].any()


# structures


@pytest.mark.parametrize(
    "build",
    [
        lambda image: image,
        lambda image: (image, 1),
        lambda image: [image, "name", None],
        lambda image: {"image": image, "label": 3},
        lambda image: {"pair": [{"image": image}, (1.5, "x")], "meta": {}},
        lambda image: Sample(image, {"age": 30}),
    ],
)
def test_the_structure_comes_back(build):
    image = tv_tensors.Image(batch()[0])
    result = called(AnatPasteTransform(), build(image))
    expected = build(called(AnatPasteTransform(), image))
    assert torch.utils._pytree.tree_structure(result) == torch.utils._pytree.tree_structure(expected)
    for ours, theirs in zip(*map(torch.utils._pytree.tree_leaves, (result, expected)), strict=True):
        assert type(ours) is type(theirs)
        assert torch.equal(ours, theirs) if isinstance(ours, torch.Tensor) else ours == theirs


def test_several_arguments_come_back_as_a_tuple():
    result = called(AnatPasteTransform(), batch()[0], 7)
    assert isinstance(result, tuple)
    assert result[1] == 7


def test_everything_else_passes_through_as_the_identical_object():
    others = {
        "mask": tv_tensors.Mask(torch.ones(96, 80, dtype=torch.uint8)),
        "boxes": tv_tensors.BoundingBoxes(torch.ones(1, 4), format="XYXY", canvas_size=(96, 80)),
        "tensor": torch.arange(3),
        "array": np.zeros(3),
        "label": 10**9,
        "name": "person1_bacteria_1",
        "thing": object(),
        "lungs": LungMask(torch.ones(96, 80, dtype=torch.bool)),
    }
    result = AnatPasteTransform()({**others, "image": tv_tensors.Image(batch()[0])})
    assert all(result[name] is value for name, value in others.items())


def test_the_first_of_several_plain_tensors_is_the_image():
    images, labels = batch(), torch.arange(6)
    result, passed = called(AnatPasteTransform(), (images, labels))
    assert torch.equal(result, augmented(images).image)
    assert passed is labels


def test_images_of_one_sample_share_their_parameters():
    images = batch(1)
    sample = [tv_tensors.Image(images[0]), tv_tensors.Image(images[0].expand(3, -1, -1)), tvf.to_pil_image(images[0])]
    gray, rgb, picture = called(AnatPasteTransform(jitter=0), sample)
    assert torch.equal(gray, augmented(images, jitter=0).image[0])
    assert torch.equal(rgb, gray.expand(3, -1, -1))
    assert torch.equal(tvf.pil_to_tensor(picture), gray)


def test_the_lung_mask_of_a_sample_is_that_of_its_first_image():
    first, second = batch(2)
    constant = torch.full_like(second, 90)
    params = called(AnatPasteTransform().make_params, [tv_tensors.Image(first), tv_tensors.Image(constant)])
    assert torch.equal(params["lung_mask"], LungSegmenter()(first.unsqueeze(0)))


# masks in the sample


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float32, torch.float16])
@pytest.mark.parametrize("order", [("mask", "image"), ("image", "mask")])
@pytest.mark.parametrize("leading", [(), (1,)])
def test_an_anomaly_mask_is_written_wherever_it_stands(dtype, order, leading):
    images = batch(1)
    parts = {"image": tv_tensors.Image(images[0]), "mask": AnomalyMask(torch.ones(*leading, 96, 80).to(dtype))}
    result = called(AnatPasteTransform(), {name: parts[name] for name in order})
    expected = augmented(images)
    written = expected.soft_mask if dtype.is_floating_point else expected.anomaly_mask
    assert type(result["mask"]) is AnomalyMask
    assert result["mask"].dtype == dtype
    assert result["mask"].shape == (*leading, 96, 80)
    assert torch.equal(result["mask"].reshape(96, 80), written[0, 0].to(dtype))
    assert torch.equal(result["image"], expected.image[0])


@pytest.mark.parametrize("shape", [(6, 96, 80), (6, 1, 96, 80), (2, 3, 96, 80)])
def test_an_anomaly_mask_of_a_batch_has_any_leading_dimensions(shape):
    images = batch()
    _, mask = called(AnatPasteTransform(), images, AnomalyMask(torch.zeros(shape, dtype=torch.bool)))
    assert torch.equal(mask.reshape(images.shape), augmented(images).anomaly_mask)


def test_the_anomaly_mask_of_an_image_left_alone_is_empty():
    image, mask = AnatPasteTransform(p=0)(batch()[0], AnomalyMask(torch.ones(96, 80, dtype=torch.bool)))
    assert torch.equal(image, batch()[0])
    assert not mask.any()


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8])
@pytest.mark.parametrize("order", [("lungs", "image"), ("image", "lungs")])
def test_a_lung_mask_is_read_wherever_it_stands(dtype, order):
    image = tv_tensors.Image(torch.full((1, 96, 80), 200, dtype=torch.uint8))
    lungs = torch.zeros(96, 80, dtype=dtype)
    lungs[30:60, 20:50] = 1
    parts = {"image": image, "lungs": LungMask(lungs)}
    result = called(AnatPasteTransform(), {name: parts[name] for name in order})
    torch.manual_seed(0)
    expected = AnatPasteTransform().augment(image.as_subclass(torch.Tensor)[None], lungs[None])
    assert torch.equal(result["image"], expected.image[0])
    assert (result["image"] != image).any()
    assert not (result["image"] != image)[..., lungs == 0].any()
    assert result["lungs"] is parts["lungs"]


def test_the_lung_masks_of_a_batch_belong_to_their_images():
    images = batch()
    lungs = torch.rand(6, 96, 80, generator=torch.Generator().manual_seed(0)) < 0.5
    result, _ = called(AnatPasteTransform(), images, LungMask(lungs))
    torch.manual_seed(0)
    assert torch.equal(result, AnatPasteTransform().augment(images, lungs).image)


# augment


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, *FLOATS])
def test_augment_returns_all_there_is_to_know(channels, dtype):
    images = batch(channels=channels, dtype=dtype)
    result = AnatPasteTransform().augment(images)
    assert isinstance(result, AnatPasteResult)
    assert result.image.dtype == dtype
    assert result.image.shape == images.shape
    assert result.soft_mask.dtype == torch.float32
    assert result.anomaly_mask.dtype == result.lung_mask.dtype == result.settled.dtype == torch.bool
    assert result.soft_mask.shape == result.anomaly_mask.shape == result.lung_mask.shape == (6, 1, 96, 80)
    assert torch.equal(result.anomaly_mask, result.soft_mask > 0)
    assert torch.equal(result.lung_mask, LungSegmenter()(images))
    assert result.settled.all()
    assert result.settled.shape == (6,)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, *FLOATS])
def test_only_the_anomaly_mask_changes_and_only_lungs(channels, dtype):
    images = batch(channels=channels, dtype=dtype)
    result = augmented(images)
    outside = ~result.anomaly_mask.expand_as(images)
    assert torch.equal(bits(result.image)[outside], bits(images)[outside])
    assert (result.image != images).flatten(1).any(1).all()
    assert not (result.anomaly_mask & ~result.lung_mask)[~result.params.anywhere].any()


def test_each_image_of_a_batch_is_augmented_in_its_own_way():
    image = batch(1)
    result = augmented(image.expand(20, -1, -1, -1))
    assert len({tuple(changed.flatten().tolist()) for changed in result.image}) == 20


def test_a_call_is_repeated_bit_for_bit_by_its_parameters():
    images, transform = batch(channels=3, dtype=torch.float32), AnatPasteTransform(p=0.7)
    first = transform.augment(images)
    assert equal(first, transform.augment(images, params=first.params))
    rows = first.params.rows(slice(2, 4))
    assert torch.equal(transform.augment(images[2:4], params=rows).image, first.image[2:4])


def test_augment_is_paste_with_its_parameters():
    images = batch(channels=3)
    result = augmented(images)
    image, soft = paste(images, result.params, result.lung_mask, Intensities(0.0, 255.0))
    assert torch.equal(image, result.image)
    assert torch.equal(soft, result.soft_mask)


@pytest.mark.parametrize("shape", [(6, 96, 80), (6, 1, 96, 80)])
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64])
def test_a_finished_lung_mask_takes_the_place_of_the_segmenter(shape, dtype):
    def never(images):
        raise AssertionError("called in spite of a mask")

    mask = torch.zeros(shape, dtype=dtype)
    mask[..., 40:60, 30:50] = 1 if dtype == torch.bool else 9
    result = AnatPasteTransform(segmenter=never).augment(batch(), mask)
    assert torch.equal(result.lung_mask, mask.view(6, 1, 96, 80) > 0)
    assert not (result.anomaly_mask & ~result.lung_mask).any()


def test_any_callable_takes_the_place_of_the_segmenter():
    given_images = []

    def left_half(images):
        given_images.append(images)
        return (torch.arange(80) < 40).expand(len(images), 1, 96, 80)

    images = batch(dtype=torch.float32)
    result = AnatPasteTransform(segmenter=left_half, mean=[0.5], std=[0.5]).augment((images - 0.5) / 0.5)
    assert not result.anomaly_mask[..., 40:].any()
    # The normalisation is undone for it. Tolerance: 1e-6.
    torch.testing.assert_close(given_images[0], images, rtol=0, atol=1e-6)


def test_a_network_takes_the_place_of_the_segmenter_without_a_gradient():
    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, images):
            self.result = self.layer(images)
            return self.result > self.result.mean()

    network = Network()
    transform = AnatPasteTransform(segmenter=network)
    transform.augment(batch(dtype=torch.float32))
    assert not network.result.requires_grad
    assert "(segmenter): Network(" in repr(transform)


# p, ablations, images without lungs


def test_p_is_drawn_for_each_image():
    images = batch(8).repeat(50, 1, 1, 1)
    result = augmented(images, p=0.4)
    changed = (result.image != images).flatten(1).any(1)
    assert torch.equal(changed, result.params.apply)
    assert torch.equal(changed, result.anomaly_mask.flatten(1).any(1))
    assert 120 < changed.sum() < 200


def test_without_segmentation_the_lungs_do_not_matter():
    result = augmented(batch(40), segmentation=False)
    lungs = LungSegmenter()(batch(40))
    assert result.lung_mask is None
    assert result.params.anywhere.all()
    assert not result.params.fallback.any()
    assert (result.anomaly_mask & ~lungs).any()


def test_without_blur_the_mask_has_one_value():
    result = augmented(batch(), blur=False)
    for mask, opacity in zip(result.soft_mask, result.params.opacity, strict=True):
        assert mask[mask > 0].unique().tolist() == [opacity.item()]


def test_without_both_the_shape_is_hard_and_anywhere():
    result = augmented(batch(), blur=False, segmentation=False)
    assert not result.params.sigma.any()
    assert result.params.anywhere.all()


def test_an_image_without_lungs_is_pasted_into_anywhere_and_says_so():
    images = batch(3)
    images[1] = torch.arange(96).view(96, 1)  # a ramp: its dark side touches the border
    result = augmented(images)
    assert result.params.fallback.tolist() == [False, True, False]
    assert result.anomaly_mask[1].any()
    assert (result.image[1] != images[1]).any()


def test_an_image_without_lungs_can_be_left_alone():
    images = batch(3)
    images[1] = torch.arange(96).view(96, 1)
    result = augmented(images, skip_without_lungs=True)
    assert result.params.fallback.tolist() == [False, True, False]
    assert torch.equal(result.image[1], images[1])
    assert not result.anomaly_mask[1].any()


# randomness


def test_a_seed_repeats_and_the_next_call_does_not():
    transform, images = AnatPasteTransform(), batch()
    first = called(transform, images)
    second = transform(images)
    assert torch.equal(called(transform, images), first)
    assert not torch.equal(second, first)


def test_a_generator_repeats_and_leaves_the_global_one_alone():
    transform, images = AnatPasteTransform(), batch()
    before = torch.get_rng_state()
    first, second = (transform.augment(images, generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


def test_loader_workers_and_epochs_differ_and_a_seed_repeats_them():
    """Every image is the same: a pair of equal results would be a pair of equal random numbers.

    The transform has run in this process before, as in a notebook that shows one sample first: a forked worker must
    not wait for threads that did not come along.
    """
    pictures = batch(1)[0].expand(12, -1, -1, -1)
    AnatPasteTransform()(pictures)
    collate = v2.Compose([default_collate, AnatPasteTransform()])

    def epochs():
        torch.manual_seed(0)
        loader = DataLoader(pictures, batch_size=2, num_workers=2, collate_fn=collate, timeout=60)
        return torch.cat([images for _ in range(2) for images in loader])

    first = epochs()
    assert len({tuple(image.flatten().tolist()) for image in first}) == 24
    assert torch.equal(epochs(), first)


# in a pipeline


def test_before_and_after_conversion_the_same_happens():
    """Tolerance: 0.51 grey levels, for the rounding of uint8; 1e-5 between float and normalised images."""
    convert, normalize = v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.4], [0.2])
    images = tv_tensors.Image(batch())
    first = called(v2.Compose([AnatPasteTransform(), convert, normalize]), images)
    middle = called(v2.Compose([convert, AnatPasteTransform(), normalize]), images)
    last = called(v2.Compose([convert, normalize, AnatPasteTransform(mean=[0.4], std=[0.2])]), images)
    torch.testing.assert_close(first, middle, rtol=0, atol=0.51 / 255 / 0.2)
    torch.testing.assert_close(middle, last, rtol=0, atol=1e-5)


def test_a_pil_pipeline_ends_in_a_batch():
    pipeline = v2.Compose([AnatPasteTransform(), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    pictures = [tvf.to_pil_image(image) for image in batch()]
    result = default_collate([pipeline({"image": picture, "label": 0}) for picture in pictures])
    assert result["image"].shape == (6, 1, 96, 80)
    assert result["label"].tolist() == [0] * 6


def test_augment_follows_default_collate():
    samples = [(tv_tensors.Image(image), 0) for image in batch()]
    images, labels = default_collate(samples)
    assert torch.equal(augmented(images).image, augmented(batch()).image)
    assert labels.tolist() == [0] * 6


@pytest.mark.parametrize("value_range", [(-1024.0, 3071.0), (-1.0, 1.0), (0.0, 255.0)])
def test_another_range_gives_the_same_image_in_that_range(value_range):
    """Tolerance: 1e-5 of the range."""
    black, white = value_range
    images = batch(channels=3, dtype=torch.float32)
    result = augmented(images * (white - black) + black, value_range=value_range).image
    expected = augmented(images).image * (white - black) + black
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5 * (white - black))


def test_gradients_flow_through_augment():
    images = batch(2, dtype=torch.float32).requires_grad_()
    AnatPasteTransform().augment(images).image.sum().backward()
    assert images.grad.isfinite().all()
    assert images.grad.any()


def test_autocast_keeps_the_dtype_and_the_pixels():
    images = batch(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = augmented(images)
    assert equal(inside, augmented(images))


# repr, pickling


SETTINGS = {
    "p": 0.25,
    "segmentation": False,
    "blur": False,
    "skip_without_lungs": True,
    "value_range": (-1.0, 1.0),
    "mean": (0.5,),
    "std": (0.25,),
    "area": (0.03, 0.04),
    "aspect_ratio": (0.5, 2.0),
    "jitter": 0.2,
    "margin": 5.0,
    "opacity": (0.7, 0.8),
    "sigma": (1.0, 2.0),
}


def test_repr_shows_every_setting():
    assert {*SETTINGS, "segmenter"} == set(inspect.signature(AnatPasteTransform).parameters)
    shown = repr(AnatPasteTransform(**SETTINGS))
    for name, value in SETTINGS.items():
        assert re.search(rf"\b{name}={re.escape(repr(value))}", shown)
    assert "(segmenter): LungSegmenter(min_size=400.0)" in shown


def test_repr_shows_a_segmenter_that_is_a_function():
    assert f"segmenter={len!r}" in repr(AnatPasteTransform(segmenter=len))


@pytest.mark.parametrize("call_first", [False, True])
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda transform: pickle.loads(pickle.dumps(transform))])
def test_a_copy_does_the_same_before_and_after_a_call(duplicate, call_first):
    transform, images = AnatPasteTransform(p=0.8, sigma=(0, 5)), batch()
    if call_first:
        transform(images)
    twin = duplicate(transform)
    assert repr(twin) == repr(transform)
    assert torch.equal(called(twin, images), called(transform, images))


def test_parameters_and_results_can_be_pickled():
    result = augmented(batch())
    assert equal(pickle.loads(pickle.dumps(result)), result)


def test_results_do_not_refer_to_one_another():
    transform, images = AnatPasteTransform(), batch()
    first = transform.augment(images)
    kept = first.image.clone()
    transform.augment(images).image.zero_()
    assert torch.equal(first.image, kept)


def test_mode_and_state_of_a_module_do_not_matter():
    transform, images = AnatPasteTransform(), batch()
    assert not transform.state_dict()
    assert torch.equal(called(transform.eval(), images), called(transform.train(), images))


# errors


def raises(kind, *parts):
    """One error whose message has all the parts, in their order."""
    return pytest.raises(kind, match="(?s)" + ".*".join(map(re.escape, parts)))


@pytest.mark.parametrize(
    "sample",
    [
        np.zeros((64, 64)),
        {"a": "x", "b": 3},
        (),
        LungMask(torch.zeros(64, 64)),
        [tv_tensors.Mask(torch.zeros(64, 64)), None],
        # torchvision passes a plain tensor through beside a video.
        [tv_tensors.Video(torch.zeros(2, 1, 64, 64, dtype=torch.uint8)), torch.zeros(1, 64, 64)],
    ],
)
def test_a_sample_without_an_image(sample):
    with raises(TypeError, "AnatPasteTransform found no image in the sample", "plain tensor", "to_image"):
        AnatPasteTransform()(sample)


@pytest.mark.parametrize("shape", [(64, 64), (64,), ()])
def test_a_tensor_that_is_no_image(shape):
    with raises(ValueError, "an image tensor must have shape (..., C, H, W)", f"got {shape}"):
        AnatPasteTransform()(torch.zeros(shape))


def test_channels_that_stand_last():
    with raises(ValueError, "got (1, 64, 64, 3)", "permute"):
        AnatPasteTransform()(torch.zeros(64, 64, 3))


@pytest.mark.parametrize(
    ("mode", "remedy"),
    [("RGBA", "convert"), ("P", "convert"), ("1", "convert"), ("I;16", "float tensor"), ("F", "float tensor")],
)
def test_a_pil_image_of_another_mode(mode, remedy):
    with raises(ValueError, "PIL images must be of mode L or RGB", f"got {mode}", remedy):
        AnatPasteTransform()(Image.new(mode, (64, 64)))


def test_a_small_image():
    with raises(ValueError, "at least 32×32", "got 16×20", "resize"):
        AnatPasteTransform()(Image.new("L", (20, 16)))


@pytest.mark.parametrize(
    "sample",
    [
        [tv_tensors.Image(torch.zeros(1, 64, 64)), tv_tensors.Image(torch.zeros(1, 64, 48))],
        [tv_tensors.Image(torch.zeros(1, 64, 64)), Image.new("L", (32, 32))],
        [tv_tensors.Image(torch.zeros(2, 1, 64, 64)), tv_tensors.Image(torch.zeros(1, 64, 64))],
    ],
)
def test_two_images_of_different_size(sample):
    with raises(ValueError, "the images of one sample must be of one size", "got (B, H, W) = ["):
        AnatPasteTransform()(sample)


@pytest.mark.parametrize("kind", [LungMask, AnomalyMask])
@pytest.mark.parametrize("shape", [(32, 64), (2, 64, 64)])
def test_a_mask_that_does_not_fit(kind, shape):
    with raises(ValueError, f"{kind.__name__} has shape {shape}, which does not fit", "(1, 64, 64)"):
        AnatPasteTransform()(torch.zeros(1, 64, 64), kind(torch.zeros(shape, dtype=torch.bool)))


def test_two_lung_masks():
    lungs = LungMask(torch.zeros(64, 64, dtype=torch.bool))
    with raises(ValueError, "a sample may hold one LungMask, got 2"):
        AnatPasteTransform()(torch.zeros(1, 64, 64), lungs, lungs)


def test_a_lung_mask_of_floats():
    with raises(TypeError, "must be boolean or integer, got torch.float32", "mask > 0.5"):
        AnatPasteTransform()(torch.zeros(1, 64, 64), LungMask(torch.zeros(64, 64)))


@pytest.mark.parametrize("call", [AnatPasteTransform.__call__, AnatPasteTransform.augment])
def test_values_outside_the_range(call):
    with raises(ValueError, "images have values in [0, 200], outside value_range=(0, 1)", "mean= and std="):
        call(AnatPasteTransform(), torch.arange(0, 201.0).view(1, 1, 1, 201).expand(1, 1, 64, -1))


@pytest.mark.parametrize("call", [AnatPasteTransform.__call__, AnatPasteTransform.augment])
def test_normalised_images_of_a_wrong_kind(call):
    with raises(TypeError, "mean and std are set", "got torch.uint8"):
        call(AnatPasteTransform(mean=[0.5], std=[0.5]), batch())
    with raises(ValueError, "mean has 3 values for images of 1 channels"):
        call(AnatPasteTransform(mean=[0.5] * 3, std=[0.5] * 3), batch(dtype=torch.float32))


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"generator": 3}, TypeError, "generator must be a torch.Generator, got int"),
        ({"params": 3}, TypeError, "params must be the AnatPasteParams of an earlier result, got int"),
        ({"lung_mask": 3}, TypeError, "lung_mask must be a torch.Tensor, got int"),
        ({"lung_mask": torch.zeros(6, 96, 80)}, TypeError, "lung_mask must be boolean or integer, got torch.float32"),
    ],
)
def test_wrong_arguments_of_augment(arguments, kind, message):
    with raises(kind, message):
        AnatPasteTransform().augment(batch(), **arguments)


def test_parameters_of_another_call():
    with raises(ValueError, "params hold 6 rows for 2 images"):
        AnatPasteTransform().augment(batch(2), params=augmented(batch()).params)
    with raises(ValueError, "params were drawn for larger images than 32×32"):
        AnatPasteTransform().augment(batch(6, size=(32, 32)), params=augmented(batch()).params)


@pytest.mark.parametrize(
    ("result", "kind", "message"),
    [
        (torch.zeros(6, 1, 96, 80), TypeError, "the segmenter's result must be boolean or integer"),
        (torch.zeros(6, 1, 9, 9) > 0, ValueError, "the segmenter's result must have shape (6, 1, 96, 80)"),
        (None, TypeError, "the segmenter's result must be a torch.Tensor, got NoneType"),
    ],
)
def test_a_segmenter_with_a_wrong_result(result, kind, message):
    with raises(kind, message):
        AnatPasteTransform(segmenter=lambda images: result).augment(batch())


def test_impossible_settings():
    with raises(TypeError, "segmenter must be callable or None", "pass a finished mask to augment"):
        AnatPasteTransform(segmenter=torch.zeros(1, 1, 64, 64))
    with raises(ValueError, "p must be a number in [0, 1], got 2"):
        AnatPasteTransform(p=2)
    with raises(ValueError, "value_range must be (black, white) with black < white, got (1, 0)"):
        AnatPasteTransform(value_range=(1, 0))
    with raises(TypeError, "unexpected keyword argument 'sigmas'"):
        AnatPasteTransform(sigmas=(0, 15))
