import copy
import pickle

import pytest
import torch
from oracles import smooth_images

from anatpaste_aug import AnatPasteTransform, LungSegmenter
from anatpaste_aug.functional import segment_lung_field, segment_lungs
from anatpaste_aug.segmentation import LungFieldSegmenter


def test_the_segmenter_equals_the_function():
    images = smooth_images(4, 96, 80)
    mask, converged = segment_lungs(images, return_converged=True)
    assert torch.equal(LungSegmenter()(images), mask)
    assert torch.equal(LungSegmenter().segment(images)[1], converged)
    assert mask.any()


def test_the_smallest_component_is_a_setting():
    images = smooth_images(4, 96, 80)
    mask = LungSegmenter(min_size=3000)(images)
    assert torch.equal(mask, segment_lungs(images, min_size=3000))
    assert mask.sum() < LungSegmenter()(images).sum()


def test_masks_carry_no_gradient():
    images = (smooth_images(2, 64, 64) / 255).requires_grad_()
    assert not LungSegmenter()(images).requires_grad


def test_nothing_is_learned_and_nothing_is_random():
    segmenter = LungSegmenter()
    assert not list(segmenter.parameters())
    assert not segmenter.state_dict()
    before = torch.get_rng_state()
    segmenter(smooth_images(1, 64, 64))
    assert torch.equal(torch.get_rng_state(), before)


def test_repr_and_copies():
    segmenter = LungSegmenter(min_size=123.0)
    assert repr(segmenter) == "LungSegmenter(min_size=123.0)"
    for twin in (copy.deepcopy(segmenter), pickle.loads(pickle.dumps(segmenter))):
        assert twin.min_size == 123.0


@pytest.mark.parametrize("value", [-1, float("nan")])
def test_an_impossible_size_is_named(value):
    with pytest.raises(ValueError, match=f"min_size must be a finite number of at least 0, got {value}"):
        LungSegmenter(min_size=value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_images_that_are_not_finite_are_an_error(value):
    images = smooth_images(4, 64, 64) / 255
    images[2, 0, 5, 5] = value
    with pytest.raises(ValueError, match=r"images \[2\] of the batch contain NaN or infinity; repair or drop them"):
        LungSegmenter()(images)


def test_a_wrong_batch_is_named():
    with pytest.raises(ValueError, match=r"images must have shape \(B, 1, H, W\) or \(B, 3, H, W\), got \(64, 64\)"):
        LungSegmenter()(torch.zeros(64, 64))


def test_the_lung_field_equals_the_function_and_works_in_the_transform():
    images = smooth_images(4, 96, 80)
    mask, converged = segment_lung_field(images, return_converged=True)
    assert mask.any()
    found, found_converged = LungFieldSegmenter().segment(images)
    assert torch.equal(found, mask)
    assert torch.equal(found_converged, converged)
    assert torch.equal(AnatPasteTransform(segmenter=LungFieldSegmenter()).augment(images).region_mask, mask)
    assert repr(LungFieldSegmenter()) == "LungFieldSegmenter()"


def test_a_wrong_batch_for_the_lung_field_is_named():
    with pytest.raises(ValueError, match="images must be at least 32×32"):
        LungFieldSegmenter()(torch.zeros(1, 1, 16, 64))
