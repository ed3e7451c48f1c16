"""Which random number decides what, and what the ends of the unit interval and other dtypes give."""

import pytest
import torch

from anatpaste_aug.functional import soft_mask
from anatpaste_aug.paste import ANATPASTE, PasteConfig, draw_uniforms, sample_params

# A place depends on the size of what has to fit, and is that of the patch's corner.
SIZE = {"height", "width", "scaled_height", "scaled_width", "source_top", "source_left", "top", "left"}
PLACE = {"top", "left"}
USES = [{"apply"}, set(), set(), set(), set(), PLACE, {"ellipse"}, {"opacity"}, {"sigma"}]
USES += [{"brightness"}, {"contrast"}, {"saturation"}, {"hue"}, *[{"jitter_order"}] * 4, SIZE, SIZE, set(), set()]
USES += [{"source_top"}, {"source_left"}, {"top"}, {"left"}]


def made_of(uniforms, height=256, width=256, region_mask=None, **changes):
    shape = (len(uniforms), 1, height, width)
    return sample_params(PasteConfig(**changes), shape, region_mask=region_mask, uniforms=uniforms)


def all_of(u, dtype=torch.float32):
    return torch.full((1, 1, 25), u, dtype=dtype)


def center(params):
    return params.top + params.height // 2, params.left + params.width // 2


@pytest.mark.parametrize(("draw", "fields"), list(enumerate(USES)))
def test_each_number_has_its_own_use(draw, fields):
    """Half of the images have lungs: they take their centre from one number, and the others from two."""
    masks = torch.zeros(100, 1, 256, 256, dtype=torch.bool)
    masks[::2, :, 50:100, 20:90] = True
    uniforms = draw_uniforms(ANATPASTE, 100, generator=torch.Generator().manual_seed(0))
    changed = uniforms.clone()
    changed[..., draw] = uniforms[..., draw].roll(1, 0)
    first, second = (made_of(u, region_mask=masks, p=0.5) for u in (uniforms, changed))
    assert {name for name in first._fields if not torch.equal(getattr(first, name), getattr(second, name))} == fields
    if draw in (5, 23, 24):
        moved = (first.top != second.top) | (first.left != second.left)
        assert moved[::2].any() == (draw == 5)
        assert moved[1::2].any() == (draw != 5)


def test_the_order_of_the_jitter_is_that_of_four_numbers():
    uniforms = all_of(0.5)
    uniforms[..., 13:17] = torch.tensor([0.7, 0.1, 0.9, 0.3])
    assert made_of(uniforms).jitter_order.tolist() == [[[1, 3, 0, 2]]]


@pytest.mark.parametrize(
    ("u", "opacity", "sigma", "factor", "hue", "height", "width"),
    [(0.0, 0.59, 0.0, 0.9, -0.1, 20, 66), (1 - 2**-24, 1.0, 15.0, 1.1, 0.1, 181, 54)],
)
def test_the_values_at_the_ends_of_the_ranges(u, opacity, sigma, factor, hue, height, width):
    """Tolerance: float32's rounding. The sides are sqrt(0.02 · 0.3), sqrt(0.02 / 0.3), sqrt(0.15 / 0.3) … of 256."""
    params = made_of(all_of(u))
    values = {"opacity": opacity, "sigma": sigma, "hue": hue, "brightness": factor, "contrast": factor}
    for name, value in (values | {"saturation": factor}).items():
        assert getattr(params, name).item() == pytest.approx(value, rel=1e-6, abs=1e-6)
    assert (params.height.item(), params.width.item(), params.margin.item()) == (height, width, 10)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("size", [(257, 259), (3000, 40)])
def test_numbers_of_other_dtypes_are_taken_and_stay_within_the_images(dtype, size):
    """The last float64 below 1 is 1 in float32."""
    uniforms = all_of(1 - torch.finfo(dtype).eps / 2, dtype)
    for lungs in (torch.ones(1, 1, *size, dtype=torch.bool), None):
        params = made_of(uniforms, *size, region_mask=lungs, area=(1e-6, 1e-5))
        center_y, center_x = center(params)
        assert 0 <= center_y < size[0]
        assert 0 <= center_x < size[1]
        assert 0 <= params.source_top <= size[0] - params.height
        assert 0 <= params.source_left <= size[1] - params.width
        assert params.opacity.dtype == params.hue.dtype == torch.float32
        assert soft_mask(params, *size, lungs).shape == (1, 1, *size)


def test_a_call_takes_twenty_five_numbers_an_image_from_the_generator():
    """More would give other parameters than earlier releases gave with the same seed."""
    first, second = (torch.Generator().manual_seed(0) for _ in range(2))
    sample_params(ANATPASTE, (7, 1, 64, 64), generator=first)
    torch.rand(7, 25, generator=second)
    assert torch.equal(first.get_state(), second.get_state())


def test_the_default_dtype_changes_nothing():
    def params():
        generator = torch.Generator().manual_seed(0)
        return sample_params(ANATPASTE, (3, 1, 64, 64), generator=generator)

    expected = params()
    torch.set_default_dtype(torch.float64)
    try:
        given, own = params(), sample_params(ANATPASTE, (3, 1, 64, 64))
    finally:
        torch.set_default_dtype(torch.float32)
    for first, second, third in zip(given, expected, own, strict=True):
        assert first.dtype == second.dtype == third.dtype
        assert torch.equal(first, second)
