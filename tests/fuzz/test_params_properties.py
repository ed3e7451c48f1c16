"""Settings of any value, and the parameters drawn with valid ones."""

import math
from dataclasses import fields, replace

import torch
from fuzz.invariants import attempt, same_rows, untouched
from fuzz.strategies import anything, numbers, region_for, region_kinds, seeded, seeds, sizes
from hypothesis import given
from hypothesis import strategies as st

from anatpaste_aug.paste import ANATPASTE, CUTPASTE, FPI, NSA, PII, PasteConfig, draw_uniforms, sample_params
from anatpaste_aug.paste.params import rotated_size
from anatpaste_aug.validation import check_params

SETTINGS = [entry.name for entry in fields(PasteConfig)]
WORDS = ("same", "batch", "anywhere", "area", "scar", "gamma", "region", "ellipse", "patch", "edge", "poisson", "soft")
recipes = st.sampled_from([ANATPASTE, CUTPASTE, FPI, PII, NSA])


def pairs(low, high, *extremes):
    one = st.floats(low, high) | st.sampled_from([low, high, *extremes])
    return st.tuples(one, one).map(lambda pair: tuple(sorted(pair)))


shares = pairs(1e-9, 1, 1e-300, 0.02)
ratios = pairs(1e-3, 1e3, 1e-6, 1e6, 1.0)
lengths = pairs(1e-3, 300, 1e-300, 1e6)


def possible(recipe, settings):
    """The recipe with other settings; a cut at the same place does not resize or rotate."""
    if settings.get("cut", recipe.cut) == "same":
        size = settings.get("size", recipe.size)
        settings = settings | {"resize": None, "size": "area" if "scar" in size else size}
    return replace(recipe, **settings)


configs = st.builds(
    possible,
    recipes,
    st.fixed_dictionaries(
        {},
        optional={
            "p": st.floats(0, 1),
            "source": st.sampled_from(["same", "batch", "donors"]),
            "patches": st.sampled_from([(1, 1), (1, 3), (2, 2)]),
            "size": st.sampled_from(["area", "scar", "area_or_scar", "half_width", "gamma"]),
            "area": shares,
            "aspect_ratio": ratios,
            "scar_width": lengths,
            "scar_length": lengths,
            "rotation": pairs(-180, 180, 0),
            "half_width": pairs(1e-9, 0.5, 1e-300),
            "gamma": st.tuples(st.sampled_from([0, 0.05, 1]), st.sampled_from([0, 0.03, 1])),
            "resize": st.none()
            | st.tuples(st.floats(0, 3), st.sampled_from([0, 0.5, 100]), st.floats(0.01, 1), st.floats(1, 100)),
            "cut": st.sampled_from(["anywhere", "same"]),
            "jitter": st.floats(0, 0.5),
            "place": st.sampled_from(["region", "anywhere", "inside", "middle", "foreground"]),
            "place_tries": st.integers(1, 9),
            "shape": st.sampled_from(["ellipse_or_rectangle", "ellipse", "rectangle", "patch"]),
            "margin": st.floats(0, 100) | st.sampled_from([0, 1e6]),
            "opacity": shares,
            "sigma": pairs(0, 100, 1e-300, 1e6),
            "blur": st.booleans(),
            "anatomy": st.booleans(),
            "min_overlap": st.floats(0, 1),
            "min_pixels": st.floats(0, 100),
            "skip_without_region": st.booleans(),
        },
    ),
)


def drawn(config, batch, size, **masks):
    """Parameters of images of this size, with three donors if the config needs donors."""
    donors = 3 if config.source == "donors" else None
    return sample_params(config, (batch, 1, *size), donors=donors, **masks)


@given(recipes, st.sampled_from(SETTINGS), anything | st.sampled_from(WORDS) | st.tuples(numbers, numbers).map(list))
def test_a_setting_is_accepted_or_named(recipe, name, value):
    config = attempt(replace, recipe, **{name: value})
    if config is not None:
        taken = getattr(config, name)
        assert taken is value
        for number in taken if isinstance(taken, tuple | list) else [taken]:
            assert isinstance(number, str | None) or math.isfinite(number)
        drawn(config, 2, (32, 33))


@given(configs, st.sampled_from([0, 2, 3]), sizes, seeds, region_kinds, region_kinds, st.data())
def test_what_is_drawn_fits_the_images(config, batch, size, seed, kind, foreground_kind, data):
    height, width = size
    images = torch.empty(batch, 1, *size)
    region = region_for(images, kind, seed)
    foreground = region_for(images, foreground_kind, seed + 1)
    of_donors = foreground
    if config.source == "donors":
        of_donors = region_for(images.new_empty(3, 1, *size), foreground_kind, seed)
    uniforms = draw_uniforms(config, batch, generator=seeded(seed))
    extreme = data.draw(st.sampled_from([None, 0.0, 1 - 2**-24]))
    if extreme is not None:
        uniforms[torch.rand(uniforms.shape, generator=seeded(seed)) < 0.5] = extreme
    masks = {"region_mask": region, "foreground": foreground, "donor_foreground": of_donors}
    with untouched(region, foreground, of_donors, uniforms):
        params = drawn(config, batch, size, **masks, uniforms=uniforms)
    high, wide = rotated_size(params.scaled_height, params.scaled_width, params.angle)
    for start, cut, scaled, begin, box, side in (
        (params.source_top, params.height, params.scaled_height, params.top, high, height),
        (params.source_left, params.width, params.scaled_width, params.left, wide, width),
    ):
        assert ((cut >= 1) & (start >= 0) & (start + cut <= side)).all()
        assert ((scaled >= 1) & (scaled <= side)).all()
        center = begin + box // 2
        assert ((center >= 0) & (center < side)).all()
        if config.place == "inside" and config.cut != "same":
            larger = (box > side) & ((center - side // 2).abs() <= 1)
            assert ((begin >= 0) & (begin + box <= side) | larger).all()
    sources = {"same": None, "batch": images, "donors": images.new_empty(3, 1, *size)}[config.source]
    check_params(params, images, config, sources)
    own = torch.arange(batch).unsqueeze(1)
    assert config.source == "donors" or ((params.donor == own) == (config.source == "same")).all()
    assert (params.donor == params.donor[:, :1]).all()
    free = torch.ones(batch, dtype=torch.bool) if region is None or not config.anatomy else ~region.flatten(1).any(1)
    assert torch.equal(params.anywhere, free.unsqueeze(1).expand_as(params.anywhere))
    assert not (params.apply & params.fallback).any() or not config.skip_without_region
    if region is None:
        assert not params.fallback.any()
    else:
        found = region.flatten(1).any(1, keepdim=True).expand_as(params.apply)
        assert torch.equal(params.fallback, ~found)
        if config.place == "region" and config.cut != "same":
            center_y, center_x = params.top + high // 2, params.left + wide // 2
            assert region[own.expand_as(found), 0, center_y, center_x][found].all()
    if config.source == "batch":
        return  # an image alone has no other
    for i in range(batch):
        one = slice(i, i + 1)
        alone = {name: None if mask is None else mask[one] for name, mask in masks.items()}
        if config.source == "donors":
            alone["donor_foreground"] = of_donors
        first = drawn(config, 1, size, **alone, uniforms=uniforms[one])
        first = first._replace(donor=params.donor[one]) if config.source == "same" else first
        assert same_rows(first, params.rows(one))


@given(configs, sizes, seeds)
def test_a_larger_patch_is_drawn_of_a_larger_share(config, size, seed):
    """The patch has the drawn area, unless a side of the image limits it; to a pixel per side."""
    config = replace(config, size="area", cut="anywhere", resize=None, patches=(1, 1))
    params = drawn(config, 4, size, generator=seeded(seed))
    pixels = size[0] * size[1]
    for high, wide in zip(params.height[:, 0].tolist(), params.width[:, 0].tolist(), strict=True):
        assert (high + 1) * (wide + 1) >= min(config.area[0] * pixels, *size) * 0.999
        assert (high - 1) * (wide - 1) <= config.area[1] * pixels * 1.001


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
