"""The distributions of the parameters of FPI, PII and NSA, and what several patches, donors and tries do."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import stats

from anatpaste_aug.datasets import phantom_batch
from anatpaste_aug.functional import foreground_mask
from anatpaste_aug.paste import ANATPASTE, FPI, NSA, PII, draw_uniforms, sample_params
from anatpaste_aug.paste.draws import FIXED_DRAWS

COUNT = 6000
P_VALUE = 1e-3  # the seeds are fixed: a test that passes once passes always


def drawn(config, count=COUNT, size=(256, 256), seed=0, **masks):
    generator = torch.Generator().manual_seed(seed)
    return sample_params(config, (count, 1, *size), generator=generator, **masks)


def assert_equally_often(values, low, high):
    """Every one of low…high − 1 equally often."""
    observed = torch.bincount(values.flatten() - low, minlength=high - low)
    assert len(observed) == high - low
    assert stats.chisquare(observed.numpy()).pvalue > P_VALUE


def assert_uniform(values, low, high):
    assert stats.kstest(values.flatten().double().numpy(), stats.uniform(low, high - low).cdf).pvalue > P_VALUE


@pytest.mark.parametrize("config", [FPI, PII])
def test_the_boxes_of_fpi_and_pii(config):
    """At 256 px: half-widths 13 to 50, centers 25 to 229, both ends included, as the authors' randint draws them."""
    params = drawn(config)
    bottom, right = params.top + params.height, params.left + params.width
    whole = (params.top > 0) & (params.left > 0) & (bottom < 256) & (right < 256)
    assert torch.equal(params.height[whole], params.width[whole])
    # Of boxes that the edges cut off, the half-width is told by the side that is not.
    half = torch.where(params.top > 0, torch.where(bottom < 256, params.height // 2, -1), -1)
    uncut = drawn(dataclasses.replace(config, cut="anywhere", place="anywhere", half_width=(0.05, 0.2)), seed=1)
    assert half.max() == 50
    assert half[half > 0].min() >= 12
    assert uncut.height.max() <= 100
    center = params.top + 50
    assert center.min() >= 0
    assert (bottom <= 256).all()
    assert (right <= 256).all()
    assert torch.equal(params.source_top, params.top)
    assert torch.equal(params.source_left, params.left)
    assert_uniform(params.opacity, 0.05, 0.95)
    for name in ("scaled_height", "scaled_width"):
        assert torch.equal(getattr(params, name), getattr(params, name.removeprefix("scaled_")))


def test_half_widths_and_centers_of_fpi_are_uniform():
    """By the numbers that they are made of, because boxes are cut off at the edges."""
    uniforms = draw_uniforms(FPI, COUNT, generator=torch.Generator().manual_seed(0))
    centered = uniforms.clone()
    centered[..., FIXED_DRAWS + 2 :] = 0.5
    params = sample_params(FPI, (COUNT, 1, 256, 256), uniforms=centered)
    assert_equally_often(params.height // 2, 13, 51)
    assert torch.equal(params.height, params.width)
    small = uniforms.clone()
    small[..., 17:FIXED_DRAWS] = 0
    params = sample_params(FPI, (COUNT, 1, 256, 256), uniforms=small)
    assert_equally_often(params.top + 13, 25, 230)
    assert_equally_often(params.left + 13, 25, 230)


@pytest.mark.parametrize("config", [FPI, PII, NSA])
def test_patches_come_from_every_other_image_equally_often_and_never_from_the_own(config):
    params = drawn(config, 6)
    donors = torch.cat([drawn(config, 6, seed=seed).donor[:, :1] for seed in range(600)], 1)
    for image, row in enumerate(donors):
        observed = torch.bincount(row, minlength=6)
        assert observed[image] == 0
        assert stats.chisquare(np.delete(observed.numpy(), image)).pvalue > P_VALUE
    assert (params.donor == params.donor[:, :1]).all()


def test_donors_are_drawn_with_replacement():
    params = drawn(dataclasses.replace(FPI, source="donors"), donors=10)
    assert_equally_often(params.donor, 0, 10)


def test_donors_need_to_be_there():
    with pytest.raises(ValueError, match='source="batch" takes patches from another image of the batch, but there is'):
        drawn(FPI, 1)
    with pytest.raises(ValueError, match='source="donors" needs donors='):
        drawn(dataclasses.replace(FPI, source="donors"))


def test_the_half_widths_of_nsa_are_a_gamma_distribution():
    """0.05 + Gamma(2, 0.03), clipped to [0.03, 0.4], of boxes that no edge cuts off; whole pixels of 4096."""
    params = drawn(NSA, size=(4096, 4096))
    for start, side in ((params.source_top, params.height), (params.source_left, params.width)):
        inside = (start > 0) & (start + side < 4096)
        # Smaller boxes are cut off less often: their share is undone by weights.
        half = side[inside].double() / 2 / 4096
        assert half.min() >= 0.05 - 1e-3
        assert half.max() <= 0.4
    uniforms = draw_uniforms(NSA, COUNT, generator=torch.Generator().manual_seed(0))
    uniforms[..., FIXED_DRAWS : FIXED_DRAWS + 2 * NSA.place_tries] = 0.5
    params = sample_params(NSA, (COUNT, 1, 4096, 4096), uniforms=uniforms)
    for side in (params.height, params.width):
        half = (
            side.flatten().double() / 2 + torch.rand(side.numel(), generator=torch.Generator().manual_seed(1))
        ) / 4096
        below = half < 0.39
        expected = stats.gamma(2, loc=0.05, scale=0.03)
        cdf = lambda x, law=expected: law.cdf(x) / law.cdf(0.39)  # noqa: E731
        assert stats.kstest(half[below].numpy(), cdf).pvalue > P_VALUE
        share = float((~below).double().mean())
        assert share == pytest.approx(expected.sf(0.39), abs=4 * (expected.sf(0.39) / side.numel()) ** 0.5)


def test_patches_of_nsa_are_resized_by_a_clipped_normal_number():
    uniforms = draw_uniforms(NSA, COUNT, generator=torch.Generator().manual_seed(0))
    uniforms[..., 17:FIXED_DRAWS] = 0.5  # a side of about 0.2: none of the limits of the size is met
    uniforms[..., FIXED_DRAWS:] = 0.5
    params = sample_params(NSA, (COUNT, 1, 4096, 4096), uniforms=uniforms)
    factor = (params.scaled_height / params.height).flatten().double()
    assert (factor - factor.clamp(0.7, 1.3)).abs().max() < 2e-3
    inner = factor[(factor > 0.702) & (factor < 1.298)]
    assert stats.kstest(inner.numpy(), stats.truncnorm(-0.6, 0.6, loc=1, scale=0.5).cdf).pvalue > P_VALUE
    share = stats.norm(1, 0.5).cdf(0.7)
    for end in (factor < 0.702, factor > 1.298):
        assert stats.binomtest(int(end.sum()), factor.numel(), share).pvalue > P_VALUE


def test_sides_of_nsa_stay_within_their_limits_after_resizing():
    params = drawn(NSA)
    for side in (params.scaled_height, params.scaled_width):
        assert side.min() >= 8
        assert side.max() <= 102


def test_the_second_and_third_patch_are_pasted_with_probability_a_half():
    config = dataclasses.replace(NSA, place="inside", min_pixels=0)
    params = drawn(config)
    assert params.apply[:, 0].all()
    for k in (1, 2):
        assert stats.binomtest(int(params.apply[:, k].sum()), COUNT).pvalue > P_VALUE
    both = int((params.apply[:, 1] & params.apply[:, 2]).sum())
    assert stats.binomtest(both, COUNT, 0.25).pvalue > P_VALUE
    assert drawn(dataclasses.replace(config, patches=(2, 2))).apply.all()
    left_alone = ~drawn(dataclasses.replace(config, p=0.5)).apply.any(1)
    assert stats.binomtest(int(left_alone.sum()), COUNT).pvalue > P_VALUE


def test_places_of_nsa_are_uniform_over_where_the_authors_draw_the_center():
    params = drawn(dataclasses.replace(NSA, patches=(1, 1)))
    fraction = torch.rand(COUNT, 1, generator=torch.Generator().manual_seed(1))
    assert params.top.min() >= 1
    assert_uniform((params.top - 1 + fraction) / (255 - params.scaled_height), 0, 1)
    assert_uniform((params.left - 1 + fraction) / (255 - params.scaled_width), 0, 1)


@pytest.mark.slow
def test_patches_of_nsa_lie_on_the_foreground():
    """More than 0.7 of the cut is foreground, and more than 0.7 of its foreground falls on that of the image."""
    generator = torch.Generator().manual_seed(0)
    blurred = torch.nn.functional.avg_pool2d(torch.rand(200, 1, 128, 128, generator=generator), 41, 1, 20)
    foreground = blurred > blurred.flatten(1).quantile(0.4, 1).view(-1, 1, 1, 1)
    params = drawn(NSA, 200, (128, 128), foreground=foreground, donor_foreground=foreground)
    assert 0.2 < params.apply[:, 0].float().mean() < 1
    for i, k in params.apply.nonzero().tolist():
        row = {name: int(getattr(params, name)[i, k]) for name in params._fields[:8]}
        top, left = int(params.top[i, k]), int(params.left[i, k])
        cut = foreground[row["donor"], 0, row["source_top"] :, row["source_left"] :][: row["height"], : row["width"]]
        assert cut.float().mean() > 0.7
        size = (row["scaled_height"], row["scaled_width"])
        resized = torch.nn.functional.interpolate(cut[None, None].float(), size=size, mode="nearest-exact")[0, 0] > 0
        there = foreground[i, 0, top : top + size[0], left : left + size[1]]
        assert (resized & there).sum() > 0.7 * resized.sum() * 0.97


def test_more_tries_find_a_place_more_often():
    foreground = torch.zeros(2000, 1, 64, 64, dtype=torch.bool)
    foreground[..., :40] = True
    shares = []
    for count in (1, 4, 32):
        config = dataclasses.replace(NSA, place_tries=count, min_pixels=0)
        params = drawn(config, 2000, (64, 64), foreground=foreground, donor_foreground=foreground)
        shares.append(float(params.apply[:, 0].float().mean()))
    assert shares[0] < shares[1] < shares[2]
    assert shares[2] > 0.9


def test_small_patches_are_left_out():
    config = dataclasses.replace(NSA, place="inside", half_width=(0.03, 0.06), patches=(1, 1))
    params = drawn(config, size=(128, 128))
    inside = (params.scaled_height - 2) * (params.scaled_width - 2)
    assert torch.equal(params.apply, inside >= 50)
    assert not params.apply.all()


def test_every_patch_has_its_own_numbers():
    params = drawn(dataclasses.replace(ANATPASTE, patches=(3, 3)), 50)
    assert params.patches == 3
    for name in ("opacity", "sigma", "brightness", "hue", "height", "top", "source_left"):
        field = getattr(params, name)
        assert not torch.equal(field[:, 0], field[:, 1])
        assert not torch.equal(field[:, 1], field[:, 2])


def test_patches_of_nsa_are_placed_alike_by_the_code_for_accelerators(monkeypatch):
    images = phantom_batch(16, size=64, seed=1).images
    foreground = foreground_mask(images, NSA.foreground)
    uniforms = draw_uniforms(NSA, 16, generator=torch.Generator().manual_seed(2))
    arguments = {"foreground": foreground, "donor_foreground": foreground, "uniforms": uniforms}
    one_by_one = sample_params(NSA, tuple(images.shape), **arguments)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    at_once = sample_params(NSA, tuple(images.shape), **arguments)
    assert 0 < int(at_once.apply.sum()) < at_once.apply.numel()
    for name, one, other in zip(at_once._fields, one_by_one, at_once, strict=True):
        assert torch.equal(one[at_once.apply], other[at_once.apply]), name
    assert torch.equal(one_by_one.apply, at_once.apply)
