import pytest
import torch
from helpers.oracles import smooth_images

from anatpaste_aug import AnatPasteTransform, LungSegmenter
from anatpaste_aug.functional import segment_lung_field, segment_lungs
from anatpaste_aug.segmentation import LungFieldSegmenter


@pytest.mark.parametrize("settings", [{}, {"min_size": 3000}])
def test_the_segmenter_equals_the_function(settings):
    images = smooth_images(4, 96, 80)
    mask, converged = segment_lungs(images, **settings, return_converged=True)
    found, found_converged = LungSegmenter(**settings).segment(images)
    assert torch.equal(found, mask)
    assert torch.equal(found_converged, converged)
    assert mask.any()


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
