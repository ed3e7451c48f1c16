import numpy as np
import pytest
import torch
from helpers.oracles import clear_border_8, iou, remove_small, smooth_images
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.morphology import closing, disk, opening

from anatpaste_aug.segmentation import ThresholdSegmenter

SQUARE = np.ones((3, 3), dtype=bool)


def by_scipy(image, threshold, polarity, options):
    """The same steps on one 256×256 image, where lengths and areas are pixels."""
    mask = image <= threshold if polarity == "dark" else image > threshold
    if options.get("opening"):
        mask = opening(mask, disk(options["opening"]))
    if options.get("closing"):
        mask = closing(mask, disk(options["closing"]))
    if options.get("fill"):
        mask = ndimage.binary_fill_holes(mask)
    if options.get("clear_border"):
        mask = clear_border_8(mask)
    mask = remove_small(mask, options.get("min_size", 0))
    labels, count = ndimage.label(mask, structure=SQUARE)
    area = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    kept = np.flatnonzero(area <= (options.get("max_size") or np.inf))
    order = kept[np.argsort(-area[kept], kind="stable")][: options.get("keep")]
    return np.isin(labels, 1 + order)


@given(
    threshold=st.integers(60, 190),
    polarity=st.sampled_from(["dark", "bright"]),
    options=st.fixed_dictionaries(
        {},
        optional={
            "opening": st.integers(0, 4),
            "closing": st.integers(0, 4),
            "fill": st.booleans(),
            "clear_border": st.booleans(),
            "min_size": st.integers(0, 300),
            "max_size": st.integers(300, 4000),
            "keep": st.integers(1, 3),
        },
    ),
    seed=st.integers(0, 9),
)
@settings(max_examples=25, deadline=None)
def test_every_setting_is_that_of_scipy_and_scikit_image(threshold, polarity, options, seed):
    images = smooth_images(1, 256, 256, seed=seed)
    mask = ThresholdSegmenter(threshold, polarity=polarity, **options)(images)
    assert np.array_equal(mask[0, 0].numpy(), by_scipy(images[0, 0].numpy(), threshold, polarity, options))


@pytest.mark.parametrize("polarity", ["dark", "bright"])
def test_otsu_is_that_of_scikit_image(polarity):
    """Tolerance: IoU 0.999, for the 14 bits to which gray values are rounded."""
    images = smooth_images(5, 96, 80).double().div_(255).add_(1e-3 * torch.rand(5, 1, 96, 80, dtype=torch.float64))
    mask = ThresholdSegmenter(polarity=polarity)(images * 4071 - 1024)
    for found, image in zip(mask, images, strict=True):
        dark = image <= threshold_otsu(image.numpy())
        assert iou(found, dark if polarity == "dark" else ~dark).min() >= 0.999


def test_lengths_and_areas_scale_with_the_image():
    image = torch.zeros(1, 1, 512, 512)
    image[..., 100:140, 100:110] = image[..., 300:340, 100:111] = 1.0  # 400 and 440 pixels: 100 and 110 at 256×256
    mask = ThresholdSegmenter(0.5, polarity="bright", min_size=105)(image)
    assert mask.sum() == 440
    assert ThresholdSegmenter(0.5, polarity="bright", max_size=105)(image).sum() == 400
    image[..., 120:123, :] = 0.0  # a gap of three pixels
    assert not ThresholdSegmenter(0.5, polarity="bright", closing=0.5)(image)[0, 0, 121, 100:110].any()
    assert ThresholdSegmenter(0.5, polarity="bright", closing=1)(image)[0, 0, 121, 103:107].all()


def test_repr_lists_the_settings():
    text = repr(ThresholdSegmenter(0.3, polarity="bright", keep=2))
    assert text.startswith("ThresholdSegmenter(threshold=0.3, polarity='bright', opening=0.0,")
    assert text.endswith("max_size=None, keep=2)")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": "mean"}, "threshold must be a finite number or \"otsu\", got 'mean'"),
        ({"threshold": float("nan")}, "threshold must be a finite number"),
        ({"polarity": "black"}, "polarity must be one of 'dark', 'bright', got 'black'"),
        ({"opening": -1}, r"opening must be a number in \[0, 256\], got -1"),
        ({"closing": 1000}, r"closing must be a number in \[0, 256\], got 1000"),
        ({"min_size": -1}, "min_size must be a finite number of at least 0, got -1"),
        ({"min_size": 9, "max_size": 8}, "max_size must be a finite number of at least 9 or None, got 8"),
        ({"keep": 0}, "keep must be a whole number of at least 1, got 0"),
        ({"keep": 1.5}, "keep must be a whole number of at least 1, got 1.5"),
    ],
)
def test_an_impossible_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        ThresholdSegmenter(**settings)
