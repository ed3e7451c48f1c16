"""Segmentation of anything: masks of the right kind, the same on both paths, image by image."""

from functools import partial

import pytest
import torch
from fuzz.invariants import same, untouched
from fuzz.strategies import FLOATS, batches, seeds
from helpers.code_paths import on_both_paths
from helpers.oracles import remove_small
from hypothesis import given
from hypothesis import strategies as st

from anatpaste_aug import CTLungSegmenter, FixedMask, LungFieldSegmenter, LungSegmenter, ThresholdSegmenter
from anatpaste_aug.functional import segment_lung_field, segment_lungs
from anatpaste_aug.segmentation import Difference, Intersection, PerSide, Union

min_sizes = st.sampled_from([0.0, 1.0, 400.0, 1e6, float("inf")]) | st.floats(0, 3000)
algorithms = st.sampled_from([segment_lungs, segment_lung_field])


def check(mask, converged, images):
    """A valid mask of these images; a constant image has no lungs."""
    batch, _, height, width = images.shape
    assert (mask.shape, mask.dtype, mask.device) == ((batch, 1, height, width), torch.bool, images.device)
    assert converged.shape == (batch,)
    assert converged.all()
    assert not mask.requires_grad


@given(batches(), algorithms)
def test_masks_are_the_same_on_both_paths(batch, algorithm):
    images = batch.images()
    with untouched(images):
        (mask, converged), (other, other_converged) = on_both_paths(partial(algorithm, return_converged=True), images)
    check(mask, converged, images)
    check(other, other_converged, images)
    assert torch.equal(mask, other)


@given(batches(least=1), algorithms)
def test_a_batch_is_its_images(batch, algorithm):
    images = batch.images()
    for mask, image in zip(algorithm(images), images, strict=True):
        assert torch.equal(algorithm(image.unsqueeze(0))[0], mask)


@given(batches(least=1), algorithms)
def test_memory_gradients_and_repetition_make_no_difference(batch, algorithm):
    images = batch.images()
    mask = algorithm(images)
    plain = images.clone(memory_format=torch.contiguous_format)
    assert torch.equal(algorithm(plain), mask)
    if images.is_floating_point():
        check(*algorithm(plain.requires_grad_(), return_converged=True), images)


@given(batches(least=1), min_sizes)
def test_no_component_is_smaller_than_the_smallest_that_stays(batch, min_size):
    images = batch.images()
    height, width = batch.size
    found, all_of_them = segment_lungs(images, min_size=min_size), segment_lungs(images, min_size=0)
    for mask, everything in zip(found[:, 0].numpy(), all_of_them[:, 0].numpy(), strict=True):
        assert (mask == remove_small(everything, min_size * height * width / 256**2)).all()


@given(batches(least=1, channels=[1]), algorithms)
def test_three_equal_channels_are_one(batch, algorithm):
    images = batch.images()
    assert torch.equal(algorithm(images.expand(-1, 3, -1, -1)), algorithm(images))


@given(batches(dtypes=[torch.float32, torch.float64], least=1), st.integers(-90, 90), algorithms)
def test_a_power_of_two_changes_nothing(batch, exponent, algorithm):
    """Exact, because floating point scales by it without rounding."""
    images = batch.images()
    images = (images * 2**16).round() / 2**16  # so that none becomes a denormal
    mask = algorithm(images)
    for found in on_both_paths(algorithm, images * 2.0**exponent):
        assert torch.equal(found, mask)


@given(batches(least=1, layouts=["contiguous"]))
def test_a_transposed_image_has_the_transposed_mask(batch):
    images = batch.images()
    for found in on_both_paths(segment_lungs, images.mT):
        assert torch.equal(found.mT, segment_lungs(images))


@given(
    batches(dtypes=[torch.float32, torch.float64], least=1, kinds=["noise", "chest"], layouts=["contiguous"]),
    st.sampled_from([1.7e38, 1e38, 1e30, 1e-30, 1e-38, 1e-42]),
    st.booleans(),
)
def test_every_finite_range_has_a_mask(batch, scale, centerd):
    """The same mask as in the middle of the range; rounding at the denormal end may move a few pixels of it."""
    images = batch.images()
    scaled = (2 * images - 1 if centerd else images) * scale
    assert scaled.isfinite().all()
    for mask in on_both_paths(segment_lungs, scaled):
        different = (mask != segment_lungs(images)).double().mean((1, 2, 3))
        assert (different <= 0.02).all() or scale < 1e-38


@given(
    batches(dtypes=FLOATS, least=2, layouts=["contiguous"]),
    st.sampled_from([float("nan"), float("inf"), -float("inf")]),
    seeds,
)
def test_an_image_that_is_not_finite_is_named_and_harms_no_other(batch, value, seed):
    images = batch.images()
    expected = segment_lungs(images)
    where = torch.randint(images[0].numel(), (1,), generator=torch.Generator().manual_seed(seed))
    images[1].view(-1)[where] = value
    for mask in on_both_paths(segment_lungs, images):
        assert torch.equal(mask[0], expected[0])
        assert torch.equal(mask[2:], expected[2:])
    for segmenter in (LungSegmenter(), LungFieldSegmenter(), ThresholdSegmenter(), CTLungSegmenter()):
        with pytest.raises(ValueError, match=r"images \[1\] of the batch contain NaN or infinity"):
            segmenter(images)


thresholds = st.builds(
    ThresholdSegmenter,
    st.just("otsu") | st.floats(-1, 2) | st.integers(0, 255),
    polarity=st.sampled_from(["dark", "bright"]),
    opening=st.sampled_from([0, 4, 40, 256]) | st.floats(0, 30),
    closing=st.sampled_from([0, 4, 40, 256]) | st.floats(0, 30),
    fill=st.booleans(),
    clear_border=st.booleans(),
    min_size=st.sampled_from([0, 1, 1e300]) | st.floats(0, 2000),
    keep=st.none() | st.integers(1, 5) | st.just(10**6),
)
ct = st.builds(
    CTLungSegmenter,
    threshold=st.floats(-1000, 1000),
    slope=st.floats(1e-3, 5000),
    intercept=st.floats(-2000, 2000),
    min_size=st.floats(0, 1000),
    keep=st.none() | st.integers(1, 3),
    closing=st.floats(0, 20),
)
single = st.one_of(st.builds(LungSegmenter, min_size=min_sizes), st.builds(LungFieldSegmenter), thresholds, ct)
combined = st.one_of(
    single,
    st.builds(lambda kind, *parts: kind(*parts), st.sampled_from([Union, Intersection, Difference]), single, single),
    st.builds(PerSide, single, side=st.sampled_from(["left", "right", "both"]), keep=st.none() | st.integers(1, 4)),
)


@given(batches(), combined)
def test_segmenters_of_any_settings(batch, segmenter):
    images = batch.images()
    with untouched(images):
        (mask, converged), (other, _) = on_both_paths(segmenter.segment, images)
    check(mask, converged, images)
    assert torch.equal(mask, other)
    assert torch.equal(segmenter(images), mask)
    for image, one in zip(images, mask, strict=True):
        assert torch.equal(segmenter(image.unsqueeze(0))[0], one)


@given(batches(least=1), single, single)
def test_combinations_are_those_of_sets(batch, first, second):
    images = batch.images()
    one, other = first(images), second(images)
    assert torch.equal(Union(first, second)(images), one | other)
    assert torch.equal(Intersection(first, second)(images), one & other)
    assert torch.equal(Difference(first, second)(images), one & ~other)
    left, right = (PerSide(first, side=side, keep=None)(images) for side in ("left", "right"))
    assert torch.equal(left | right, one)
    assert not (left & right).any()


@given(batches(), batches(channels=[1], least=1, dtypes=(torch.uint8, torch.float16, torch.float64)), st.floats(0, 1))
def test_a_fixed_mask_fits_images_of_any_size(batch, of_mask, threshold):
    mask = of_mask.images()[0, 0]
    with untouched(mask):
        found = FixedMask(mask, resize=True, threshold=threshold).segment(batch.images())
    check(*found, batch.images())
    if len(batch):
        assert same(found[0][:1], found[0][-1:])
