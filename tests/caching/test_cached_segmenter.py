import pickle

import pytest
import torch
from oracles import smooth_images
from torch.utils.data import DataLoader

from anatpaste_aug import AnatPasteTransform, LungSegmenter
from anatpaste_aug.caching import CachedSegmenter, MaskCache, MaskCacheError


@pytest.fixture(params=["file", "memory"])
def cache(request, tmp_path):
    """An empty cache of the default segmenter for 12 images, by content."""
    if request.param == "memory":
        return MaskCache.in_memory(count=12, size=(64, 64), key="content")
    return MaskCache.open(tmp_path / "x", count=12, size=(64, 64), key="content")


def counted(cache):
    """A segmenter on this cache, and the list of how many images each real segmentation had."""
    cached, calls = CachedSegmenter(cache), []

    def segment(images):
        calls.append(len(images))
        return LungSegmenter()(images)

    cached.segmenter = segment
    return cached, calls


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.bfloat16, torch.float32])
def test_it_gives_what_the_segmenter_gives(cache, channels, dtype):
    images = smooth_images(6, 64, 64, channels)
    images = images if dtype == torch.uint8 else (images / 255).to(dtype)
    expected, cached = LungSegmenter()(images), CachedSegmenter(cache)
    assert expected.any()
    for _ in range(2):
        assert torch.equal(cached(images), expected)
    assert torch.equal(cached(images[:0]), expected[:0])


def test_each_image_is_segmented_once(cache):
    images = smooth_images(8, 64, 64)
    cached, calls = counted(cache)
    for rows in ([0, 1, 2], [2, 0], [1, 3, 4, 0], [4]):
        assert torch.equal(cached(images[rows]), LungSegmenter()(images[rows]))
    assert calls == [3, 2]
    assert len(cache.missing()) == 7


def test_masks_stay_for_the_next_run(tmp_path):
    images = smooth_images(4, 64, 64)
    for runs in ([4], []):
        with MaskCache.open(tmp_path / "x", count=12, size=(64, 64), key="content") as cache:
            cached, calls = counted(cache)
            assert torch.equal(cached(images), LungSegmenter()(images))
            assert calls == runs


def test_it_serves_the_transform(cache):
    images, transform = smooth_images(4, 64, 64), AnatPasteTransform(segmenter=CachedSegmenter(cache))
    for _ in range(2):
        torch.manual_seed(0)
        result = transform.augment(images)
        torch.manual_seed(0)
        assert torch.equal(result.image, AnatPasteTransform().augment(images).image)
    assert "CachedSegmenter(MaskCache(" in repr(transform)


def test_workers_share_what_they_store(cache):
    """Each worker sees all images in two epochs, and none of them a second time."""
    images = smooth_images(12, 64, 64)
    transform = AnatPasteTransform(segmenter=CachedSegmenter(cache))

    class Augmented(torch.utils.data.Dataset):
        def __len__(self):
            return 12

        def __getitem__(self, index):
            return transform(images[index])

    assert len(list(DataLoader(Augmented(), batch_size=2, num_workers=2, multiprocessing_context="fork"))) == 6
    assert len(cache.missing()) == 0
    assert torch.equal(cache.for_images(images), LungSegmenter()(images))
    cached, calls = counted(cache)
    cached(images)
    assert calls == []


def test_a_pickled_one_goes_on(cache):
    images = smooth_images(4, 64, 64)
    CachedSegmenter(cache)(images[:2])
    copy = pickle.loads(pickle.dumps(CachedSegmenter(cache)))
    assert torch.equal(copy(images), LungSegmenter()(images))
    assert len(copy.cache.missing()) == 8


def test_a_cache_by_index_serves_what_was_filled_and_stays_as_it_is(tmp_path):
    images = smooth_images(6, 64, 64)
    with MaskCache.open(tmp_path / "x", count=4, size=(64, 64)) as cache:
        cache.fill(images[:4], progress=False)
        cached, calls = counted(cache)
        for _ in range(2):
            assert torch.equal(cached(images), LungSegmenter()(images))
        assert calls == [2, 2]


def test_a_full_cache_warns_and_segments(cache):
    images = smooth_images(15, 64, 64)
    cached = CachedSegmenter(cache)
    with pytest.warns(UserWarning, match="new images are segmented at every call, since .* is full with 12 masks"):
        assert torch.equal(cached(images), LungSegmenter()(images))
    with pytest.warns(UserWarning, match="make it anew with a larger count"):
        assert torch.equal(cached(images), LungSegmenter()(images))
    cached(images[:12])  # no warning where all are held


def test_a_cache_that_cannot_be_written_warns_and_segments(cache, monkeypatch):
    def refuse():
        raise MaskCacheError("the file can be read but not written")

    monkeypatch.setattr(cache.storage, "check_writable", refuse)
    images = smooth_images(2, 64, 64)
    with pytest.warns(UserWarning, match="segmented at every call, since the file can be read but not written"):
        assert torch.equal(CachedSegmenter(cache)(images), LungSegmenter()(images))
    assert len(cache.missing()) == 12


def test_images_on_a_device_are_an_error(cache):
    with pytest.raises(ValueError, match=r"on the CPU, got images on meta; use indices: transform.augment"):
        CachedSegmenter(cache)(torch.zeros(2, 1, 64, 64, device="meta"))


def test_images_of_another_size_are_an_error(cache):
    with pytest.raises(ValueError, match="images are of 64×80 pixels and the cache of 64×64"):
        CachedSegmenter(cache)(smooth_images(2, 64, 80))


def test_a_copy_without_its_segmenter_is_an_error(cache):
    with pytest.raises(MaskCacheError, match="came through pickle, without its segmenter"):
        CachedSegmenter(pickle.loads(pickle.dumps(cache)))
