import pytest
import torch
from helpers.oracles import smooth_images

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


@pytest.mark.parametrize("value", [-1, float("nan")])
def test_an_impossible_size_is_named(value):
    with pytest.raises(ValueError, match=f"min_size must be a finite number of at least 0, got {value}"):
        LungSegmenter(min_size=value)


def test_the_lung_field_equals_the_function_and_works_in_the_transform():
    images = smooth_images(4, 96, 80)
    mask, converged = segment_lung_field(images, return_converged=True)
    assert mask.any()
    found, found_converged = LungFieldSegmenter().segment(images)
    assert torch.equal(found, mask)
    assert torch.equal(found_converged, converged)
    assert torch.equal(AnatPasteTransform(segmenter=LungFieldSegmenter()).augment(images).region_mask, mask)
    assert repr(LungFieldSegmenter()) == "LungFieldSegmenter()"
