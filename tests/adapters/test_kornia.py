"""`KorniaPaste` in kornia's own containers."""

import copy
import pickle

import pytest
import torch
from helpers.batches import augmented, batch, called
from helpers.guards import DeviceGuard, all_on_device, fake_device
from helpers.oracles import bits
from kornia import augmentation as K

from anatpaste_aug import AnatPasteTransform, LungSegmenter, NSATransform
from anatpaste_aug.adapters.kornia import KorniaPaste


def images(count=6, channels=1, dtype=torch.float32, **settings):
    return batch(count, channels, dtype, **settings)


def zeros(count=6, channels=1, dtype=torch.float32):
    return torch.zeros(count, channels, 96, 80, dtype=dtype)


def sequence(*modules, keys=("input", "mask"), **settings):
    return K.AugmentationSequential(*modules, data_keys=keys, **settings)


# a direct call


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("p", [1.0, 0.5])
def test_a_direct_call_is_augment(p, dtype, channels):
    x = images(channels=channels, dtype=dtype)
    aug = KorniaPaste(AnatPasteTransform(p=p))
    assert aug.result is None
    result, expected = called(aug, x), augmented(x, p=p)
    assert torch.equal(bits(result), bits(expected.image))
    assert torch.equal(bits(aug.result.image), bits(expected.image))
    assert torch.equal(aug.result.soft_mask, expected.soft_mask)
    for ours, theirs in zip(aug.result.params, expected.params, strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(x, images(channels=channels, dtype=dtype))


def test_given_lungs():
    left = (torch.arange(80) < 40).expand(6, 1, 96, 80)
    aug = KorniaPaste()
    result = aug(images(), region_mask=left)
    assert torch.equal(aug.result.region_mask, left)
    assert not (result != images())[..., 40:].any()
    assert torch.equal(aug(images(), params=aug._params), result)


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("shape", [(96, 80), (1, 96, 80), (3, 96, 80), (1, 1, 96, 80)])
def test_keepdim_keeps_the_shape(shape, keepdim):
    x = images(1, 3 if shape[0] == 3 else 1).reshape(shape)
    result = called(KorniaPaste(keepdim=keepdim), x)
    expected = augmented(x.view(1, -1, 96, 80)).image
    assert torch.equal(result, expected.view(shape) if keepdim else expected)


def test_same_on_batch():
    x = images(1).expand(4, -1, -1, -1)
    aug = KorniaPaste(AnatPasteTransform(p=0.5), same_on_batch=True)
    results = [aug(x) for _ in range(12)]
    assert all(torch.equal(result, result[:1].expand(4, -1, -1, -1)) for result in results)
    changed = [bool((result != x).any()) for result in results]
    assert any(changed)
    assert not all(changed)


@pytest.mark.parametrize("same_on_batch", [False, True])
def test_an_empty_batch(same_on_batch):
    image, mask = sequence(KorniaPaste(same_on_batch=same_on_batch))(images(0), zeros(0))
    assert image.shape == mask.shape == (0, 1, 96, 80)


def test_gradients_flow_and_the_result_does_not_hold_them():
    x = images(2).requires_grad_()
    aug = KorniaPaste(AnatPasteTransform(p=0.5))
    aug(x).sum().backward()
    assert x.grad.isfinite().all()
    assert x.grad.any()
    assert not aug.result.image.requires_grad


# what is written


def test_the_target_of_a_recipe_is_written():
    transform = NSATransform(p=0.5)
    expected = called(transform.augment, images())
    image, mask = called(sequence(KorniaPaste(transform, writes="target")), images(), zeros())
    assert torch.equal(image, expected.image)
    assert torch.equal(mask, expected.target)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float32])
def test_a_threshold_writes_a_smaller_mask(dtype):
    _, mask = called(sequence(KorniaPaste(writes=0.3)), images(), zeros(dtype=dtype))
    assert torch.equal(mask, (augmented(images()).target > 0.3).to(dtype))


# replay


@pytest.mark.parametrize("settings", [{}, {"p": 0.5}, {"segmentation": False}])
def test_parameters_repeat_a_call_bit_for_bit(settings):
    aug = KorniaPaste(AnatPasteTransform(**settings))
    first, params = aug(images()), aug._params
    result, state = aug.result, torch.get_rng_state()
    aug(images(seed=1))
    torch.set_rng_state(state)
    assert torch.equal(bits(aug(images(), params=params)), bits(first))
    assert torch.equal(aug.result.soft_mask, result.soft_mask)
    assert torch.equal(torch.get_rng_state(), state)
    stored = pickle.loads(pickle.dumps(params))
    assert torch.equal(KorniaPaste(AnatPasteTransform(**settings))(images(), params=stored), first)


def test_a_gate_can_be_set_by_hand():
    aug = KorniaPaste()
    params = aug.forward_parameters((6, 1, 96, 80))
    params["batch_prob"] = torch.tensor([1.0, 0, 1, 0, 0, 1])
    result = aug(images(), params=params)
    changed = (result != images()).flatten(1).any(1)
    assert changed.tolist() == [True, False, True, False, False, True]
    assert torch.equal(aug.result.anomaly_mask.flatten(1).any(1), changed)


# masks


@pytest.mark.parametrize("p", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float32])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_mask_of_a_sequence_is_the_anomaly_mask(channels, dtype, p):
    pipeline = sequence(KorniaPaste(AnatPasteTransform(p=p)))
    image, mask = called(pipeline, images(), zeros(channels=channels, dtype=dtype))
    expected = augmented(images(), p=p)
    assert torch.equal(image, expected.image)
    assert mask.dtype == dtype
    assert torch.equal(mask, expected.anomaly_mask.expand(-1, channels, -1, -1).to(dtype))
    for _ in range(2):
        again, mask_again = pipeline(images(), zeros(channels=channels, dtype=dtype), params=pipeline._params)
        assert torch.equal(again, image)
        assert torch.equal(mask_again, mask)


@pytest.mark.parametrize("shape", [(6, 96, 80), (1, 1, 96, 80), (96, 80)])
def test_a_mask_of_another_rank(shape):
    _, mask = called(sequence(KorniaPaste()), images(), torch.zeros(shape, dtype=torch.bool))
    assert torch.equal(mask, augmented(images()).anomaly_mask)


def test_a_mask_that_stands_before_its_image():
    pipeline = sequence(KorniaPaste(AnatPasteTransform(p=0.5)), keys=None)
    result = called(pipeline, {"mask": zeros(), "image": images(), "name": "study"})
    expected = augmented(images(), p=0.5)
    assert torch.equal(result["image"], expected.image)
    assert torch.equal(result["mask"], expected.anomaly_mask.float())
    assert result["name"] == "study"


def test_geometry_before_and_after_moves_the_mask_along():
    """Flips move pixels exactly, so the mask fits the difference to the image that was only flipped."""
    flips = K.RandomHorizontalFlip(), K.RandomVerticalFlip()
    pipeline = sequence(flips[0], KorniaPaste(AnatPasteTransform(p=0.7)), flips[1])
    image, mask = pipeline(images(), zeros())
    alone, _ = sequence(*flips)(
        images(), zeros(), params=[pipeline._params[0], pipeline._params[2]._replace(name="RandomVerticalFlip_1")]
    )
    changed = image != alone
    assert changed.any()
    assert not (changed & (mask == 0)).any()
    assert torch.equal(mask.flatten(1).any(1), changed.flatten(1).any(1))


def test_in_a_video():
    video = images().view(2, 3, 1, 96, 80)
    result, mask = sequence(K.VideoSequential(KorniaPaste(), same_on_frame=True))(video, torch.zeros_like(video))
    assert not ((result != video) & (mask == 0)).any()
    assert mask.flatten(2).any(2).all()


def test_labels_and_boxes_stay_as_they_are():
    boxes, labels = torch.tensor([[[1.0, 2, 30, 40]]]).expand(6, -1, -1), torch.arange(6)
    _, passed_boxes, passed = sequence(KorniaPaste(), keys=("input", "bbox_xyxy", "label"))(images(), boxes, labels)
    assert torch.equal(passed_boxes, boxes)
    assert torch.equal(passed, labels)


# copies


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_a_copy_does_the_same_and_has_no_images(duplicate):
    pipeline = sequence(KorniaPaste(AnatPasteTransform(p=0.5, sigma=(0, 5))))
    pipeline(images(40, size=(96, 80)), zeros(40))
    twin = duplicate(pipeline)
    assert twin[0].result is None
    assert repr(twin) == repr(pipeline)
    for ours, theirs in zip(called(twin, images(), zeros()), called(pipeline, images(), zeros()), strict=True):
        assert torch.equal(ours, theirs)
    assert pipeline[0].result is not None


def test_repr_shows_the_transform():
    transform = AnatPasteTransform(p=0.25, blur=False, segmenter=LungSegmenter(min_size=9))
    aug = KorniaPaste(transform, same_on_batch=True, keepdim=True)
    assert repr(aug) == f"KorniaPaste({transform!r}, same_on_batch=True, keepdim=True, writes='anomaly')"
    assert "p=0.25" in repr(aug)
    assert "blur=False" in repr(aug)


# on an accelerator


@pytest.mark.parametrize(("p", "channels"), [(1.0, 1), (0.5, 3)])
def test_nothing_waits_for_the_device(p, channels):
    aug = KorniaPaste(AnatPasteTransform(p=p))
    with fake_device(), DeviceGuard():
        x = torch.zeros(4, channels, 96, 80, device="cuda")
        assert all_on_device([aug(x), aug._params["uniforms"], aug._params["batch_prob"], *aug.result])
        assert all_on_device(aug(x, params=aug._params))


def test_nothing_waits_in_a_container_that_was_moved_to_the_device():
    pipeline = sequence(KorniaPaste(AnatPasteTransform(p=0.5)))
    with fake_device():
        pipeline.to("cuda")
        with DeviceGuard():
            x, mask = torch.zeros(4, 1, 96, 80, device="cuda"), torch.zeros(4, 1, 96, 80, device="cuda")
            assert all_on_device(pipeline(x, mask))
            assert all_on_device([pipeline._params[0].data["uniforms"], pipeline._params[0].data["batch_prob"]])


def test_parameters_that_a_container_drew_elsewhere_are_moved():
    with fake_device():
        x, mask = torch.zeros(4, 1, 96, 80, device="cuda"), torch.zeros(4, 1, 96, 80, device="cuda")
        pipeline = sequence(KorniaPaste(AnatPasteTransform(p=0.5)))
        assert all_on_device(pipeline(x, mask))
        assert all_on_device(pipeline[0].result.params)
