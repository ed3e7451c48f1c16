from collections import OrderedDict, defaultdict, namedtuple

import numpy as np
import pytest
import torch
from helpers.batches import augmented, batch, called, raises
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as tvf

from anatpaste_aug import AnatPasteTransform, AnomalyMask, LungSegmenter, RegionMask

FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
Sample = namedtuple("Sample", ["picture", "label"])


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
        lambda image: OrderedDict(image=image, label=3),
        lambda image: defaultdict(list, image=image, label=[1, 2]),
        lambda image: {"study": Sample({"views": [image]}, ()), "age": None},
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
        "video": tv_tensors.Video(torch.zeros(2, 1, 96, 80, dtype=torch.uint8)),
        "tensor": torch.arange(3),
        "scalar": torch.tensor(3),
        "another image": torch.zeros(1, 96, 80),
        "array": np.zeros(3),
        "label": 10**9,
        "name": "person1_bacteria_1",
        "thing": object(),
        "lungs": RegionMask(torch.ones(96, 80, dtype=torch.bool)),
    }
    if hasattr(tv_tensors, "KeyPoints"):  # torchvision has them since 0.23
        others["points"] = tv_tensors.KeyPoints(torch.ones(1, 2), canvas_size=(96, 80))
    for image in (tv_tensors.Image(batch()[0]), tvf.to_pil_image(batch()[0])):
        result = AnatPasteTransform()({**others, "image": image})
        assert all(result[name] is value for name, value in others.items())
        assert list(result) == [*others, "image"]


@pytest.mark.parametrize("label", [torch.tensor(3), torch.arange(6), torch.ones(6, 4)])
def test_labels_and_boxes_pass_through_before_a_plain_image_too(label):
    images = batch()
    result = called(AnatPasteTransform(), {"label": label, "image": images})
    assert result["label"] is label
    assert torch.equal(result["image"], augmented(images).image)


def test_images_of_one_sample_share_their_parameters():
    images = batch(1)
    sample = [tv_tensors.Image(images[0]), tv_tensors.Image(images[0].expand(3, -1, -1)), tvf.to_pil_image(images[0])]
    gray, rgb, picture = called(AnatPasteTransform(jitter=0), sample)
    assert torch.equal(gray, augmented(images, jitter=0).image[0])
    assert torch.equal(rgb, gray.expand(3, -1, -1))
    assert torch.equal(tvf.pil_to_tensor(picture), gray)


def test_the_region_mask_of_a_sample_is_that_of_its_first_image():
    first, second = batch(2)
    constant = torch.full_like(second, 90)
    params = called(AnatPasteTransform().make_params, [tv_tensors.Image(first), tv_tensors.Image(constant)])
    assert torch.equal(params["result"].region_mask, LungSegmenter()(first.unsqueeze(0)))


# masks in the sample


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float32, torch.float16])
@pytest.mark.parametrize("order", [("mask", "image"), ("image", "mask")])
@pytest.mark.parametrize("leading", [(), (1,)])
def test_an_anomaly_mask_is_written_wherever_it_stands(dtype, order, leading):
    images = batch(1)
    parts = {"image": tv_tensors.Image(images[0]), "mask": AnomalyMask(torch.zeros(*leading, 96, 80).to(dtype))}
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


def test_every_anomaly_mask_is_written_and_no_other():
    image, human = tv_tensors.Image(batch()[0]), tv_tensors.Mask(torch.ones(96, 80, dtype=torch.bool))
    masks = [AnomalyMask(torch.zeros(96, 80, dtype=dtype)) for dtype in (torch.bool, torch.float32)]
    hard, passed, _, soft = called(AnatPasteTransform(), [masks[0], human, image, masks[1]])
    assert passed is human
    assert torch.equal(hard, soft > 0)
    assert hard.any()


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8])
@pytest.mark.parametrize("order", [("lungs", "image"), ("image", "lungs")])
def test_a_region_mask_is_read_wherever_it_stands(dtype, order):
    image = tv_tensors.Image(torch.full((1, 96, 80), 200, dtype=torch.uint8))
    lungs = torch.zeros(96, 80, dtype=dtype)
    lungs[30:60, 20:50] = 1
    parts = {"image": image, "lungs": RegionMask(lungs)}
    result = called(AnatPasteTransform(), {name: parts[name] for name in order})
    torch.manual_seed(0)
    expected = AnatPasteTransform().augment(image.as_subclass(torch.Tensor)[None], lungs[None])
    assert torch.equal(result["image"], expected.image[0])
    assert (result["image"] != image).any()
    assert not (result["image"] != image)[..., lungs == 0].any()
    assert result["lungs"] is parts["lungs"]


def test_the_region_masks_of_a_batch_belong_to_their_images():
    images = batch()
    lungs = torch.rand(6, 96, 80, generator=torch.Generator().manual_seed(0)) < 0.5
    result, _ = called(AnatPasteTransform(), images, RegionMask(lungs))
    torch.manual_seed(0)
    assert torch.equal(result, AnatPasteTransform().augment(images, lungs).image)


# errors


@pytest.mark.parametrize(
    "sample",
    [
        np.zeros((64, 64)),
        {"a": "x", "b": 3},
        (),
        RegionMask(torch.zeros(64, 64)),
        [tv_tensors.Mask(torch.zeros(64, 64)), None],
        # torchvision passes a plain tensor through beside a video.
        [tv_tensors.Video(torch.zeros(2, 1, 64, 64, dtype=torch.uint8)), torch.zeros(1, 64, 64)],
    ],
)
def test_a_sample_without_an_image(sample):
    with raises(TypeError, "found no image in the sample", "plain tensor of shape (..., C, H, W)", "to_image"):
        AnatPasteTransform()(sample)


@pytest.mark.parametrize("shape", [(64, 64), (64,), ()])
def test_a_tensor_that_is_no_image(shape):
    with raises(TypeError, "found no image", "plain tensor of shape (..., C, H, W)", "unsqueeze(0)"):
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


@pytest.mark.parametrize(
    "sample",
    [
        [tv_tensors.Image(torch.zeros(1, 64, 64)), tv_tensors.Image(torch.zeros(1, 64, 48))],
        [tv_tensors.Image(torch.zeros(1, 64, 64)), Image.new("L", (32, 32))],
        [tv_tensors.Image(torch.zeros(2, 1, 64, 64)), tv_tensors.Image(torch.zeros(1, 64, 64))],
    ],
)
def test_two_images_of_different_size(sample):
    with raises(ValueError, "the images of one sample must have the same size", "got (B, H, W) = ["):
        AnatPasteTransform()(sample)


@pytest.mark.parametrize("kind", [RegionMask, AnomalyMask])
@pytest.mark.parametrize("shape", [(32, 64), (2, 64, 64)])
def test_a_mask_that_does_not_fit(kind, shape):
    with raises(ValueError, f"{kind.__name__} has shape {shape}, which does not match", "(1, 64, 64)"):
        AnatPasteTransform()(torch.zeros(1, 64, 64), kind(torch.zeros(shape, dtype=torch.bool)))


def test_two_region_masks():
    lungs = RegionMask(torch.zeros(64, 64, dtype=torch.bool))
    with raises(ValueError, "a sample may hold one RegionMask, got 2"):
        AnatPasteTransform()(torch.zeros(1, 64, 64), lungs, lungs)
