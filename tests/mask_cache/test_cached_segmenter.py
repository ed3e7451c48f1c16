import pytest
import torch
from helpers.oracles import smooth_images
from torch.utils.data import DataLoader

from anatpaste_aug import AnatPasteTransform, LungSegmenter
from anatpaste_aug.mask_cache import CachedSegmenter, MaskCache, MaskCacheError


@pytest.fixture
def cache(path):
    """An empty cache of the default segmenter."""
    return MaskCache(path)


@pytest.fixture
def calls(cache):
    """The number of images of each segmentation."""
    segmenter, calls = cache.segmenter, []

    def counted(images):
        calls.append(len(images))
        return segmenter(images)

    cache.segmenter = counted
    return calls


class Augmented(torch.utils.data.Dataset):
    """Augments single images, as a loader's workers do."""

    def __init__(self, images, transform):
        self.images, self.transform = images, transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.transform(self.images[index])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.bfloat16, torch.float32])
def test_masks_are_those_of_the_segmenter(cache, channels, dtype):
    images = smooth_images(6, 64, 64, channels)
    images = images if dtype == torch.uint8 else (images / 255).to(dtype)
    expected, cached = LungSegmenter()(images), CachedSegmenter(cache)
    assert expected.any()
    for _ in range(2):
        assert torch.equal(cached(images), expected)
    assert torch.equal(cached(images[:0]), expected[:0])


def test_each_image_is_segmented_once(cache, calls):
    images, cached = smooth_images(8, 64, 64), CachedSegmenter(cache)
    for rows in ([0, 1, 2], [2, 0], [1, 3, 4, 0], [4]):
        assert torch.equal(cached(images[rows]), LungSegmenter()(images[rows]))
    assert calls == [3, 2]


def test_masks_from_fill_are_used(cache, calls):
    images = smooth_images(4, 64, 64)
    cache.fill(images, progress=False)
    calls.clear()
    assert torch.equal(CachedSegmenter(cache)(images), LungSegmenter()(images))
    assert calls == []


def test_it_works_in_the_transform(cache):
    images, transform = smooth_images(4, 64, 64), AnatPasteTransform(segmenter=CachedSegmenter(cache))
    for _ in range(2):
        torch.manual_seed(0)
        result = transform.augment(images)
        torch.manual_seed(0)
        assert torch.equal(result.image, AnatPasteTransform().augment(images).image)
    assert "CachedSegmenter(MaskCache(" in repr(transform)


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_share_the_masks(cache, calls, start):
    images = smooth_images(12, 64, 64)
    transform = AnatPasteTransform(segmenter=CachedSegmenter(MaskCache(cache.path)))
    loader = DataLoader(Augmented(images, transform), batch_size=2, num_workers=2, multiprocessing_context=start)
    assert len(list(loader)) == 6
    assert torch.equal(CachedSegmenter(cache)(images), LungSegmenter()(images))
    assert calls == []


def test_masks_that_cannot_be_stored_are_returned_with_a_warning(cache, monkeypatch):
    def refuse(*_):
        raise MaskCacheError("the disk is full")

    monkeypatch.setattr(cache._store, "put", refuse)
    images = smooth_images(2, 64, 64)
    with pytest.warns(UserWarning, match="new masks are not kept: the disk is full"):
        assert torch.equal(CachedSegmenter(cache)(images), LungSegmenter()(images))


def test_images_on_a_device_are_an_error(cache):
    with pytest.raises(ValueError, match=r"on the CPU, got images on meta; use indices: transform.augment"):
        CachedSegmenter(cache)(torch.zeros(2, 1, 64, 64, device="meta"))
