import numpy as np
import pytest
import torch
from helpers.oracles import drawn_shape, plain_params
from scipy import ndimage

from anatpaste_aug.functional import soft_mask as soft_masks
from anatpaste_aug.paste import PasteConfig, sample_params

pytestmark = pytest.mark.usefixtures("path")

SIZES = [(256, 256), (64, 64), (100, 160), (32, 32)]
both_shapes = pytest.mark.parametrize("ellipse", [False, True], ids=["rectangle", "ellipse"])


def drawn(count, height, width, **settings):
    """Parameters as they are drawn in use, anywhere in the image and so also over its border."""
    generator = torch.Generator().manual_seed(height + width + 2)
    return sample_params(PasteConfig(**settings), (count, 1, height, width), generator=generator)


def soft_mask(*arguments):
    """As AnatPaste makes it: nothing is rotated."""
    return soft_masks(*arguments, rotated=False)


def by_pillow(params, index, height, width):
    """Boolean H×W: the patch less its margins, of an odd number of pixels and at least one."""
    row = {name: field[index, 0].item() for name, field in params._asdict().items() if field.ndim == 2}
    edges = []
    for start, side in ((row["top"], row["height"]), (row["left"], row["width"])):
        reach = max(side // 2 - row["margin"], 0)
        edges += [start + side // 2 - reach, start + side // 2 + reach]
    return drawn_shape(height, width, *edges, row["ellipse"])


# against Pillow and SciPy


@pytest.mark.parametrize("size", SIZES)
def test_hard_shapes_are_pillows(size):
    """Tolerance: none for rectangles; at most 4 pixels in 1 of 20 ellipses, where Pillow's trace is uneven itself."""
    params = drawn(300, *size, blur=False, opacity=(1.0, 1.0))
    mask = soft_mask(params, *size)[:, 0].numpy()
    assert set(np.unique(mask)) == {0.0, 1.0}
    expected = np.stack([by_pillow(params, index, *size) for index in range(300)])
    different = (expected != (mask > 0)).sum((1, 2))
    ellipse = params.ellipse[:, 0].numpy()
    assert not different[~ellipse].any()
    assert different.max() <= 4
    assert (different > 0).sum() <= ellipse.sum() / 20


@pytest.mark.parametrize("size", SIZES)
def test_soft_shapes_are_blurred_as_scipy_blurs_them(size):
    """Tolerance: 1e-5."""
    params = drawn(80, *size)
    soft, hard = (soft_mask(p, *size)[:, 0].numpy() for p in (params, params._replace(sigma=0 * params.sigma)))
    for i, sigma in enumerate(params.sigma[:, 0].tolist()):
        expected = ndimage.gaussian_filter(hard[i].astype(np.float64), sigma, mode="nearest", truncate=4)
        np.testing.assert_allclose(soft[i], expected, rtol=0, atol=1e-5)


@both_shapes
@pytest.mark.parametrize("sigma", [0.01, 0.12, 0.3, 1.0, 7.5, 15.0, 100.0])
@pytest.mark.parametrize(
    ("size", "center"),
    [((64, 64), (32, 32)), ((64, 64), (0, 0)), ((64, 64), (63, 0)), ((40, 90), (3, 35)), ((90, 40), (3, 35))],
)
def test_any_blur_at_any_border(ellipse, sigma, size, center):
    """Tolerance: 1e-5. A sigma of 100 px reaches beyond the image, where its weights go to the nearest edge."""
    params = plain_params(ellipse=ellipse, sigma=sigma, center_y=center[0], center_x=center[1])
    hard = soft_mask(params._replace(sigma=torch.zeros(1, 1)), *size)[0, 0].numpy().astype(np.float64)
    # Ours is cut off at 4 sigma, and at the longer side of the image.
    radius = min(int(4 * sigma + 0.5), max(size) - 1)
    expected = ndimage.gaussian_filter(hard, sigma, mode="nearest", radius=radius)
    np.testing.assert_allclose(soft_mask(params, *size)[0, 0].numpy(), expected, rtol=0, atol=1e-5)


# exact properties


def test_without_blur_the_shape_has_its_opacity_bit_for_bit():
    params = drawn(50, 128, 128, blur=False)
    for mask, opacity in zip(soft_mask(params, 128, 128), params.opacity, strict=True):
        assert mask[mask > 0].unique().tolist() == [opacity.item()]


@both_shapes
@pytest.mark.parametrize(
    ("height", "width", "columns"), [(1, 1, [32]), (20, 20, [32]), (21, 21, [32]), (5, 40, range(22, 43))]
)
def test_of_a_patch_smaller_than_its_margins_a_pixel_or_a_line_is_left(height, width, columns, ellipse):
    mask = soft_mask(plain_params(height=height, width=width, ellipse=ellipse), 64, 64)
    assert mask.nonzero().tolist() == [[0, 0, 32, column] for column in columns]


@both_shapes
def test_soft_masks_stay_within_one(ellipse):
    """Of the ellipses here, sums of rounded weights come to 1.0000001 now and then."""
    shape = {"height": 60, "width": torch.arange(20, 60), "margin": 0, "ellipse": ellipse}
    params = plain_params(40, **shape, sigma=torch.linspace(0, 20, 40))
    assert soft_mask(params, 64, 64).max() <= 1


@pytest.mark.parametrize(("reach_y", "reach_x"), [(511, 509), (320, 500), (500, 167), (360, 486), (128, 497)])
def test_large_ellipses_end_at_the_midpoint_next_to_the_curve(reach_y, reach_x):
    """In whole numbers: a row ends where its last pixel's inner edge meets the ellipse, seen along one axis.

    Of the last two, float32 gets one pixel wrong.
    """
    params = plain_params(height=2 * reach_y, width=2 * reach_x, margin=0, center_y=511, center_x=511, ellipse=True)
    y, x = np.ogrid[-511:513, -511:513]
    y, x = abs(y), abs(x)
    along_row = (2 * x * (x - 1) + 1) * (x > 0) * reach_y**2 <= 2 * reach_x**2 * (reach_y**2 - y**2)
    along_column = (2 * y * (y - 1) + 1) * (y > 0) * reach_x**2 <= 2 * reach_y**2 * (reach_x**2 - x**2)
    expected = (along_row | along_column) & (y <= reach_y) & (x <= reach_x)
    assert np.array_equal(soft_mask(params, 1024, 1024)[0, 0].numpy() > 0, expected)


def test_the_lungs_are_multiplied_in_unless_the_shape_may_be_anywhere():
    lungs = torch.rand(2, 1, 64, 64) < 0.5
    params = plain_params(2, sigma=3.0, anywhere=[False, True])
    free = soft_mask(params, 64, 64)
    bound = soft_mask(params, 64, 64, lungs)
    assert torch.equal(bound[0], free[0] * lungs[0])
    assert torch.equal(bound[1], free[1])


def test_masks_are_float32_whatever_autocast_says():
    params = drawn(20, 64, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = soft_mask(params, 64, 64)
    assert under_autocast.dtype == torch.float32
    assert torch.equal(under_autocast, soft_mask(params, 64, 64))


@pytest.mark.parametrize("sigma", [1e4, 3e18, 1e30, 3e38])
def test_a_blur_wider_than_any_image_is_even(sigma):
    """Tolerance: 1e-6. No whole number of 64 bits is four times as large as the largest of these."""
    params = plain_params(sigma=[sigma, 1e6], height=21, width=21, margin=0, count=2)
    first, second = soft_mask(params, 64, 64)
    torch.testing.assert_close(first, second, rtol=0, atol=1e-6)
