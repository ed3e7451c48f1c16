import numpy as np
import pytest
import torch
from helpers.oracles import clear_border_8, iou, remove_small
from scipy import ndimage
from skimage.morphology import closing, disk, opening

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.segmentation import CTLungSegmenter

SIZE = 256


def ellipse(center_y, center_x, radius_y, radius_x, size=SIZE):
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    return ((x - center_x) / radius_x) ** 2 + ((y - center_y) / radius_y) ** 2 < 1


def drawn(size=SIZE, noise=20.0):
    """A slice in Hounsfield units with vessels, trachea, table and the air between body and table; and its lungs."""
    lungs = ellipse(0, -0.4, 0.4, 0.26, size) | ellipse(0, 0.4, 0.4, 0.26, size)
    hu = torch.full((size, size), -1000.0)
    hu[ellipse(0, 0, 0.64, 0.9, size)] = 40.0
    table = ellipse(0.3, 0, 0.6, 0.95, size) & ~ellipse(0.26, 0, 0.59, 0.93, size)
    hu[table & (hu < -500)] = 300.0
    hu[lungs] = -850.0
    hu[ellipse(-0.1, 0.4, 0.02, 0.02, size) | ellipse(0.1, -0.4, 0.015, 0.03, size)] = 60.0  # vessels
    hu[ellipse(-0.1, 0, 0.05, 0.05, size)] = -1000.0  # trachea
    hu += noise * torch.randn(size, size, generator=torch.Generator().manual_seed(0))
    return hu.view(1, 1, size, size), lungs.view(1, 1, size, size)


def by_scipy(hu, min_size=200, radius=3):
    """The same steps on one 256×256 slice, where lengths and areas are pixels."""
    air = hu < -400
    labels, _ = ndimage.label(opening(~air, np.ones((3, 3))), structure=np.ones((3, 3)))
    body = ndimage.binary_fill_holes(labels == 1 + np.argmax(np.bincount(labels.ravel())[1:]))
    lungs = remove_small(clear_border_8(air & body), min_size)
    return ndimage.binary_fill_holes(closing(lungs, disk(radius)))


@pytest.mark.parametrize("size", [64, 128, 256, 384])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_the_lungs_of_a_drawn_slice(size, dtype):
    """Tolerance: IoU 0.98, for vessels at the lungs' edge."""
    hu, lungs = drawn(size)
    assert iou(CTLungSegmenter()(hu.to(dtype)), lungs).min() >= 0.98


def test_every_step_is_that_of_scipy_and_scikit_image():
    """On slices and on noise of several grains."""
    rng = np.random.default_rng(0)
    noise = [ndimage.gaussian_filter(rng.standard_normal((SIZE, SIZE)), sigma) for sigma in (2, 4, 6, 9)]
    slices = [drawn()[0][0, 0].numpy(), *(-300 + 500 * image / image.std() for image in noise)]
    for hu in slices:
        found = CTLungSegmenter()(torch.from_numpy(hu)[None, None])
        assert np.array_equal(found[0, 0].numpy(), by_scipy(hu))


def test_limits_of_size_drop_trachea_and_smaller_lungs():
    hu, lungs = drawn(noise=0)
    trachea = ellipse(-0.1, 0, 0.05, 0.05).view_as(lungs)
    assert 50 < trachea.sum() < 200
    assert not (CTLungSegmenter()(hu) & trachea).any()
    assert (CTLungSegmenter(min_size=50)(hu) & trachea).any()
    hu[..., 128:][lungs[..., 128:]] = 40.0
    hu[..., 150:190, 160:190] = -800.0
    assert not CTLungSegmenter(keep=1)(hu)[..., 128:].any()
    assert CTLungSegmenter(keep=2)(hu)[..., 128:].any()


def test_other_units_give_the_same_lungs():
    hu, lungs = drawn()
    stored = hu + 1024
    expected = CTLungSegmenter()(hu)
    assert torch.equal(CTLungSegmenter(intercept=-1024)(stored), expected)
    windowed = ((hu + 1350) / 1500).clamp(0, 1)
    assert iou(CTLungSegmenter.from_window(-600, 1500)(windowed), expected).min() == 1
    gray = (windowed * 255).round().to(torch.uint8)
    assert iou(CTLungSegmenter.from_window(-600, 1500, (0, 255))(gray), lungs).min() >= 0.98
    assert CTLungSegmenter.from_window(-600, 1500, (0, 255), keep=2).keep == 2


def test_it_segments_for_the_transform():
    hu, lungs = drawn()
    result = AnatPasteTransform(segmenter=CTLungSegmenter(), value_range=(-1200, 3071)).augment(hu)
    assert torch.equal(result.region_mask, CTLungSegmenter()(hu))
    assert result.anomaly_mask.any()
    assert not (result.anomaly_mask & ~result.region_mask).any()
    # The segmenter gets normalized images in [0, 1], so it needs their units.
    unit = (hu.clamp(-1024, 3071) + 1024) / 4095
    segmenter = CTLungSegmenter.from_window(1023.5, 4095)
    normalized = AnatPasteTransform(segmenter=segmenter, mean=[0.3], std=[0.2]).augment((unit - 0.3) / 0.2)
    assert iou(normalized.region_mask, lungs).min() >= 0.98


def test_slices_without_air_or_body_have_no_lungs():
    slices = torch.stack([torch.full((1, 64, 64), value) for value in (-1000.0, 40.0)])
    mask, converged = CTLungSegmenter().segment(slices)
    assert not mask.any()
    assert converged.all()
    assert CTLungSegmenter()(slices[:0]).shape == (0, 1, 64, 64)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"slope": -1}, "slope must be above 0, got -1; invert the images first"),
        ({"intercept": float("inf")}, "intercept must be a finite number, got inf"),
        ({"threshold": "air"}, "threshold must be a finite number, got 'air'"),
        ({"min_size": -1}, "min_size must be a finite number of at least 0"),
        ({"keep": 0}, "keep must be a whole number of at least 1, got 0"),
        ({"closing": -3}, "closing must be a number in"),
    ],
)
def test_an_impossible_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        CTLungSegmenter(**settings)


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ((-600, 0), "width must be above 0, got 0"),
        ((40, 400), "the window from -160 to 240 HU must contain the threshold, got threshold=-400"),
        ((-600, 1500, (1, 0)), "value_range must be"),
        (("lung", 1500), "level must be a finite number, got 'lung'"),
    ],
)
def test_an_impossible_window_is_named(window, message):
    with pytest.raises(ValueError, match=message):
        CTLungSegmenter.from_window(*window)
