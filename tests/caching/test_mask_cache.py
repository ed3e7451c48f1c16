import pickle
import re

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracles import smooth_images
from torch.utils.data import ConcatDataset, DataLoader

from anatpaste_aug import AnatPasteTransform, LungSegmenter, RegionMask
from anatpaste_aug.caching import MaskCache, MaskCacheError, pack_masks, unpack_masks


@pytest.fixture
def full(cache, images):
    cache.fill(images, progress=False)
    return cache


# what is read is what the segmenter gives


@pytest.mark.parametrize("size", [(64, 64), (97, 83)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_masks_are_those_of_the_paper_bit_for_bit(tmp_path, size, channels, dtype):
    images = smooth_images(6, *size, channels)
    images = images if dtype == torch.uint8 else images / 255
    with MaskCache.open(tmp_path / "x", count=6, size=size) as cache:
        cache.fill(images, batch_size=4, progress=False)
    expected = LungSegmenter()(images)
    assert expected.any()
    with MaskCache.open(tmp_path / "x", count=6, size=size) as cache:
        assert torch.equal(cache[:], expected)
        assert torch.equal(cache.for_images(images), expected)


def test_masks_of_radiographs_are_those_of_the_paper_bit_for_bit(tmp_path, radiographs):
    images = radiographs.images[:32]
    with MaskCache.open(tmp_path / "x", count=32, size=(256, 256)) as cache:
        cache.fill(images, progress=False)
        assert torch.equal(cache[:], LungSegmenter()(images))


@given(masks=hnp.arrays(np.bool_, st.tuples(st.integers(1, 5), st.just(1), st.integers(32, 45), st.integers(32, 45))))
@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_masks_of_any_shape_come_back(tmp_path, masks):
    """The images are the masks themselves, and the segmenter hands them back."""
    settings = {"count": len(masks), "size": masks.shape[2:], "segmenter": lambda images: images > 0}
    (tmp_path / "x").unlink(missing_ok=True)
    for cache in (
        MaskCache.open(tmp_path / "x", fingerprint="itself", **settings),
        MaskCache.in_memory(**settings),
    ):
        cache.fill(torch.from_numpy(masks).to(torch.uint8), batch_size=2, progress=False)
        assert np.array_equal(cache[:], masks)


def test_it_takes_the_place_of_the_segmenter_in_a_training_loop(tmp_path):
    images, transform = smooth_images(8, 64, 64), AnatPasteTransform()
    indices = torch.tensor([5, 2, 2, 7])
    with MaskCache.open(tmp_path / "lungs.masks", count=len(images), size=(64, 64)) as cache:
        cache.fill(images, progress=False)
        torch.manual_seed(0)
        result = transform.augment(images[indices], cache[indices])
    torch.manual_seed(0)
    expected = transform.augment(images[indices])
    assert torch.equal(result.image, expected.image)
    assert torch.equal(result.region_mask, expected.region_mask)


def test_one_mask_is_the_region_mask_of_a_sample(full):
    mask = RegionMask(full[3])
    assert mask.shape == (1, *full.size)


# indices


@pytest.mark.parametrize(
    "indices",
    [
        [3, 0, 3, -1],
        (5,),
        range(2, 30, 3),
        slice(None),
        slice(30, 2, -4),
        slice(5, 5),
        [],
        torch.tensor([7, 7, -40]),
        torch.tensor([7, 39], dtype=torch.int32),
        torch.empty(0, dtype=torch.int64),
        np.array([1, 39]),
        np.arange(5, dtype=np.uint8),
    ],
)
def test_many_indices_give_a_batch(full, expected, indices):
    rows = indices if isinstance(indices, slice) else np.array(list(indices), dtype=int)
    known = expected.numpy()[rows]
    masks = full[indices]
    assert masks.dtype == torch.bool
    assert np.array_equal(masks, known)
    assert torch.equal(full.masks(indices), masks)
    assert torch.equal(unpack_masks(full.packed(indices), full.size), masks)


@pytest.mark.parametrize("one", [4, -36, np.int64(4), torch.tensor(4)])
def test_one_index_gives_one_mask(full, expected, one):
    assert torch.equal(full[one], expected[4])
    assert torch.equal(full.masks(one), expected[[4]])


def test_it_is_a_sequence(full, expected):
    assert len(full) == 40
    assert torch.equal(torch.stack(list(full)), expected)


@pytest.mark.parametrize(
    ("indices", "error", "named"),
    [
        (40, IndexError, "indices 40 are out of range for 40 masks"),
        ([0, -41, 99], IndexError, "indices -41, 99 are out of range"),
        (1.0, TypeError, "indices must be integers, one or a row of them, got float64 of shape ()"),
        ([[1, 2]], TypeError, "got int64 of shape (1, 2)"),
        (torch.ones(40, dtype=torch.bool), TypeError, "got bool of shape (40,); turn a boolean mask into indices"),
        ("3", TypeError, "indices must be integers"),
        (torch.zeros(3, dtype=torch.int64, device="meta"), TypeError, "indices must be on the CPU, where the cache is"),
    ],
)
def test_indices_of_another_kind_are_an_error(full, indices, error, named):
    with pytest.raises(error, match=re.escape(named)):
        full[indices]


# what is not there


def test_a_missing_mask_is_never_made_up(cache, images):
    cache.fill(images, indices=[0, 1, 2, 3], progress=False)
    assert cache[[0, 3]].shape == (2, 1, *cache.size)
    assert cache.missing().tolist() == list(range(4, 40))
    with pytest.raises(MaskCacheError, match=r"2 are missing \(5, 9\); cache.fill\(dataset\) computes them"):
        cache[[0, 5, 9]]
    with pytest.raises(MaskCacheError, match=r"36 are missing \(4, 5, 6, 7, 8, …\)"):
        cache.packed()
    with pytest.raises(MaskCacheError, match=r"for images 1, 2 of the batch; fill the cache with these very bytes"):
        cache.for_images(images[[3, 4, 5]])


def test_a_damaged_mask_is_an_error_and_filled_again(opened, images, expected):
    cache = opened()
    cache.fill(images, progress=False)
    cache.storage._put(cache.storage.layout.masks_offset + 3 * cache.storage.layout.mask_bytes + 7, memoryview(b"\xaa"))
    assert cache.missing().tolist() == [3]
    with pytest.raises(
        MaskCacheError, match=r"1 do not match their checksums \(3\); cache.fill\(dataset\) computes them"
    ):
        cache[:]
    with pytest.raises(MaskCacheError, match="for images 3 of the batch"):
        cache.for_images(images)
    cache.fill(images, progress=False)
    assert torch.equal(cache[:], expected)


def test_a_cache_by_content_has_no_index(settings, images, expected):
    cache = MaskCache.in_memory(count=40, size=settings["size"], segmenter=settings["segmenter"], key="content")
    cache.fill(images, progress=False)
    with pytest.raises(TypeError, match="have no index; use for_images or CachedSegmenter"):
        cache[0]
    assert torch.equal(cache.for_images(images.flip(0)), expected.flip(0))


def test_images_of_another_size_are_named(full, images):
    with pytest.raises(ValueError, match="images are of 35×33 pixels and the cache of 33×35"):
        full.for_images(images.mT)


def test_equal_images_share_what_is_found_by_content(settings, images, expected):
    twice = torch.cat([images[:20], images[:20]])
    cache = MaskCache.in_memory(count=40, size=settings["size"], segmenter=settings["segmenter"])
    cache.fill(twice, progress=False)
    assert torch.equal(cache.for_images(images[:20]), expected[:20])


# processes, pickles, ends


@pytest.mark.slow
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_of_a_loader_read_it(opened, settings, images, expected, start):
    del settings["fingerprint"]
    caches = [opened(fingerprint="bright"), MaskCache.in_memory(**settings)]
    for cache in caches:
        cache.fill(images, progress=False)
    loader = DataLoader(ConcatDataset(caches), batch_size=16, num_workers=1, multiprocessing_context=start)
    assert torch.equal(torch.cat(list(loader)), torch.cat([expected, expected]))


def test_a_pickled_cache_reads_and_does_not_fill(full, images, expected):
    full.for_images(images)  # sets up a table that need not travel
    copy = pickle.loads(pickle.dumps(full))
    assert torch.equal(copy[:], expected)
    assert torch.equal(copy.for_images(images), expected)
    with pytest.raises(MaskCacheError, match="came through pickle, without its segmenter; fill it where it was opened"):
        copy.fill(images, progress=False)


def test_a_pickled_file_is_small_whatever_the_segmenter(opened, images):
    cache = opened(segmenter=torch.nn.Conv2d(1, 1, 99))
    cache.fill(images, indices=[], progress=False)
    assert len(pickle.dumps(cache)) < 1000


def test_a_relative_path_holds_in_another_folder(opened, tmp_path, monkeypatch, images, expected):
    monkeypatch.chdir(tmp_path)
    cache = opened("here")
    cache.fill(images, progress=False)
    monkeypatch.chdir("/")
    assert torch.equal(pickle.loads(pickle.dumps(cache))[:], expected)


def test_a_closed_cache_says_so(full):
    with full as entered:
        assert entered is full
    full.close()  # a second time
    assert repr(full) == "MaskCache(closed)"
    for use in (lambda: full[0], lambda: len(full), lambda: full.size, lambda: full.missing()):
        with pytest.raises(MaskCacheError, match="this cache is closed; open it again"):
            use()


def test_masks_outlive_the_cache(full, expected):
    masks, packed = full[:], full.packed()
    full.close()
    assert torch.equal(masks, expected)
    assert torch.equal(packed, pack_masks(expected))


def test_the_repr_says_what_it_is(opened, tmp_path):
    shown = f"MaskCache('{tmp_path / 'lungs.masks'}', count=40, size=(33, 35), key='index')"
    assert repr(opened()) == shown
    assert opened().key == "index"


@pytest.mark.cuda
def test_masks_are_unpacked_on_a_device_without_waiting(full, expected):
    full.masks([0], device="cuda")
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        masks = full.masks(range(40), device="cuda")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(masks.cpu(), expected)
