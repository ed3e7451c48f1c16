"""CutPaste with any parameters: on the CPU's way and on that of accelerators."""

import math

import torch
from anatpaste_aug.functional.cutpaste import _on_whole_frames
from hypothesis import given
from hypothesis import strategies as st
from invariants import same, untouched
from strategies import FLOATS, batches, cutpaste_rows, seeds

from anatpaste_aug import CutPasteTransform
from anatpaste_aug.functional import Intensities, cutpaste, cutpaste_mask

ranges = st.sampled_from([(0.0, 1.0), (-1.0, 1.0), (0.0, 1e-30), (-1e30, 1e30), (1e4, 1e4 + 1)])


def case(batch, seed, value_range=(0.0, 1.0)):
    images, (black, white) = batch.images(), value_range
    params = cutpaste_rows(seed, len(batch), *batch.size)
    if images.dtype == torch.uint8:
        return images, params, Intensities(0.0, 255.0)
    if value_range != (0.0, 1.0):
        images = (images.double() * (white - black) + black).to(images.dtype)
    return images, params, Intensities(black, white)


@given(seeds, batches(), ranges)
def test_both_ways_agree_and_leave_all_else_alone(seed, batch, value_range):
    """Tolerance: 1 level for uint8, 1e-5 of the range for floats, 2 steps of the dtype where they are coarser."""
    images, params, intensities = case(batch, seed, value_range)
    if not images.isfinite().all():
        return  # half precision has no such range
    with untouched(images, *params):
        (image, mask), (other, other_mask) = (f(images, params, intensities) for f in (cutpaste, _on_whole_frames))
    assert torch.equal(mask, other_mask)
    assert torch.equal(mask, cutpaste_mask(params, *batch.size))
    low, high = intensities.black, intensities.white
    slack = (
        0.0
        if images.dtype == torch.uint8
        else max(1e-5 * (high - low), 2 * torch.finfo(images.dtype).eps * max(-low, high))
    )
    for result in (image, other):
        assert (result.shape, result.dtype) == (images.shape, images.dtype)
        outside = ~mask.expand_as(images)
        assert same(result[outside], images[outside])
        assert ((result.double() >= low - slack) & (result.double() <= high + slack)).all()
    torch.testing.assert_close(image.double(), other.double(), rtol=0, atol=max(slack, images.dtype == torch.uint8))


@given(seeds, batches(least=1))
def test_a_batch_is_its_images(seed, batch):
    images, params, intensities = case(batch, seed)
    result, mask = cutpaste(images, params, intensities)
    for i in range(len(batch)):
        one = slice(i, i + 1)
        image, own = cutpaste(images[one], params.rows(one), intensities)
        assert same(image, result[one])
        assert same(own, mask[one])


@given(seeds, batches(dtypes=FLOATS, least=1), st.sampled_from([math.nan, math.inf, -0.0]))
def test_what_is_not_pasted_keeps_its_bits_whatever_they_say(seed, batch, value):
    images, params, intensities = case(batch, seed)
    images = images.clone()
    images[torch.rand(images.shape, generator=torch.Generator().manual_seed(seed)) < 0.1] = value
    for function in (cutpaste, _on_whole_frames):
        result, mask = function(images, params, intensities)
        outside = ~mask.expand_as(images)
        assert same(result[outside], images[outside])


@given(seeds, batches(dtypes=[torch.float32, torch.float64], least=1))
def test_gradients_are_finite_and_one_where_nothing_is_cut_or_pasted(seed, batch):
    images, params, intensities = case(batch, seed)
    for function in (cutpaste, _on_whole_frames):
        given_images = images.clone().requires_grad_()
        result, mask = function(given_images, params, intensities)
        (gradient,) = torch.autograd.grad(result.sum(), given_images)
        assert gradient.isfinite().all()
        for i in range(len(batch)):
            untouched_ = ~mask[i, 0].clone()
            top, left = int(params.source_top[i]), int(params.source_left[i])
            untouched_[top : top + int(params.height[i]), left : left + int(params.width[i])] = False
            assert (gradient[i][:, untouched_] == 1).all()


@given(batches(), st.sampled_from(["normal", "scar", "union"]), st.floats(0, 1), seeds)
def test_the_transform_repeats_itself_and_labels_what_it_changed(batch, variant, p, seed):
    images = batch.images()
    transform = CutPasteTransform(p, variant=variant)
    with untouched(images):
        result = transform.augment(images, generator=torch.Generator().manual_seed(seed))
    again = transform.augment(images, params=result.params)
    assert same(result.image, again.image)
    assert torch.equal(result.label, result.params.apply.long())
    assert torch.equal(result.anomaly_mask.flatten(1).any(1), result.params.apply)
