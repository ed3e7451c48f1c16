"""Settings of any value, and the parameters that are drawn with those that are possible."""

import dataclasses
import math

import torch
from anatpaste_aug.cutpaste_params import rotated_size
from hypothesis import given
from hypothesis import strategies as st
from invariants import attempt, on_both_paths, same, same_rows, untouched
from strategies import anything, cutpaste_rows, lung_kinds, lungs_for, numbers, seeds, sizes

from anatpaste_aug import AnatPasteConfig, CutPasteConfig, draw_uniforms, sample_cutpaste_params, sample_params
from anatpaste_aug.functional import cutpaste_mask, soft_mask

NUMBERS = ("p", "jitter", "margin")
RANGES = ("area", "aspect_ratio", "opacity", "sigma")
SCARS = ("area", "aspect_ratio", "scar_width", "scar_length", "rotation")


def pairs(low, high, *extremes):
    one = st.floats(low, high) | st.sampled_from([low, high, *extremes])
    return st.tuples(one, one).map(lambda pair: tuple(sorted(pair)))


shares = pairs(1e-9, 1, 1e-300, 0.02)
ratios = pairs(1e-3, 1e3, 1e-6, 1e6, 1.0)
configs = st.builds(
    AnatPasteConfig,
    p=st.floats(0, 1),
    area=shares,
    aspect_ratio=ratios,
    jitter=st.floats(0, 0.5),
    margin=st.floats(0, 100) | st.sampled_from([0, 1e6]),
    opacity=shares,
    sigma=pairs(0, 100, 1e-300, 1e6),
    blur=st.booleans(),
)
cutpaste_configs = st.builds(
    CutPasteConfig,
    variant=st.sampled_from(["normal", "scar", "union"]),
    p=st.floats(0, 1),
    area=shares,
    aspect_ratio=ratios,
    scar_width=pairs(1e-3, 300, 1e-300, 1e6),
    scar_length=pairs(1e-3, 300, 1e-300, 1e6),
    rotation=pairs(-180, 180),
    jitter=st.floats(0, 0.5),
)


@given(st.sampled_from(NUMBERS), anything)
def test_a_setting_is_taken_or_named(name, value):
    config = attempt(AnatPasteConfig, **{name: value})
    if config is not None:
        assert math.isfinite(getattr(config, name))
        highest = {"p": 1, "jitter": 0.5, "margin": math.inf}[name]
        assert 0 <= getattr(config, name) <= highest
        sample_params(config, 2, 32, 33, lung_mask=None)
    if name != "margin":
        assert (attempt(CutPasteConfig, **{name: value}) is None) == (config is None)


@given(st.sampled_from([*RANGES, *SCARS]), anything | st.tuples(numbers, numbers).map(list))
def test_a_range_is_taken_or_named(name, value):
    for kind, sample in ((AnatPasteConfig, sample_params), (CutPasteConfig, sample_cutpaste_params)):
        if name not in {field.name for field in dataclasses.fields(kind)}:
            continue
        config = attempt(kind, **{name: value})
        if config is not None:
            low, high = getattr(config, name)
            assert -math.inf < low <= high < math.inf
            sample(config, 2, 32, 33, **({"lung_mask": None} if kind is AnatPasteConfig else {}))


@given(configs, st.integers(0, 4), sizes, seeds, lung_kinds, st.booleans(), st.data())
def test_what_is_drawn_fits_the_images(config, batch, size, seed, kind, skip, data):
    height, width = size
    lungs = lungs_for(torch.empty(batch, 1, *size), kind, seed)
    uniforms = draw_uniforms(batch, generator=torch.Generator().manual_seed(seed))
    extreme = data.draw(st.sampled_from([None, 0.0, 1 - 2**-24]))
    if extreme is not None:
        uniforms[torch.rand(uniforms.shape, generator=torch.Generator().manual_seed(seed)) < 0.5] = extreme
    with untouched(lungs, uniforms):
        params = sample_params(
            config, batch, height, width, lung_mask=lungs, skip_without_lungs=skip, uniforms=uniforms
        )
    assert ((params.height >= 1) & (params.height + params.source_top <= height) & (params.source_top >= 0)).all()
    assert ((params.width >= 1) & (params.width + params.source_left <= width) & (params.source_left >= 0)).all()
    for centre, side in ((params.center_y, height), (params.center_x, width)):
        assert ((centre >= 0) & (centre < side)).all()
    assert (params.margin >= 0).all()
    assert ((params.opacity >= 0) & (params.opacity <= 1)).all()
    assert ((params.sigma >= 0) & params.sigma.isfinite()).all()
    assert ((params.hue.abs() <= 0.5) & (params.brightness >= 0)).all()
    assert torch.equal(params.jitter_order.sort(1).values, torch.arange(4).expand(batch, 4))
    if lungs is None:
        assert params.anywhere.all()
        assert not params.fallback.any()
    else:
        found = lungs.flatten(1).any(1)
        assert torch.equal(params.fallback, ~found)
        assert lungs[torch.arange(batch), 0, params.center_y, params.center_x][found].all()
        assert not (params.apply & params.fallback).any() or not skip
    for i in range(batch):
        one = slice(i, i + 1)
        alone = sample_params(
            config,
            1,
            height,
            width,
            lung_mask=None if lungs is None else lungs[one],
            skip_without_lungs=skip,
            uniforms=uniforms[one],
        )
        assert same_rows(alone, params.rows(one))
    for mask in on_both_paths(soft_mask, params, height, width, lungs):
        assert ((mask >= 0) & (mask <= 1)).all()


@given(configs, sizes, seeds)
def test_a_larger_patch_is_drawn_of_a_larger_share(config, size, seed):
    """The patch's area is the one that was asked for, unless a side of the image is in its way; to a pixel a side."""
    params = sample_params(config, 4, *size, lung_mask=None, generator=torch.Generator().manual_seed(seed))
    pixels = size[0] * size[1]
    for high, wide in zip(params.height.tolist(), params.width.tolist(), strict=True):
        assert (high + 1) * (wide + 1) >= min(config.area[0] * pixels, *size) * 0.999
        assert (high - 1) * (wide - 1) <= config.area[1] * pixels * 1.001


@given(cutpaste_configs, st.integers(0, 4), sizes, seeds)
def test_cutpaste_draws_what_fits_the_images(config, batch, size, seed):
    height, width = size
    params, again = (
        sample_cutpaste_params(config, batch, height, width, generator=torch.Generator().manual_seed(seed))
        for _ in range(2)
    )
    assert same_rows(params, again)
    assert ((params.height >= 1) & (params.height + params.source_top <= height) & (params.source_top >= 0)).all()
    assert ((params.width >= 1) & (params.width + params.source_left <= width) & (params.source_left >= 0)).all()
    high, wide = rotated_size(params.height, params.width, params.angle)
    for start, length, side in ((params.target_top, high, height), (params.target_left, wide, width)):
        assert (
            (start >= 0) & (start + length <= side) | (length > side) & (start + length // 2 - side // 2 <= 1)
        ).all()
    assert (params.angle.abs() <= 180).all()
    mask = cutpaste_mask(params, height, width)
    assert torch.equal(mask.flatten(1).any(1), params.apply)


@given(st.integers(1, 200), st.integers(1, 200), st.floats(-1000, 1000, width=32))
def test_a_rotated_rectangle_fits_its_box(height, width, angle):
    """A pixel more on each side at most, and the area is not smaller."""
    high, wide = rotated_size(torch.tensor([height]), torch.tensor([width]), torch.tensor([angle]))
    cosine, sine = abs(math.cos(math.radians(angle))), abs(math.sin(math.radians(angle)))
    for found, exact, side in (
        (high, height * cosine + width * sine, height),
        (wide, width * cosine + height * sine, width),
    ):
        assert exact - 1e-3 <= found.item() <= exact + 2 + 1e-3
        assert (found.item() - side) % 2 == 0


@given(seeds, st.integers(0, 3), sizes)
def test_the_mask_of_any_cutpaste_is_the_patch(seed, batch, size):
    params = cutpaste_rows(seed, batch, *size)
    mask = cutpaste_mask(params, *size)
    assert (mask.shape, mask.dtype) == ((batch, 1, *size), torch.bool)
    assert not mask[~params.apply].any()
    area = mask.sum((1, 2, 3))
    # A rotated patch may show as many pixels more as its outline is long.
    assert (area <= params.height * params.width + 2 * (params.height + params.width) + 4).all()
    for i in range(batch):
        assert same(cutpaste_mask(params.rows(slice(i, i + 1)), *size)[0], mask[i])
