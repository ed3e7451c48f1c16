import itertools
import math

import numpy as np
import pytest
import torch
from anatpaste_aug.cutpaste_params import CutPasteConfig, CutPasteParams, rotated_size, sample_cutpaste_params
from PIL import Image
from scipy import stats

COUNT = 6000
P_VALUE = 1e-3  # the seeds are fixed: a test that passes once passes always


def drawn(count=COUNT, height=1024, width=1024, seed=0, **changes):
    """Parameters of large images, where whole pixels are fine enough for a continuous distribution."""
    generator = torch.Generator().manual_seed(seed)
    return sample_cutpaste_params(CutPasteConfig(**changes), count, height, width, generator=generator)


def assert_uniform(values, low, high):
    assert stats.kstest(values.double().numpy(), stats.uniform(low, high - low).cdf).pvalue > P_VALUE


def smeared(whole, seed=1):
    """A uniform integer plus a uniform fraction is uniform."""
    return whole + torch.rand(len(whole), generator=torch.Generator().manual_seed(seed))


# distributions


def test_the_area_is_uniform_and_the_aspect_ratio_log_uniform():
    params = drawn()
    assert_uniform(params.height * params.width / 1024**2, 0.02, 0.15)
    assert_uniform((params.height / params.width).log(), math.log(0.3), -math.log(0.3))
    assert not params.scar.any()
    assert not params.angle.any()


def test_the_sides_and_the_angle_of_a_scar_are_uniform():
    # 4096 px are sixteen times 256 px. Half a pixel on each side is the rounding.
    params = drawn(height=4096, width=4096, variant="scar")
    assert_uniform(smeared(params.width) - 0.5, 2 * 16, 16 * 16)
    assert_uniform(smeared(params.height) - 0.5, 10 * 16, 25 * 16)
    assert_uniform(params.angle, -45, 45)
    assert params.scar.all()


def test_at_256_pixels_the_sides_of_a_scar_are_those_of_the_paper():
    params = drawn(height=256, width=256, variant="scar")
    assert params.width.unique().tolist() == list(range(2, 17))
    assert params.height.unique().tolist() == list(range(10, 26))


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_the_jitter_is_uniform(name):
    middle = 0 if name == "hue" else 1
    assert_uniform(getattr(drawn(), name), middle - 0.1, middle + 0.1)
    assert_uniform(getattr(drawn(jitter=0.3), name), middle - 0.3, middle + 0.3)


def test_every_order_of_the_jitter_is_equally_likely():
    order = drawn().jitter_order
    codes = {permutation: code for code, permutation in enumerate(itertools.permutations(range(4)))}
    counts = np.bincount([codes[tuple(row)] for row in order.tolist()], minlength=24)
    assert stats.chisquare(counts).pvalue > P_VALUE


def test_half_of_a_union_are_scars():
    params = drawn(variant="union")
    assert stats.binomtest(int(params.scar.sum()), COUNT).pvalue > P_VALUE
    assert torch.equal(params.angle != 0, params.scar)


def test_a_union_draws_what_its_variants_draw():
    both, normal, scar = (drawn(200, variant=variant) for variant in ("union", "normal", "scar"))
    for name, field in both._asdict().items():
        if name != "scar":
            chosen = both.scar.view(-1, *[1] * (field.ndim - 1))
            assert torch.equal(field, torch.where(chosen, getattr(scar, name), getattr(normal, name)))


@pytest.mark.parametrize("variant", ["normal", "scar"])
def test_both_places_are_uniform_over_where_the_patch_fits(variant):
    params = drawn(height=768, variant=variant)
    high, wide = rotated_size(params.height, params.width, params.angle)
    for start, side, total in (
        (params.source_top, params.height, 768),
        (params.source_left, params.width, 1024),
        (params.target_top, high, 768),
        (params.target_left, wide, 1024),
    ):
        assert (start >= 0).all()
        assert (start + side <= total).all()
        assert_uniform(smeared(start) / (total - side + 1), 0, 1)


def test_source_and_target_are_independent():
    params = drawn()
    assert abs(np.corrcoef(params.source_top, params.target_top)[0, 1]) < 0.2  # both depend on the height
    small = drawn(variant="scar")
    assert abs(np.corrcoef(small.source_top, small.target_top)[0, 1]) < 4 / math.sqrt(COUNT)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_p_is_the_share_of_augmented_images(p):
    count = int(drawn(p=p).apply.sum())
    assert count == p * COUNT if p in (0, 1) else stats.binomtest(count, COUNT, p).pvalue > P_VALUE


SOURCE, TARGET = {"source_top", "source_left"}, {"target_top", "target_left"}
FIELDS = ["source_top", "source_left", "target_top", "target_left", "brightness", "contrast", "saturation", "hue"]
COMMON = {
    0: {"apply"},
    **{7 + i: {name} for i, name in enumerate(FIELDS)},
    **{i: {"jitter_order"} for i in range(15, 19)},
}
USES = {
    "normal": {2: {"height", "width"} | SOURCE | TARGET, 3: {"height", "width"} | SOURCE | TARGET, **COMMON},
    "scar": {
        4: {"width", "source_left"} | TARGET,
        5: {"height", "source_top"} | TARGET,
        6: {"angle"} | TARGET,
        **COMMON,
    },
}
USES["union"] = {draw: USES["normal"].get(draw, set()) | USES["scar"].get(draw, set()) for draw in range(19)}
USES["union"][1] = {"scar", "height", "width", "angle"} | SOURCE | TARGET


@pytest.mark.parametrize("variant", USES)
@pytest.mark.parametrize("draw", range(19))
def test_each_number_has_its_own_use(variant, draw, monkeypatch):
    uniforms = torch.rand(100, 19, generator=torch.Generator().manual_seed(0))
    changed = uniforms.clone()
    changed[:, draw] = uniforms[:, draw].roll(1)
    results = []
    for numbers in (uniforms, changed):
        monkeypatch.setattr(torch, "rand", lambda *size, numbers=numbers, **_: numbers)
        results.append(drawn(100, 256, 256, variant=variant, p=0.5)._asdict())
    first, second = results
    different = {name for name in first if not torch.equal(first[name], second[name])}
    assert different == USES[variant].get(draw, set())


# sizes


def test_a_rotated_size_is_that_of_pillow():
    generator = torch.Generator().manual_seed(0)
    height, width = torch.randint(1, 60, (2, 2000), generator=generator)
    angle = torch.rand(2000, generator=generator) * 360 - 180
    angle[:20], angle[20:40] = 0, 45
    high, wide = rotated_size(height, width, angle)
    for h, w, degrees, expected in zip(
        height.tolist(), width.tolist(), angle.tolist(), zip(wide.tolist(), high.tolist(), strict=True), strict=True
    ):
        assert Image.new("1", (w, h)).rotate(degrees, expand=True).size == expected


@pytest.mark.parametrize("size", [(32, 32), (128, 512), (224, 224), (1024, 1024)])
def test_lengths_scale_with_the_square_root_of_the_area(size):
    """Tolerance: half a pixel, for the rounding to whole ones."""
    scale = math.sqrt(size[0] * size[1]) / 256
    params, fine = drawn(50, *size, variant="scar"), drawn(50, 8192, 8192, variant="scar")
    for name in ("height", "width"):
        exact = getattr(fine, name) / 32 * scale
        assert ((getattr(params, name) - exact.clamp(1)).abs() <= 0.5 + scale / 32).all()


def test_sides_are_clamped_to_the_image():
    params = drawn(500, 32, 64, area=(0.5, 1.0), aspect_ratio=(0.1, 10.0))
    assert params.height.max() == 32
    assert params.width.max() == 64
    tiny = drawn(500, 32, 32, variant="scar", scar_width=(0.1, 0.2), scar_length=(0.1, 0.2))
    assert tiny.height.unique().tolist() == tiny.width.unique().tolist() == [1]


def test_a_scar_that_fits_nowhere_is_centred():
    params = drawn(500, 40, 40, variant="scar", scar_width=(100, 250), scar_length=(200, 250), rotation=(40, 45))
    high, wide = rotated_size(params.height, params.width, params.angle)
    assert (high > 40).any()
    assert torch.equal(params.target_top[high > 40], (40 - high[high > 40]) // 2)
    assert torch.equal(params.target_left[wide > 40], (40 - wide[wide > 40]) // 2)


# one row per image


def test_the_types_are_as_documented():
    params = drawn(3, variant="union")
    whole = {"height", "width", "source_top", "source_left", "target_top", "target_left", "jitter_order"}
    for name, field in params._asdict().items():
        truth = name in ("apply", "scar")
        assert field.dtype == (torch.int64 if name in whole else torch.bool if truth else torch.float32)
        assert field.shape == ((3, 4) if name == "jitter_order" else (3,))


def test_the_default_dtype_changes_nothing():
    expected = drawn(3, variant="union")
    torch.set_default_dtype(torch.float64)
    try:
        given, own = drawn(3, variant="union"), sample_cutpaste_params(CutPasteConfig(), 3, 64, 64)
    finally:
        torch.set_default_dtype(torch.float32)
    for first, second, third in zip(given, expected, own, strict=True):
        assert first.dtype == second.dtype == third.dtype
        assert torch.equal(first, second)


def test_rows_are_the_parameters_of_some_images():
    params = drawn(6)
    for index in (slice(1, 3), torch.tensor([4, 0]), params.source_top > 300):
        rows = params.rows(index)
        assert isinstance(rows, CutPasteParams)
        assert all(torch.equal(field[index], row) for field, row in zip(params, rows, strict=True))


def test_a_seed_repeats_another_does_not_and_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    first, second, other = drawn(8), drawn(8), drawn(8, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first.brightness, other.brightness)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_call_takes_nineteen_numbers_an_image_from_the_generator():
    """More would give other parameters than earlier releases gave with the same seed."""
    first, second = (torch.Generator().manual_seed(0) for _ in range(2))
    sample_cutpaste_params(CutPasteConfig(), 7, 64, 64, generator=first)
    torch.rand(7, 19, generator=second)
    assert torch.equal(first.get_state(), second.get_state())


def test_without_a_generator_the_global_one_is_used():
    torch.manual_seed(3)
    first, second = (sample_cutpaste_params(CutPasteConfig(), 8, 64, 64) for _ in range(2))
    torch.manual_seed(3)
    assert torch.equal(first.hue, sample_cutpaste_params(CutPasteConfig(), 8, 64, 64).hue)
    assert not torch.equal(first.hue, second.hue)


@pytest.mark.parametrize("variant", ["normal", "scar", "union"])
@pytest.mark.parametrize("u", [0.0, 1 - 2**-24])
def test_the_ends_of_the_unit_interval_give_values_in_range(u, variant, monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda *size, **_: torch.full(size, u))
    params = drawn(1, 100, 64, variant=variant, area=(0.02, 0.5), aspect_ratio=(1.0, 1.0))
    high, wide = rotated_size(params.height, params.width, params.angle)
    for start, side, total in (
        (params.source_top, params.height, 100),
        (params.source_left, params.width, 64),
        (params.target_top, high, 100),
        (params.target_left, wide, 64),
    ):
        assert side >= 1
        assert start == (0 if u == 0 else total - side)
    assert params.scar == (variant == "scar" or (variant == "union" and u < 0.5))
    assert not drawn(1, 100, 64, variant=variant, p=0.0).apply
    assert drawn(1, 100, 64, variant=variant, p=1.0).apply


@pytest.mark.parametrize(("u", "width", "height"), [(0.0, 2, 10), (1 - 2**-24, 16, 25)])
def test_the_ends_of_the_unit_interval_give_the_lengths_of_the_settings(u, width, height, monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda *size, **_: torch.full(size, u))
    params = drawn(1, 8192, 8192, variant="scar")
    assert (params.width.item(), params.height.item()) == (32 * width, 32 * height)
