import builtins
import pickle
import re
from collections import namedtuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, TensorDataset
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as tvf

from anatpaste_aug import LungSegmenter
from anatpaste_aug.caching import MaskCache, MaskCacheError
from anatpaste_aug.caching.cached_segmenter import segment
from anatpaste_aug.caching.filling import _Filler

Sample = namedtuple("Sample", ["picture", "label"])


class Counted(Dataset):
    """Remembers which images were asked for."""

    def __init__(self, images, wrap=lambda image: image):
        self.images, self.wrap, self.asked = images, wrap, []

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        self.asked.append(index)
        return self.wrap(self.images[index])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_all_masks_are_computed(cache, images, expected, workers, batch_size):
    cache.fill(images, batch_size=batch_size, workers=workers, progress=False)
    assert torch.equal(cache[:], expected)


@pytest.mark.parametrize("key", ["index", "content"])
def test_the_work_survives_a_parcel(tmp_path, images, key):
    """As it does on its way to a process that is spawned."""
    with MaskCache.open(tmp_path / "x", count=40, size=(33, 35), key=key) as cache:
        work = pickle.loads(pickle.dumps(_Filler(cache, images, None)))
        assert work[[5, 7]] == 2
        assert len(cache.missing()) == 38
        assert torch.equal(cache.for_images(images[[7, 5]]), LungSegmenter()(images[[7, 5]]))


@pytest.mark.parametrize(
    "wrap",
    [
        tv_tensors.Image,
        tvf.to_pil_image,
        lambda image: (image, 3),
        lambda image: [image, "name"],
        lambda image: Sample(image, 3),
        lambda image: {"name": 1, "image": image},
        lambda image: (tvf.to_pil_image(image), 3),
    ],
)
def test_a_dataset_gives_images_in_many_forms(cache, images, expected, wrap):
    cache.fill(Counted(images, wrap), progress=False)
    assert torch.equal(cache[:], expected)


def test_datasets_of_torch_and_lists_are_taken(cache, images, expected):
    cache.fill(TensorDataset(images, torch.arange(40)), indices=range(20), progress=False)
    cache.fill(list(images), progress=False)
    assert torch.equal(cache[:], expected)


def test_what_is_there_is_not_read_again_but_for_a_few(cache, images, expected):
    dataset = Counted(images)
    cache.fill(dataset, indices=[3, 4, 5], progress=False)
    assert dataset.asked == [3, 4, 5]
    dataset.asked.clear()
    cache.fill(dataset, progress=False)
    assert dataset.asked == [3, 4, 5, *range(3), *range(6, 40)]
    dataset.asked.clear()
    cache.fill(dataset, progress=False)
    assert len(dataset.asked) == 16
    assert {0, 39} <= set(dataset.asked)
    assert torch.equal(cache[:], expected)


@pytest.mark.parametrize("change", [lambda images: images.flip(0), lambda images: images.float()])
def test_another_dataset_is_an_error_before_any_work(cache, images, change):
    cache.fill(images, indices=range(20), progress=False)
    with pytest.raises(
        MaskCacheError, match=r"image 0 is not the one whose mask is in .* \(its bytes or dtype differ\)"
    ):
        cache.fill(change(images), progress=False)
    assert cache.missing().tolist() == list(range(20, 40))


def test_random_transforms_are_an_error(cache, images):
    dataset = Counted(images, lambda image: image ^ int(torch.randint(1, 255, ())))
    cache.fill(dataset, progress=False)
    with pytest.raises(MaskCacheError, match="without random transforms, or delete the cache"):
        cache.fill(dataset, progress=False)


def test_an_error_keeps_what_was_done(cache, images):
    dataset = [*images[:30], images[0, :, :20], *images[31:]]
    with pytest.raises(ValueError, match="image 30 is of 20×35 pixels and the cache of 33×35"):
        cache.fill(dataset, batch_size=8, progress=False)
    assert cache.missing().tolist() == list(range(24, 40))
    with pytest.raises(ValueError, match="image 30 is of 20×35 pixels and the cache of 33×35"):
        cache.fill(dataset, batch_size=8, workers=1, progress=False)


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        (lambda images: images[:39], ValueError, "the dataset has 39 images and the cache 40 slots"),
        (lambda images: iter(images), TypeError, "dataset must have a length and integer indices"),
        (lambda images: list(images[:, 0]), TypeError, "C×H×W tensor or a PIL image (L, RGB), or have one in first"),
        (lambda images: [{"picture": image} for image in images], TypeError, 'under "image", got NoneType'),
        (lambda images: list(images.numpy()), TypeError, "got ndarray"),
        (lambda images: [Image.new("RGBA", (35, 33))] * 40, TypeError, "got Image RGBA"),
        (lambda images: [images[0], *images.float()[1:]], ValueError, "image 1 has torch.float32 of shape (1, 33, 35)"),
        (lambda images: list(images.int()), TypeError, "images must be uint8 or floating point, got torch.int32"),
        (lambda images: list(images.expand(-1, 2, -1, -1)), ValueError, "images must have shape (B, 1, H, W)"),
    ],
)
def test_a_dataset_that_does_not_fit_is_an_error(cache, images, change, error, named):
    with pytest.raises(error, match=re.escape(named)):
        cache.fill(change(images), progress=False)
    assert len(cache.missing()) == 40


@pytest.mark.parametrize(
    ("wish", "error", "named"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"workers": -1}, ValueError, "workers must be at least 0, got -1"),
        ({"indices": [40]}, IndexError, "indices 40 are out of range for 40 masks"),
        ({"workers": 1, "device": "cuda"}, ValueError, "workers=1 cannot share cuda; pass workers=0"),
    ],
)
def test_impossible_wishes_are_named(cache, images, wish, error, named):
    with pytest.raises(error, match=re.escape(named)):
        cache.fill(images, progress=False, **wish)


def test_a_segmenter_that_gives_something_else_is_an_error(images):
    cache = MaskCache.in_memory(count=40, size=(33, 35), segmenter=lambda images: images.float())
    with pytest.raises(TypeError, match=r"the segmenter's result must be boolean or integer, got torch.float32"):
        cache.fill(images, progress=False)


def test_the_progress_counts_images(cache, images, capfd):
    cache.fill(images, indices=range(10), progress=False)
    assert capfd.readouterr().err == ""
    cache.fill(images, batch_size=8)
    shown = capfd.readouterr().err
    assert "lung masks:  25%" in shown
    assert "40/40" in shown


def test_the_progress_names_what_it_needs(cache, images, monkeypatch):
    real = builtins.__import__

    def without_tqdm(name, *rest):
        if name == "tqdm":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_tqdm)
    with pytest.raises(ImportError, match=re.escape('pip install "anatpaste_aug[datasets]"')):
        cache.fill(images)
    cache.fill(images, progress=False)
    assert len(cache.missing()) == 0


def test_the_random_numbers_of_the_user_are_left_alone(cache, images):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    cache.fill(images, workers=1, progress=False)
    assert torch.equal(torch.rand(3), expected)


def test_images_and_masks_may_live_on_a_device():
    """Where an accelerator did not settle, the CPU's mask is kept; here, a segmenter that never settles."""

    class Restless(LungSegmenter):
        def segment(self, images):
            masks, converged = super().segment(images)
            first = torch.arange(len(images)) == 0
            return masks & ~first.view(-1, 1, 1, 1), converged & ~first

        def forward(self, images):
            return LungSegmenter()(images)

    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 1, 64, 64), dtype=np.uint8))
    images[:, :, 20:40, 20:40] //= 8
    assert LungSegmenter()(images)[0].any()
    assert torch.equal(segment(Restless(), images, "cpu"), LungSegmenter()(images))


@pytest.mark.cuda
@pytest.mark.parametrize("held", ["cpu", "cuda"])
def test_a_device_fills_it(opened, images, held):
    cache = MaskCache.in_memory(count=40, size=(33, 35))
    cache.fill(images.to(held), device="cuda", progress=False)
    assert torch.equal(cache[:], LungSegmenter()(images))
