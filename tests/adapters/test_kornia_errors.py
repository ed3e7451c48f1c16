"""Wrong use of `KorniaPaste`, in a direct call and in a container: the error gives the remedy."""

import numpy as np
import pytest
import torch
from helpers.batches import batch, raises
from kornia import augmentation as K

from anatpaste_aug import FPITransform
from anatpaste_aug.adapters.kornia import KorniaPaste


def images(count=6, seed=0):
    return batch(count, 1, torch.float32, seed=seed)


def zeros():
    return torch.zeros(6, 1, 96, 80)


def sequence(*modules, keys=("input", "mask")):
    return K.AugmentationSequential(*modules, data_keys=keys)


@pytest.mark.parametrize(
    ("wrong", "got"), [(batch(), "got torch.uint8"), (np.zeros((1, 1, 64, 64)), "got ndarray"), (None, "got NoneType")]
)
def test_images_that_are_not_floating_point(wrong, got):
    with raises(TypeError, "KorniaPaste takes floating-point image tensors in [0, 1]", got, "divide uint8 by 255"):
        KorniaPaste()(wrong)


def test_uint8_in_a_sequence():
    with raises(TypeError, "got torch.uint8", "divide uint8 by 255"):
        sequence(KorniaPaste())(batch(), zeros())


def test_a_mask_of_another_size():
    aug = KorniaPaste()
    aug(images())
    with raises(ValueError, "mask has shape (6, 1, 48, 40)", "(6, any, 96, 80)", "resize"):
        aug.transform_masks(torch.zeros(6, 1, 48, 40), aug._params, aug.flags)


def test_a_mask_without_its_image():
    pipeline = sequence(KorniaPaste())
    pipeline(images(), zeros())
    with raises(ValueError, "depends on the image", 'data_keys=["input", "mask"]', "replays of the mask alone"):
        pipeline(zeros(), params=pipeline._params, data_keys=["mask"])


def test_a_mask_with_parameters_of_another_image():
    pipeline = sequence(KorniaPaste())
    pipeline(images(), zeros())
    params = pipeline._params
    pipeline[0](images(seed=1))
    with raises(ValueError, "depends on the image"):
        pipeline(zeros(), params=params, data_keys=["mask"])


@pytest.mark.parametrize(
    ("keys", "masks"), [(("input", "mask", "mask"), (zeros(), zeros())), (("input", "mask"), ([*zeros()],))]
)
def test_a_second_mask_and_a_list_of_masks(keys, masks):
    with raises(ValueError, "one mask tensor", "lists, second masks"):
        sequence(KorniaPaste(), keys=keys)(images(), *masks)


def test_a_call_that_failed_leaves_no_mask_behind():
    pipeline = sequence(KorniaPaste())
    pipeline(images(), data_keys=["input"])
    params = pipeline._params
    with pytest.raises(ValueError, match="outside value_range"):
        pipeline(images() * 9, zeros(), params=params)
    assert pipeline[0].result is None
    with raises(ValueError, "depends on the image"):
        pipeline(zeros(), params=params, data_keys=["mask"])


def test_parameters_of_another_augmentation():
    other = K.RandomGaussianNoise(p=1.0)
    other(images())
    with raises(ValueError, "params have no 'uniforms'", "gaussian_noise", "_params of KorniaPaste"):
        KorniaPaste()(images(), params=other._params)


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"transform": "AnatPasteTransform"}, TypeError, "transform must be a transform of this package"),
        ({"writes": "soft"}, ValueError, "writes must be 'anomaly', 'target' or a threshold in [0, 1), got 'soft'"),
        ({"writes": 1.0}, ValueError, "got 1.0"),
        ({"writes": True}, ValueError, "got True"),
        ({"p": 0.5}, TypeError, "unexpected keyword argument 'p'"),
    ],
)
def test_impossible_settings(settings, kind, message):
    with raises(kind, message):
        KorniaPaste(**settings)


def test_patches_of_other_images_need_another_image():
    with raises(ValueError, "takes patches from another image of the batch", "donors="):
        KorniaPaste(FPITransform())(images(1))
    aug = KorniaPaste(FPITransform(donors=images(3, seed=1)))
    assert (aug(images(1)) != images(1)).any()
