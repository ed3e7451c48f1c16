import pytest
import torch
from helpers.oracles import smooth_images

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.segmentation import SegmenterModule, segment_with


class SecondUnconverged(SegmenterModule):
    def find(self, images):
        converged = torch.arange(len(images)) != 1
        return (images[:, :1] > 0) & converged.view(-1, 1, 1, 1), converged


def test_a_plain_callable_has_always_converged():
    images = smooth_images(3, 64, 64)
    mask, converged = segment_with(lambda x: x[:, 0] > 100, images)
    assert torch.equal(mask, images > 100)
    assert converged.tolist() == [True, True, True]


def test_a_module_reports_which_masks_have_converged():
    images = smooth_images(3, 64, 64)
    assert segment_with(SecondUnconverged(), images)[1].tolist() == [True, False, True]
    result = AnatPasteTransform(segmenter=SecondUnconverged()).augment(images)
    assert result.params.apply[:, 0].tolist() == [True, False, True]
    assert result.label.tolist() == [1, 0, 1]
    assert not result.region_mask[1].any()
    assert torch.equal(result.image[1], images[1])


def test_a_method_that_happens_to_be_called_segment_is_not_called():
    class Other:
        def segment(self, images):
            raise AssertionError

        def __call__(self, images):
            return images[:, :1] > 100

    assert segment_with(Other(), smooth_images(1, 64, 64))[0].any()


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (torch.zeros(2, 1, 64, 64), TypeError, "the segmenter's result must be boolean or integer, got torch.float32"),
        (torch.zeros(2, 1, 32, 64).bool(), ValueError, r"result must have shape \(2, 1, 64, 64\)"),
        (None, TypeError, "result must be a torch.Tensor, got NoneType"),
    ],
)
def test_a_result_that_is_no_mask_is_an_error(result, error, message):
    with pytest.raises(error, match=message):
        segment_with(lambda images: result, smooth_images(2, 64, 64))


def test_a_module_checks_its_images_and_records_no_gradient():
    class Bare(SegmenterModule):
        def find(self, images):
            assert not torch.is_grad_enabled()
            return images[:, :1] > 0, torch.ones(len(images), dtype=torch.bool)

    assert not Bare()(torch.rand(1, 1, 64, 64, requires_grad=True)).requires_grad
    with pytest.raises(ValueError, match="images must have shape"):
        Bare()(torch.rand(64, 64))
    with pytest.raises(ValueError, match="contain NaN or infinity"):
        Bare()(torch.full((1, 1, 64, 64), float("nan")))


def test_a_module_without_find_says_what_to_write():
    with pytest.raises(
        NotImplementedError, match=r"SegmenterModule must implement find\(images\) -> \(mask, converged\)"
    ):
        SegmenterModule()(torch.rand(1, 1, 64, 64))
