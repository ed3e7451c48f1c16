import pytest
import torch
from helpers.oracles import smooth_images
from torch import nn

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.segmentation import (
    Difference,
    Intersection,
    PerSide,
    SegmenterModule,
    ThresholdSegmenter,
    Union,
)

IMAGES = smooth_images(4, 64, 48)
DARK, BRIGHT = ThresholdSegmenter(110), ThresholdSegmenter(90, polarity="bright")


def left(images):
    return (torch.arange(images.shape[-1]) < 20).expand(len(images), 1, *images.shape[-2:])


class OneUnconverged(SegmenterModule):
    """Segments the whole of each image, except for one that did not converge."""

    def __init__(self, row):
        super().__init__()
        self.row = row

    def find(self, images):
        converged = torch.arange(len(images)) != self.row
        return torch.ones_like(images[:, :1], dtype=torch.bool) & converged.view(-1, 1, 1, 1), converged


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Union, lambda a, b, c: a | b | c),
        (Intersection, lambda a, b, c: a & b & c),
        (Difference, lambda a, b, c: a & ~b & ~c),
    ],
)
def test_masks_are_combined_pixel_by_pixel(kind, expected):
    a, b, c = DARK(IMAGES), BRIGHT(IMAGES), left(IMAGES)
    assert torch.equal(kind(DARK, BRIGHT, left)(IMAGES), expected(a, b, c))
    pair = kind(DARK, left)(IMAGES)
    assert torch.equal(pair, expected(a, c, c))
    assert pair.any()


def test_combinations_nest_and_segment_for_the_transform():
    segmenter = Difference(Union(DARK, BRIGHT), Intersection(left, DARK))
    result = AnatPasteTransform(segmenter=segmenter).augment(IMAGES)
    assert torch.equal(result.region_mask, ~(left(IMAGES) & DARK(IMAGES)))


def test_a_network_within_is_found_by_parameters():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = nn.Parameter(torch.tensor(0.1))

        def forward(self, images):
            return images[:, :1] / 255 + self.bias > 0.5

    union = Union(Network(), DARK)
    assert len(list(union.parameters())) == 1
    assert "(1): ThresholdSegmenter(threshold=110.0" in repr(union)
    assert "side='left', keep=1" in repr(PerSide(DARK, side="left"))
    assert union(IMAGES).any()


@pytest.mark.parametrize("make", [Union, Intersection, Difference])
def test_one_mask_that_has_not_converged_empties_the_result(make):
    for pair in ((OneUnconverged(1), left), (left, OneUnconverged(1))):
        mask, converged = make(*pair).segment(IMAGES)
        assert converged.tolist() == [True, False, True, True]
        assert not mask[1].any()
    assert PerSide(OneUnconverged(2)).segment(IMAGES)[1].tolist() == [True, True, False, True]


def test_each_side_has_its_largest_component():
    image = torch.zeros(1, 1, 64, 64)
    image[..., 5:15, 5:15] = image[..., 30:40, 5:20] = 1.0  # left: 100 and 150 pixels
    image[..., 5:15, 40:44] = image[..., 50:52, 40:50] = 1.0  # right: 40 and 20
    found = ThresholdSegmenter(0.5, polarity="bright")
    both = PerSide(found)(image)
    assert both[..., :32].sum() == 150
    assert both[..., 32:].sum() == 40
    assert torch.equal(PerSide(found, keep=None)(image), found(image))
    assert torch.equal(PerSide(found, keep=2)(image), found(image))
    for side, kept, empty in (("left", slice(32), slice(32, None)), ("right", slice(32, None), slice(32))):
        mask = PerSide(found, side=side)(image)
        assert torch.equal(mask[..., kept], both[..., kept])
        assert not mask[..., empty].any()


def test_what_crosses_the_middle_is_cut_there():
    image = torch.zeros(1, 1, 64, 51)
    image[..., 30:34, :] = 1.0
    mask = PerSide(ThresholdSegmenter(0.5, polarity="bright"), side="left")(image)
    assert mask.sum() == 4 * 25


@pytest.mark.parametrize("make", [Union, Intersection, Difference])
def test_impossible_parts_are_named(make):
    with pytest.raises(ValueError, match=f"{make.__name__} needs at least two segmenters, got 1"):
        make(DARK)
    with pytest.raises(TypeError, match=r"a segmenter must be callable .* got Tensor; wrap a mask in FixedMask"):
        make(DARK, torch.ones(64, 48))
    with pytest.raises(ValueError, match="the segmenter's result must have shape"):
        make(DARK, lambda images: images[..., :5] > 0)(IMAGES)


def test_impossible_sides_are_named():
    with pytest.raises(ValueError, match="side must be one of 'left', 'right', 'both', got 'top'"):
        PerSide(DARK, side="top")
    with pytest.raises(ValueError, match="keep must be a whole number of at least 1, got 0"):
        PerSide(DARK, keep=0)
    with pytest.raises(TypeError, match="a segmenter must be callable"):
        PerSide(None)
