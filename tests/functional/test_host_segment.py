"""The segmentation for the CPU, step by step against the one for accelerators, which the oracles vouch for."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracles import redistributed, smooth_images, tile_histograms

from anatpaste_aug.functional import clahe, dilate, otsu_threshold, segment_lungs
from anatpaste_aug.functional.host_segment import _clahe, _dilate, _otsu, _redistribute
from anatpaste_aug.functional.intensity import GRAY_LEVELS

SIZES = [(32, 32), (33, 57), (64, 128), (250, 250), (301, 257), (1100, 40), (500, 600)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_levels_are_the_same(size, dtype):
    gray = smooth_images(3, *size)[:, 0].to(dtype)
    gray = gray if dtype == torch.uint8 else gray / 255
    assert np.array_equal(_clahe(gray.numpy()), clahe(gray).numpy())


@given(tile_histograms())
@settings(max_examples=300, deadline=None)
def test_redistribution_equals_scikit_images_loop(case):
    hist, limit = case
    assert np.array_equal(_redistribute(hist[None].copy(), hist.sum(), limit), redistributed(hist[None], limit))


@given(hnp.arrays(np.int64, (2, 6, 7), elements=st.integers(0, GRAY_LEVELS - 1) | st.sampled_from([0, 1, 64, 8191])))
@settings(max_examples=300, deadline=None)
def test_thresholds_are_the_same(levels):
    assert np.array_equal(_otsu(levels), otsu_threshold(torch.from_numpy(levels)).numpy())


@pytest.mark.parametrize("size", [(32, 40), (1, 9), (9, 1)])
def test_dilation_is_the_same(size):
    mask = np.random.default_rng(0).random((10, *size)) < 0.3
    assert np.array_equal(_dilate(mask), dilate(torch.from_numpy(mask)).numpy())


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("size", [(64, 64), (300, 300)])
def test_masks_do_not_depend_on_the_number_of_threads(threads, size):
    images = smooth_images(7, *size)
    expected = segment_lungs(images)[0]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert torch.equal(segment_lungs(images)[0], expected)
    finally:
        torch.set_num_threads(before)
