"""Pasting in any way with any parameters that fit the images: in range, in place, the same on all paths."""

import math

import torch
from fuzz.invariants import attempt, same, untouched
from fuzz.strategies import FLOATS, Batch, Way, batches, region_for, region_kinds, rows, seeds, small_sizes, ways
from helpers.code_paths import as_accelerators, on_all_paths, on_both_paths
from hypothesis import example, given
from hypothesis import strategies as st

from anatpaste_aug.functional import Intensities, paste, soft_mask

ranges = st.sampled_from(
    [(0.0, 1.0), (-1.0, 1.0), (-1024.0, 3071.0), (0.0, 1e-30), (0.0, 1e30), (-1e30, 1e30), (1e4, 1e4 + 1)]
)
CONTINUOUS = ("alpha", "poisson")
"""Ways to blend in which a rounding changes no more than a rounding: no gradient is compared with another one."""


def case(batch, way, seed, kind="none", value_range=(0.0, 1.0), donors=0):
    """Images, parameters, regions, intensities, and the other arguments of `paste`; without donors if 0."""
    images, (black, white) = batch.images(), value_range
    whole = images.dtype == torch.uint8
    if not whole and value_range != (0.0, 1.0):
        images = (images.double() * (white - black) + black).to(images.dtype)
    intensities = None if whole else Intensities(black, white)
    sources = images[torch.arange(donors) % len(images)].flip(2) if donors and len(images) else None
    params = rows(seed, len(batch), *batch.size, way, None if sources is None else donors)
    region = region_for(images, kind, seed)
    return (images, params, region, intensities), {"sources": sources, **way.choices()}


def tolerance(images, intensities, way=Way()):  # noqa: B008 - a frozen one
    """1 level for uint8; 1e-5 of the range for floats, and one step of the dtype where it is coarser.

    1e-4 of the range where Poisson's equation is solved, because its solution sums roundings of float32 up.
    """
    if intensities is None:
        return 1.0
    span = intensities.white - intensities.black
    largest = max(abs(intensities.black), abs(intensities.white))
    return max((1e-5 if way.blend == "alpha" else 1e-4) * span, 2 * torch.finfo(images.dtype).eps * largest)


@given(seeds, region_kinds, batches(), ways(blends=["alpha"]))
def test_soft_masks_are_shares_within_the_regions(seed, kind, batch, way):
    """All paths: 1e-6 apart at most."""
    (_, params, region, _), _ = case(batch, way, seed, kind)
    with untouched(*params, region):
        found = on_all_paths(soft_mask, params, *batch.size, region, hard=way.hard, rotated=way.rotated)
    for mask in found:
        assert (mask.shape, mask.dtype) == ((len(batch), 1, *batch.size), torch.float32)
        assert ((mask >= 0) & (mask <= 1)).all()
        assert not mask[~params.apply.any(1)].any()
        if region is not None:
            bound = ~params.anywhere.any(1)
            assert not (mask[bound] * ~region[bound]).any()
        torch.testing.assert_close(mask, found[0], rtol=0, atol=1e-6)
    for k in range(way.patches):
        one = type(params)(*(field[:, k : k + 1] for field in params))
        own = soft_mask(one, *batch.size, region, hard=way.hard, rotated=way.rotated)
        assert (found[0][own > 0] > 0).all()  # however small


@example(2, "none", Batch((32, 32), ("black",), dtype=torch.uint8), Way(blend="poisson", patches=2), (0.0, 1.0), 0)
@given(seeds, region_kinds, batches(sizes=small_sizes), ways(), ranges, st.integers(0, 3))
def test_pasting_stays_in_range_and_changes_nothing_outside_the_mask(seed, kind, batch, way, value_range, donors):
    arguments, choices = case(batch, way, seed, kind, value_range, donors)
    images, params, region, intensities = arguments
    if intensities is not None and intensities.white > torch.finfo(images.dtype).max:
        return  # half precision has no such range
    with untouched(images, region, *params, choices["sources"]):
        found = on_all_paths(paste, *arguments, **choices)
    slack = tolerance(images, intensities, way)
    low, high = (0, 255) if intensities is None else (intensities.black - slack, intensities.white + slack)
    for result, mask in found:
        assert (result.shape, result.dtype) == (images.shape, images.dtype)
        outside = (mask == 0).expand_as(images)
        assert same(result[outside], images[outside])
        assert result.isfinite().all()
        assert ((result >= low) & (result <= high)).all()
        torch.testing.assert_close(mask, found[0][1], rtol=0, atol=1e-6)
        if way.blend in CONTINUOUS:
            torch.testing.assert_close(result.double(), found[0][0].double(), rtol=0, atol=slack)


@given(seeds, batches(sizes=small_sizes), ways(blends=["poisson_stronger", "poisson_mixed"]), st.integers(1, 3))
def test_gradients_are_compared_alike_on_all_paths(seed, batch, way, donors):
    """Whole numbers that are copied have no roundings: 1 level for uint8, 1e-4 of the range for floats."""
    way = Way(**{**vars(way), "jittered": False, "resized": False, "patches": 1})
    batch = type(batch)(**{**vars(batch), "dtype": torch.uint8})
    arguments, choices = case(batch, way, seed, donors=donors)
    found = on_all_paths(paste, *arguments, **choices)
    for result, _ in found:
        torch.testing.assert_close(result.double(), found[0][0].double(), rtol=0, atol=1)


@example(
    0,
    "none",
    Batch((32, 32), ("white",), dtype=torch.uint8),
    Way(hard=True, beyond="edge", jittered=False, rotated=True),
)
@given(seeds, region_kinds, batches(), ways(blends=["alpha"], beyond=["black", "edge"]))
def test_no_path_looks_farther_than_its_patches(seed, kind, batch, way):
    """The same in images of any size, if no equation is solved."""
    arguments, choices = case(batch, way, seed, kind)
    found = on_both_paths(paste, *arguments, **choices)
    slack = tolerance(arguments[0], arguments[3])
    for result, mask in found:
        outside = (mask == 0).expand_as(result)
        assert same(result[outside], arguments[0][outside])
        torch.testing.assert_close(result.double(), found[0][0].double(), rtol=0, atol=slack)


@given(seeds, region_kinds, batches(least=1, sizes=small_sizes), ways(), st.integers(0, 3))
def test_a_batch_is_its_images(seed, kind, batch, way, donors):
    """Masks 1e-6 apart at most: matrices of other sizes are multiplied in another order."""
    (images, params, region, intensities), choices = case(batch, way, seed, kind, donors=donors)
    slack = tolerance(images, intensities, way)
    together = on_both_paths(paste, images, params, region, intensities, **choices)
    for i in range(len(batch)):
        one = slice(i, i + 1)
        alone = images[one], params.rows(one), None if region is None else region[one], intensities
        for (image, mask), (images_, masks) in zip(on_both_paths(paste, *alone, **choices), together, strict=True):
            torch.testing.assert_close(mask, masks[one], rtol=0, atol=1e-6)
            if way.blend in CONTINUOUS:
                torch.testing.assert_close(image.double(), images_[one].double(), rtol=0, atol=slack)


@given(seeds, region_kinds, batches(least=1, sizes=small_sizes), ways(), st.integers(0, 3))
def test_a_replay_of_a_copy_gives_the_same_bits(seed, kind, batch, way, donors):
    (images, *others), choices = case(batch, way, seed, kind, donors=donors)
    first = on_all_paths(paste, images, *others, **choices)
    copy = images.clone(memory_format=torch.contiguous_format)
    second = on_all_paths(paste, copy, *others, **choices)
    for (image, mask), (again, mask_again) in zip(first, second, strict=True):
        assert same(mask, mask_again)
        assert same(image.contiguous(), again)


@given(
    seeds,
    batches(dtypes=FLOATS, least=1, sizes=small_sizes),
    ways(),
    st.integers(0, 3),
    st.sampled_from([math.nan, math.inf, -math.inf, -0.0]),
)
def test_pixels_outside_the_mask_keep_their_bits(seed, batch, way, donors, value):
    (images, *others), choices = case(batch, way, seed, "halves", donors=donors)
    images = images.clone()
    images[torch.rand(images.shape, generator=torch.Generator().manual_seed(seed)) < 0.1] = value
    if images.dtype in (torch.float16, torch.bfloat16):  # bits that a conversion to float32 and back would change
        images.view(torch.int16)[:, :, 0, 0] = 0x7C01 if images.dtype == torch.float16 else 0x7F81
    for result, mask in on_all_paths(paste, images, *others, **choices):
        outside = (mask == 0).expand_as(images)
        assert same(result[outside], images[outside])


@given(
    seeds,
    region_kinds,
    batches(dtypes=[torch.float32, torch.float64], least=1, sizes=small_sizes),
    ways(),
    st.booleans(),
)
def test_gradients_are_the_weights_of_the_image(seed, kind, batch, way, own):
    """1 − X_mask outside what is cut, to 1e-6, where no equation is solved; and finite wherever there is one."""
    (images, params, region, intensities), choices = case(batch, way, seed, kind, donors=0 if own else 2)
    images = images.clone().requires_grad_()
    result, mask = paste(images, params, region, intensities, **choices)
    (gradient,) = torch.autograd.grad(result.sum(), images)
    assert gradient.isfinite().all()
    with torch.no_grad():
        compiled = paste(images.detach(), params, region, intensities, **choices)[0]
    if way.blend in CONTINUOUS:
        slack = tolerance(images, intensities, way)
        torch.testing.assert_close(result.detach(), compiled, rtol=0, atol=slack)
    if way.blend != "alpha":
        return
    for i in range(len(batch)):
        outside = torch.ones(batch.size, dtype=torch.bool)
        for top, left, height, width in zip(
            *(field[i].tolist() for field in (params.source_top, params.source_left, params.height, params.width)),
            strict=True,
        ):
            if own:
                outside[top : top + height, left : left + width] = False
                outside &= way.beyond != "source"  # what surrounds the patch is pasted, too
        expected = (1 - mask[i]).to(gradient.dtype).expand_as(gradient[i])
        torch.testing.assert_close(gradient[i][:, outside], expected[:, outside], rtol=0, atol=1e-6)


@given(
    seeds,
    region_kinds,
    batches(dtypes=[torch.float32, torch.float64], least=1, sizes=small_sizes),
    ways(blends=CONTINUOUS),
)
def test_normalizing_and_pasting_commute(seed, kind, batch, way):
    """Tolerance: 1e-5 of the normalized range, 1e-4 where Poisson's equation is solved."""
    (images, params, region, _), choices = case(batch, way, seed, kind)
    rng = torch.Generator().manual_seed(seed)
    mean = tuple(torch.rand(batch.channels, generator=rng).tolist())
    std = tuple((0.05 + torch.rand(batch.channels, generator=rng)).tolist())
    normal = Intensities(0.0, 1.0, mean, std)
    slack = (1e-5 if way.blend == "alpha" else 1e-4) / min(std)
    for before, _ in on_both_paths(paste, images, params, region, **choices):
        for after, _ in on_both_paths(paste, normal.from_unit(images), params, region, normal, **choices):
            torch.testing.assert_close(after, normal.from_unit(before), rtol=0, atol=slack)


@given(seeds, st.integers(0, 3), small_sizes, st.booleans())
def test_a_whole_patch_is_as_large_as_what_is_cut(seed, batch, size, rotated):
    """A rotated one may have as many pixels more as its outline is long."""
    params = rows(seed, batch, *size, Way(hard=True, rotated=rotated))._replace(opacity=torch.ones(batch, 1))
    for mask in on_all_paths(soft_mask, params, *size, hard=True, rotated=rotated):
        assert ((mask == 0) | (mask == 1)).all()
        sides = params.height + params.width
        assert (mask.sum((1, 2, 3)) <= (params.height * params.width + rotated * (2 * sides + 4))[:, 0]).all()


FIELDS = ("height", "width", "source_top", "source_left", "scaled_height", "scaled_width", "top", "left", "margin")


@given(
    seeds,
    batches(least=1, sizes=small_sizes),
    ways(),
    st.sampled_from([*FIELDS, "sigma", "angle", "donor"]),
    st.sampled_from([-1, 0, 2000, -(2**40), 2**40, math.nan, math.inf]),
)
def test_impossible_parameters_are_named_on_the_cpu(seed, batch, way, field, value):
    """On an accelerator there is no check, which would wait for the device, but no access outside the images either."""
    (images, params, _, intensities), choices = case(batch, way, seed, donors=2)
    if not math.isfinite(value) and field not in ("sigma", "angle"):
        return
    changed = getattr(params, field).clone()
    changed[0, 0] = value
    wrong = params._replace(**{field: changed})
    far = abs(value) > 2**24
    impossible = {
        "margin": value < 0,
        "sigma": not 0 <= value < math.inf,
        "angle": not math.isfinite(value),
        "donor": not 0 <= value < 2,
        "top": far,
        "left": far,
        "source_top": not 0 <= value < 1000,
        "source_left": not 0 <= value < 1000,
        "height": not 0 < value < 1000,
        "width": not 0 < value < 1000,
        "scaled_height": value < 1 or far,
        "scaled_width": value < 1 or far,
    }
    for found in on_both_paths(attempt, paste, images, wrong, None, intensities, **choices):
        assert found is None or not impossible[field]
        if found is not None:
            result, mask = found
            outside = (mask == 0).expand_as(images)
            assert same(result[outside], images[outside])
    with as_accelerators():
        result, mask = paste(images, wrong, None, intensities, **choices)
    assert (result.shape, mask.shape) == (images.shape, (len(images), 1, *batch.size))
