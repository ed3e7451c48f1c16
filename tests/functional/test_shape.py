import math

import numpy as np
import pytest
import torch
from oracles import drawn_shape, plain_params
from scipy import ndimage

from anatpaste_aug.functional import soft_mask as soft_masks
from anatpaste_aug.functional.shape import blur_radius, half_gaussian, reach, weight_beyond
from anatpaste_aug.paste import PasteConfig, sample_params

SIZES = [(256, 256), (64, 64), (100, 160), (32, 32)]


def drawn(count, height, width, **settings):
    """Parameters as they are drawn in use, anywhere in the image and so also over its border."""
    generator = torch.Generator().manual_seed(height + width + 2)
    return sample_params(PasteConfig(**settings), (count, 1, height, width), generator=generator)


def soft_mask(*arguments):
    """As AnatPaste makes it: nothing is rotated."""
    return soft_masks(*arguments, rotated=False)


def extent(params):
    """First and last row, first and last column of each drawn shape, inclusive; B each."""
    params = params.patch(0)
    reach_y, reach_x = reach(params)
    y, x = params.top + params.height // 2, params.left + params.width // 2
    return y - reach_y, y + reach_y, x - reach_x, x + reach_x


def by_pillow_and_scipy(params, index, height, width):
    """The shape drawn by Pillow, and blurred by SciPy."""
    edges = [int(edge[index]) for edge in extent(params)]
    shape = drawn_shape(height, width, *edges, bool(params.ellipse[index]))
    sigma = float(params.sigma[index])
    return shape, ndimage.gaussian_filter(shape * float(params.opacity[index]), sigma, mode="nearest", truncate=4)


def on_whole_frames(*arguments):
    """What accelerators run, computed here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("anatpaste_aug.functional._numba.HAS_NUMBA", False)
        return soft_mask(*arguments)


paths = pytest.mark.parametrize("path", [soft_mask, on_whole_frames])


# against Pillow and SciPy


@pytest.mark.parametrize("size", SIZES)
def test_hard_shapes_are_pillows(size):
    """Tolerance: none for rectangles; at most 4 pixels in 1 of 20 ellipses, where Pillow's trace is uneven itself."""
    params = drawn(300, *size, blur=False, opacity=(1.0, 1.0))
    mask = soft_mask(params, *size)[:, 0].numpy()
    assert set(np.unique(mask)) == {0.0, 1.0}
    expected = np.stack([by_pillow_and_scipy(params, index, *size)[0] for index in range(300)])
    different = (expected != (mask > 0)).sum((1, 2))
    ellipse = params.ellipse[:, 0].numpy()
    assert not different[~ellipse].any()
    assert different.max() <= 4
    assert (different > 0).sum() <= ellipse.sum() / 20


@pytest.mark.parametrize("size", SIZES)
def test_soft_shapes_are_blurred_as_scipy_blurs_them(size):
    """Tolerance: 1e-5, wherever Pillow draws the same pixels."""
    params = drawn(80, *size)
    soft = soft_mask(params, *size)[:, 0]
    hard = soft_mask(params._replace(sigma=torch.zeros(80, 1)), *size)[:, 0] > 0
    compared = 0
    for index in range(80):
        shape, expected = by_pillow_and_scipy(params, index, *size)
        if np.array_equal(shape, hard[index].numpy()):
            compared += 1
            np.testing.assert_allclose(soft[index].numpy(), expected, rtol=0, atol=1e-5)
    assert compared >= 70


@paths
@pytest.mark.parametrize("ellipse", [False, True])
@pytest.mark.parametrize("sigma", [0.01, 0.12, 0.3, 1.0, 7.5, 15.0, 100.0])
@pytest.mark.parametrize(("center_y", "center_x"), [(32, 32), (0, 0), (63, 0), (5, 60)])
def test_any_blur_at_any_border(path, ellipse, sigma, center_y, center_x):
    """Tolerance: 1e-5. A sigma of 100 px reaches beyond the image, where its weights go to the nearest edge."""
    params = plain_params(ellipse=ellipse, sigma=sigma, center_y=center_y, center_x=center_x)
    hard = path(params._replace(sigma=torch.zeros(1, 1)), 64, 64)[0, 0].numpy().astype(np.float64)
    # SciPy normalises the kernel before it is cut at the image, so that it needs room to cut it where we do.
    radius = int(blur_radius(params.sigma[0], 64))
    expected = ndimage.gaussian_filter(hard, float(params.sigma), mode="nearest", radius=radius)
    np.testing.assert_allclose(path(params, 64, 64)[0, 0].numpy(), expected, rtol=0, atol=1e-5)


@paths
@pytest.mark.parametrize("ellipse", [False, True])
@pytest.mark.parametrize("size", [(40, 90), (90, 40)])
def test_a_blur_may_reach_beyond_the_shorter_side(path, ellipse, size):
    """Tolerance: 1e-5."""
    params = plain_params(ellipse=ellipse, sigma=16.0, center_y=3, center_x=35)
    hard = path(params._replace(sigma=torch.zeros(1, 1)), *size)[0, 0].numpy().astype(np.float64)
    expected = ndimage.gaussian_filter(hard, 16.0, mode="nearest", radius=64)
    np.testing.assert_allclose(path(params, *size)[0, 0].numpy(), expected, rtol=0, atol=1e-5)


# exact properties


def test_without_blur_the_shape_has_its_opacity_bit_for_bit():
    params = drawn(50, 128, 128, blur=False)
    for mask, opacity in zip(soft_mask(params, 128, 128), params.opacity, strict=True):
        assert mask[mask > 0].unique().tolist() == [opacity.item()]


@paths
@pytest.mark.parametrize("height", [1, 2, 3, 19, 20, 21])
@pytest.mark.parametrize("ellipse", [False, True])
def test_a_patch_smaller_than_its_margins_leaves_one_pixel(path, height, ellipse):
    mask = path(plain_params(height=height, width=height, ellipse=ellipse), 64, 64)
    assert mask.nonzero().tolist() == [[0, 0, 32, 32]]


@paths
@pytest.mark.parametrize("ellipse", [False, True])
def test_a_thin_patch_leaves_a_line(path, ellipse):
    mask = path(plain_params(height=5, width=40, ellipse=ellipse), 64, 64)[0, 0]
    assert mask.nonzero().tolist() == [[32, column] for column in range(22, 43)]


@paths
@pytest.mark.parametrize("ellipse", [False, True])
def test_soft_masks_stay_within_one(path, ellipse):
    """Of the ellipses here, sums of rounded weights come to 1.0000001 now and then."""
    shape = {"height": 60, "width": torch.arange(20, 60), "margin": 0, "ellipse": ellipse}
    params = plain_params(40, **shape, sigma=torch.linspace(0, 20, 40))
    assert path(params, 64, 64).max() <= 1


@paths
@pytest.mark.parametrize(("reach_y", "reach_x"), [(511, 509), (320, 500), (500, 167), (360, 486), (128, 497)])
def test_large_ellipses_end_at_the_midpoint_next_to_the_curve(path, reach_y, reach_x):
    """In whole numbers: a row ends where its last pixel's inner edge meets the ellipse, seen along one axis.

    Of the last two, float32 gets one pixel wrong.
    """
    params = plain_params(height=2 * reach_y, width=2 * reach_x, margin=0, center_y=511, center_x=511, ellipse=True)
    y, x = np.ogrid[-511:513, -511:513]
    y, x = abs(y), abs(x)
    along_row = (2 * x * (x - 1) + 1) * (x > 0) * reach_y**2 <= 2 * reach_x**2 * (reach_y**2 - y**2)
    along_column = (2 * y * (y - 1) + 1) * (y > 0) * reach_x**2 <= 2 * reach_y**2 * (reach_x**2 - x**2)
    expected = (along_row | along_column) & (y <= reach_y) & (x <= reach_x)
    assert np.array_equal(path(params, 1024, 1024)[0, 0].numpy() > 0, expected)


def test_the_shape_is_the_patch_less_its_margins():
    params = plain_params(height=[60, 61], width=[50, 51], margin=[10, 4], center_y=30, center_x=32, count=2)
    assert [edge.tolist() for edge in extent(params)] == [[10, 4], [50, 56], [17, 11], [47, 53]]


def test_a_shape_at_the_border_is_cut():
    mask = soft_mask(plain_params(center_y=0, center_x=63), 64, 64)[0, 0]
    assert mask[:11, 53:].all()
    assert mask.sum() == 11 * 11


def test_the_blur_keeps_the_weight_of_a_shape_inside():
    """Tolerance: 1e-4 of the sum."""
    params = plain_params(sigma=4.0, center_y=64, center_x=64, height=50, width=40)
    assert soft_mask(params, 128, 128).sum() == pytest.approx(31 * 21, rel=1e-4)


def test_nothing_exceeds_the_opacity_and_nothing_is_negative():
    """Tolerance: 1e-6 above the opacity, for float sums of the weights."""
    params = drawn(100, 96, 96)
    mask = soft_mask(params, 96, 96)
    assert mask.min() == 0
    assert (mask.amax((1, 2, 3)) <= params.opacity[:, 0] + 1e-6).all()
    assert mask.max() <= 1


def test_the_lungs_are_multiplied_in_unless_the_shape_may_be_anywhere():
    lungs = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0)) < 0.5
    params = plain_params(2, sigma=3.0, anywhere=[False, True])
    free = soft_mask(params, 64, 64)
    bound = soft_mask(params, 64, 64, lungs)
    assert torch.equal(bound[0], free[0] * lungs[0])
    assert torch.equal(bound[1], free[1])


def test_an_image_that_is_left_alone_has_an_empty_mask():
    mask = soft_mask(plain_params(3, sigma=3.0, apply=[True, False, True]), 64, 64)
    assert mask.flatten(1).any(1).tolist() == [True, False, True]


def test_an_empty_batch_gives_an_empty_one():
    assert soft_mask(plain_params(0), 64, 48).shape == (0, 1, 64, 48)


def test_masks_are_float32_whatever_autocast_says():
    params = drawn(20, 64, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = soft_mask(params, 64, 64)
    assert under_autocast.dtype == torch.float32
    assert torch.equal(under_autocast, soft_mask(params, 64, 64))


# windows and whole frames


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("blur", [True, False])
def test_windows_equal_whole_frames(size, blur):
    """Tolerance: 1e-5 on the values, none on the support."""
    params = drawn(60, *size, blur=blur, p=0.8)
    lungs = torch.rand(60, 1, *size, generator=torch.Generator().manual_seed(0)) < 0.5
    params = params._replace(anywhere=(torch.arange(60) % 2 == 0).unsqueeze(1))
    windows, frames = soft_mask(params, *size, lungs), on_whole_frames(params, *size, lungs)
    torch.testing.assert_close(windows, frames, rtol=0, atol=1e-5)
    assert torch.equal(windows > 0, frames > 0)


@pytest.mark.parametrize("sigma", [0.0, 0.3, 2.0, 15.0])
def test_half_a_gaussian_sums_to_one_with_its_mirror(sigma):
    """Tolerance: 1e-6."""
    half = half_gaussian(torch.tensor([sigma]), 128)[0]
    assert 2 * half.sum() - half[0] == pytest.approx(1, abs=1e-6)
    radius = math.floor(4 * sigma + 0.5)
    assert half.nonzero().flatten().tolist() == list(range(radius + 1))
    beyond = weight_beyond(half[None])[0]
    assert beyond.nonzero().flatten().tolist() == list(range(radius))
    torch.testing.assert_close(beyond, half.sum() - half.cumsum(0), rtol=0, atol=1e-6)


@pytest.mark.parametrize("sigma", [1e4, 3e18, 1e30, 3e38])
def test_a_blur_wider_than_any_image_is_even(sigma):
    """Tolerance: 1e-6. No whole number of 64 bits is four times as large as the largest of these."""
    params = plain_params(sigma=sigma, height=21, width=21, margin=0)
    windows, frames = soft_mask(params, 64, 64), on_whole_frames(params, 64, 64)
    torch.testing.assert_close(windows, frames, rtol=0, atol=1e-6)
    torch.testing.assert_close(
        windows, soft_mask(params._replace(sigma=torch.tensor([[1e6]])), 64, 64), rtol=0, atol=1e-6
    )
