import pytest
import torch
from helpers.oracles import smooth_images

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.segmentation import FixedMask

IMAGES = smooth_images(3, 64, 48)


def disc(height, width):
    y, x = torch.linspace(-1, 1, height).view(-1, 1), torch.linspace(-1, 1, width)
    return x**2 + y**2 < 0.5


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.int64, torch.float32, torch.float64, torch.float16])
@pytest.mark.parametrize("leading", [(), (1,)])
def test_every_image_has_the_mask(kind, leading):
    mask = disc(64, 48).view(*leading, 64, 48)
    found = FixedMask(mask.to(kind))(IMAGES)
    assert found.dtype == torch.bool
    assert torch.equal(found, disc(64, 48).expand(3, 1, 64, 48))


def test_an_atlas_is_cut_at_its_threshold():
    atlas = torch.linspace(0, 1, 48).expand(64, 48)
    assert torch.equal(FixedMask(atlas, threshold=0.8)(IMAGES)[0, 0], atlas >= 0.8)


@pytest.mark.parametrize("size", [(128, 96), (32, 40), (100, 33)])
def test_a_mask_is_resized_to_the_images(size):
    """Tolerance: 4 % of the pixels, at the disc's edge."""
    found = FixedMask(disc(64, 48), resize=True)(torch.zeros(2, 3, *size))
    assert found.shape == (2, 1, *size)
    assert (found[0, 0] != disc(*size)).float().mean() < 0.04


def test_images_of_another_size_are_an_error_otherwise():
    with pytest.raises(ValueError, match="the fixed mask is 64×48 and the images are 96×96; pass resize=True"):
        FixedMask(disc(64, 48))(torch.zeros(1, 1, 96, 96))


def test_the_mask_is_a_copy_and_part_of_the_state():
    mask = disc(64, 48)
    segmenter = FixedMask(mask)
    mask.zero_()
    assert segmenter(IMAGES).any()
    other = FixedMask(torch.zeros(64, 48))
    other.load_state_dict(segmenter.state_dict())
    assert torch.equal(other(IMAGES), segmenter(IMAGES))
    assert AnatPasteTransform(segmenter=segmenter).to("meta").segmenter.mask.device.type == "meta"
    assert repr(other) == "FixedMask(mask=(64, 48), resize=False, threshold=0.5)"


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        ([[1]], TypeError, "mask must be a torch.Tensor, got list; use torch.as_tensor"),
        (torch.zeros(2, 64, 64), ValueError, r"mask must have shape \(H, W\) or \(1, H, W\), got \(2, 64, 64\)"),
        (torch.zeros(64), ValueError, r"got \(64,\)"),
        (torch.zeros(0, 4), ValueError, r"got \(0, 4\)"),
        (
            torch.full((4, 4), 255.0),
            ValueError,
            r"an atlas must have values in \[0, 1\]; to use nonzero values as a mask",
        ),
        (torch.full((4, 4), float("nan")), ValueError, "an atlas must have values"),
        (torch.zeros(4, 4, dtype=torch.complex64), TypeError, "got torch.complex64"),
    ],
)
def test_an_impossible_mask_is_named(mask, error, message):
    with pytest.raises(error, match=message):
        FixedMask(mask)


def test_an_impossible_threshold_is_named():
    with pytest.raises(ValueError, match=r"threshold must be a number in \[0, 1\], got 2"):
        FixedMask(torch.zeros(4, 4), threshold=2)
