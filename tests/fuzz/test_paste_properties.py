"""Pasting with any parameters that fit the images: in range, in place, the same on both paths."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from invariants import on_both_paths, same, untouched, without_numba
from strategies import FLOATS, batches, lung_kinds, lungs_for, rows, seeds

from anatpaste_aug.functional import Intensities, blend, paste, soft_mask

ranges = st.sampled_from(
    [(0.0, 1.0), (-1.0, 1.0), (-1024.0, 3071.0), (0.0, 1e-30), (0.0, 1e30), (-1e30, 1e30), (1e4, 1e4 + 1)]
)
STEPS = {torch.uint8: 1, torch.float16: 2**-10, torch.bfloat16: 2**-7}


def case(batch, lung_kind, seed, value_range=(0.0, 1.0)):
    """Images, parameters, lungs and intensities."""
    images, (black, white) = batch.images(), value_range
    if images.dtype == torch.uint8:
        return images, rows(seed, len(batch), *batch.size), lungs_for(images, lung_kind, seed), None
    if value_range != (0.0, 1.0):
        images = (images.double() * (white - black) + black).to(images.dtype)
    return (
        images,
        rows(seed, len(batch), *batch.size),
        lungs_for(images, lung_kind, seed),
        Intensities(black, white),
    )


def tolerance(images, intensities):
    """1 level for uint8; 1e-5 of the range for floats, and one step of the dtype where it is coarser."""
    if intensities is None:
        return 1.0
    span = intensities.white - intensities.black
    largest = max(abs(intensities.black), abs(intensities.white))
    return max(1e-5 * span, 2 * torch.finfo(images.dtype).eps * largest)


@given(seeds, lung_kinds, batches())
def test_soft_masks_are_shares_within_the_lungs(seed, lung_kind, batch):
    """Both paths: 1e-6 apart at most."""
    images = batch.images()
    params, lungs = rows(seed, len(batch), *batch.size), lungs_for(images, lung_kind, seed)
    with untouched(*params, lungs):
        found = on_both_paths(soft_mask, params, *batch.size, lungs)
    for mask in found:
        assert (mask.shape, mask.dtype) == ((len(batch), 1, *batch.size), torch.float32)
        assert ((mask >= 0) & (mask <= 1)).all()
        assert not mask[~params.apply].any()
        if lungs is not None:
            assert not (mask[~params.anywhere] * ~lungs[~params.anywhere]).any()
    torch.testing.assert_close(*found, rtol=0, atol=1e-6)


@given(seeds, lung_kinds, batches(), ranges)
def test_pasting_stays_in_range_and_changes_nothing_outside_the_mask(seed, lung_kind, batch, value_range):
    images, params, lungs, intensities = case(batch, lung_kind, seed, value_range)
    if intensities is not None and intensities.white > torch.finfo(images.dtype).max:
        return  # half precision has no such range
    with untouched(images, lungs, *params):
        found = on_both_paths(paste, images, params, lungs, intensities)
    slack = tolerance(images, intensities)
    low, high = (0, 255) if intensities is None else (intensities.black - slack, intensities.white + slack)
    for result, mask in found:
        assert (result.shape, result.dtype) == (images.shape, images.dtype)
        outside = (mask == 0).expand_as(images)
        assert same(result[outside], images[outside])
        assert result.isfinite().all()
        assert ((result >= low) & (result <= high)).all()
    torch.testing.assert_close(found[0][0].double(), found[1][0].double(), rtol=0, atol=slack)


@given(seeds, lung_kinds, batches(least=1))
def test_a_batch_is_its_images(seed, lung_kind, batch):
    """Compiled bit for bit; the torch code within 1e-6, and one step of the dtype where it is coarser."""
    images, params, lungs, intensities = case(batch, lung_kind, seed)
    (compiled, mask), (result, _) = on_both_paths(paste, images, params, lungs, intensities)
    for i in range(len(batch)):
        one = slice(i, i + 1)
        alone = images[one], params.rows(one), None if lungs is None else lungs[one], intensities
        (image, own_mask), (other, _) = on_both_paths(paste, *alone)
        assert same(image, compiled[one])
        assert same(own_mask, mask[one])
        torch.testing.assert_close(other.double(), result[one].double(), rtol=0, atol=STEPS.get(images.dtype, 1e-6))


@given(seeds, lung_kinds, batches(least=1))
def test_a_replay_of_a_copy_gives_the_same_bits(seed, lung_kind, batch):
    images, params, lungs, intensities = case(batch, lung_kind, seed)
    first = on_both_paths(paste, images, params, lungs, intensities)
    copy = images.clone(memory_format=torch.contiguous_format)
    second = on_both_paths(paste, copy, params, lungs, intensities)
    assert same(first[0][0], second[0][0])
    assert same(first[0][1], second[0][1])
    torch.testing.assert_close(first[1][0], second[1][0], rtol=0, atol=STEPS.get(images.dtype, 1e-6))


@given(seeds, batches(dtypes=FLOATS, least=1), st.sampled_from([math.nan, math.inf, -math.inf, -0.0]))
def test_what_is_outside_the_mask_keeps_its_bits_whatever_they_say(seed, batch, value):
    images, params, lungs, intensities = case(batch, "halves", seed)
    images = images.clone()
    images[torch.rand(images.shape, generator=torch.Generator().manual_seed(seed)) < 0.1] = value
    for result, mask in on_both_paths(paste, images, params, lungs, intensities):
        outside = (mask == 0).expand_as(images)
        assert same(result[outside], images[outside])


@given(seeds, lung_kinds, batches(dtypes=[torch.float32, torch.float64], least=1))
def test_gradients_are_the_weights_of_the_image(seed, lung_kind, batch):
    """1 − X_mask outside the patch that is cut, to 1e-6; finite everywhere, and through half precision as well."""
    images, params, lungs, intensities = case(batch, lung_kind, seed)
    images = images.clone().requires_grad_()
    result, mask = paste(images, params, lungs, intensities)
    (gradient,) = torch.autograd.grad(result.sum(), images)
    assert gradient.isfinite().all()
    for i in range(len(batch)):
        outside = torch.ones(batch.size, dtype=torch.bool)
        top, left = int(params.source_top[i]), int(params.source_left[i])
        outside[top : top + int(params.height[i]), left : left + int(params.width[i])] = False
        expected = (1 - mask[i]).to(gradient.dtype).expand_as(gradient[i])
        torch.testing.assert_close(gradient[i][:, outside], expected[:, outside], rtol=0, atol=1e-6)
    with torch.no_grad():
        compiled = paste(images.detach(), params, lungs, intensities)[0]
    torch.testing.assert_close(result.detach(), compiled, rtol=0, atol=1e-5)


@given(seeds, lung_kinds, batches(dtypes=[torch.float32, torch.float64], least=1))
def test_normalising_and_pasting_commute(seed, lung_kind, batch):
    """Tolerance: 1e-5 of the normalised range."""
    images, params, lungs, _ = case(batch, lung_kind, seed)
    rng = torch.Generator().manual_seed(seed)
    mean = tuple(torch.rand(batch.channels, generator=rng).tolist())
    std = tuple((0.05 + torch.rand(batch.channels, generator=rng)).tolist())
    normal = Intensities(0.0, 1.0, mean, std)
    for path in on_both_paths(paste, images, params, lungs)[0], on_both_paths(paste, images, params, lungs)[1]:
        last = normal.from_unit(path[0])
        for first, _ in on_both_paths(paste, normal.from_unit(images), params, lungs, normal):
            torch.testing.assert_close(first, last, rtol=0, atol=1e-5 / min(std))


@given(seeds, batches(least=1), st.data())
def test_blending_with_any_mask_stays_between_the_image_and_the_patch(seed, batch, data):
    """A mask of one's own, where the shape of the parameters reaches; weight 0 everywhere is the image itself."""
    images, params, lungs, intensities = case(batch, "full", seed)
    mask = soft_mask(params, *batch.size, lungs)
    mask = mask * data.draw(st.sampled_from([0.0, 0.5, 1.0]))
    low, high = (0, 255) if intensities is None else (-1e-6, 1 + 1e-6)
    for result in on_both_paths(blend, images, mask, params, intensities):
        assert ((result >= low) & (result <= high)).all()
        if not mask.any():
            assert same(result, images.contiguous())


FIELDS = ("height", "width", "source_top", "source_left", "center_y", "center_x", "margin", "sigma")


@given(seeds, batches(least=1), st.sampled_from(FIELDS), st.sampled_from([-1, 2000, -(2**40), 2**40, math.nan]))
def test_parameters_beyond_the_images_are_named_by_the_kernels(seed, batch, field, value):
    images, params, _, intensities = case(batch, "none", seed)
    if (math.isnan(value) and field != "sigma") or (field in ("margin", "sigma") and value > 0):
        return
    given_field = getattr(params, field).clone()
    given_field[0] = value
    wrong = params._replace(**{field: given_field})
    with pytest.raises(ValueError, match=r"params \[0\] lie outside images of"):
        paste(images, wrong, None, intensities)
    with without_numba():  # fixed shapes on an accelerator: no error, but no way out of the image either
        result = paste(images, wrong, None, intensities)[0]
    assert result.shape == images.shape
