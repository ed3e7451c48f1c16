import os
import pickle
import re

import numpy as np
import pytest
import torch
from helpers.forks import finish, limit_files, start
from helpers.oracles import smooth_images

from anatpaste_aug import LungSegmenter
from anatpaste_aug.mask_cache import MaskCache, MaskCacheError
from anatpaste_aug.mask_cache.mask_cache import segment


class Counted(torch.utils.data.Dataset):
    """Records which images were read."""

    def __init__(self, images):
        self.images, self.asked = images, []

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        self.asked.append(index)
        return self.images[index]


@pytest.fixture
def radiograph_like():
    return smooth_images(6, 64, 64)


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_an_index_gives_a_mask_and_many_give_a_batch(cache, images, expected, kind):
    cache.fill(images, progress=False)
    indices = kind([5, 39, 5])
    assert torch.equal(cache[indices], expected[[5, 39, 5]])
    assert torch.equal(cache[indices[1]], expected[39])
    assert len(cache[[]]) == 0
    assert len(cache) == 40


@pytest.mark.parametrize("indices", [1.0, [0.5], [True, False], torch.zeros(2, 2, dtype=torch.int64), slice(3)])
def test_other_indices_are_an_error(cache, indices):
    with pytest.raises(TypeError, match=r"indices must be integers, .* use range\(\) in place of a slice"):
        cache[indices]


def test_a_missing_mask_is_an_error_that_names_the_index(cache, images):
    cache.fill(images[:4], progress=False)
    for wrong in ([2, 4], 4, -1):
        with pytest.raises(MaskCacheError, match=rf"masks of images {np.ravel(wrong)[-1]} with this .*fill\(dataset\)"):
            cache[wrong]
    with pytest.raises(MaskCacheError, match=r"images 4, 5, 6, 7, 8, … \(36 in all\)"):
        cache[range(40)]


def test_masks_stay_for_the_next_run(opened, images, expected):
    opened().fill(images, progress=False)
    assert torch.equal(opened(segmenter=None)[range(40)], expected)


def test_a_pickled_cache_reads_and_fills_the_same_file(cache, images, expected):
    cache.fill(images[:10], progress=False)
    copy = pickle.loads(pickle.dumps(cache))
    assert torch.equal(copy[range(10)], expected[:10])
    copy.fill(images, progress=False)
    assert torch.equal(cache[range(40)], expected)


def test_the_repr_names_the_file_and_the_segmenter(path):
    assert repr(MaskCache(path)) == f"MaskCache({str(path)!r}, segmenter=LungSegmenter(min_size=400.0))"


# changes


def test_a_changed_segmenter_gets_no_mask_of_the_earlier_one(opened, images, expected):
    opened().fill(images, progress=False)
    dark = opened(segmenter=lambda images: images < 50, fingerprint="darker than 50")
    assert len(dark) == 0
    with pytest.raises(MaskCacheError, match="with this segmenter"):
        dark[0]
    dark.fill(images, progress=False)
    assert torch.equal(dark[range(40)], images < 50)
    assert torch.equal(opened()[range(40)], expected)


def test_a_changed_setting_of_the_segmenter_is_noticed(path, radiograph_like):
    MaskCache(path).fill(radiograph_like, progress=False)
    other = MaskCache(path, segmenter=LungSegmenter(min_size=300))
    assert len(other) == 0
    assert torch.equal(other.for_images(radiograph_like), LungSegmenter(min_size=300)(radiograph_like))


def test_a_function_needs_a_fingerprint(path):
    with pytest.raises(ValueError, match="pass for instance fingerprint="):
        MaskCache(path, segmenter=lambda images: images > 0)
    assert not path.exists()


@pytest.mark.parametrize("change", [lambda images: images.flip(0), lambda images: images.float()])
def test_another_dataset_is_an_error_and_changes_nothing(cache, images, expected, change):
    cache.fill(images[:20], progress=False)
    with pytest.raises(MaskCacheError, match=r"image 0 is not the one that .* \(its bytes or dtype differ\); pass the"):
        cache.fill(change(images), progress=False)
    assert len(cache) == 20
    assert torch.equal(cache[range(20)], expected[:20])


def test_another_dataset_for_another_segmenter_is_an_error(opened, images):
    """Its first masks would otherwise belong to other images than its last ones."""
    opened().fill(images, progress=False)
    with pytest.raises(MaskCacheError, match="image 0 is not the one"):
        opened(fingerprint="another").fill(images.flip(0), progress=False)


def test_random_transforms_are_an_error(cache, images):
    class Random(Counted):
        def __getitem__(self, index):
            return self.images[index] ^ int(torch.randint(1, 255, ()))

    cache.fill(Random(images), progress=False)
    with pytest.raises(MaskCacheError, match="without random transforms"):
        cache.fill(Random(images), progress=False)


# filling


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch_size", [7, 64])
def test_all_masks_are_computed(cache, images, expected, workers, batch_size):
    cache.fill(images, batch_size=batch_size, workers=workers, progress=False)
    assert torch.equal(cache[range(40)], expected)


def test_only_a_sample_of_the_known_images_is_read_again(cache, images, expected):
    dataset = Counted(images)
    cache.fill(images[:3], progress=False)
    cache.fill(dataset, progress=False)
    assert dataset.asked == [0, 1, 2, *range(3, 40)]
    dataset.asked.clear()
    cache.fill(dataset, progress=False)
    assert len(dataset.asked) == 16
    assert {0, 39} <= set(dataset.asked)
    assert torch.equal(cache[range(40)], expected)


def test_equal_images_share_a_mask(cache, images, expected):
    cache.fill(images[[3, 3, 4]], progress=False)
    assert torch.equal(cache[[0, 1, 2]], expected[[3, 3, 4]])


def test_an_error_keeps_what_was_finished(cache, images):
    dataset = [*images[:30], images[0, :, :20], *images[31:]]
    with pytest.raises(ValueError, match=r"image 30 has torch.uint8 of shape \(1, 20, 35\), and image 24 has"):
        cache.fill(dataset, batch_size=8, progress=False)
    assert len(cache) == 24
    with pytest.raises(ValueError, match="image 30 has"):
        cache.fill(dataset, batch_size=8, workers=1, progress=False)


def test_images_may_differ_in_size_if_they_are_read_one_at_a_time(cache, images, expected):
    cache.fill([images[0], images[1, :, :32]], batch_size=1, progress=False)
    assert torch.equal(cache[1], expected[1, :, :32])
    with pytest.raises(ValueError, match=r"different sizes \(32×35, 33×35\); read them one at a time"):
        cache[[0, 1]]


def test_the_progress_counts_images(cache, images, capfd):
    cache.fill(images[:10], progress=False)
    assert capfd.readouterr().err == ""
    cache.fill(images, batch_size=8)
    printed = capfd.readouterr().err
    assert "lung masks:  25%" in printed
    assert "40/40" in printed


@pytest.mark.parametrize(
    ("setting", "named"),
    [({"batch_size": 0}, "batch_size must be at least 1, got 0"), ({"workers": -1}, "workers must be at least 0")],
)
def test_impossible_settings_are_named(cache, images, setting, named):
    with pytest.raises(ValueError, match=named):
        cache.fill(images, progress=False, **setting)


def test_masks_that_did_not_converge_are_computed_on_the_cpu(radiograph_like):
    class Restless(LungSegmenter):
        def segment(self, images):
            masks, converged = super().segment(images)
            first = torch.arange(len(images)) == 0
            return masks & ~first.view(-1, 1, 1, 1), converged & ~first

        def forward(self, images):
            return LungSegmenter()(images)

    assert LungSegmenter()(radiograph_like)[0].any()
    assert torch.equal(segment(Restless(), radiograph_like, "cpu"), LungSegmenter()(radiograph_like))


@pytest.mark.cuda
@pytest.mark.parametrize("held", ["cpu", "cuda"])
def test_a_device_fills_it(path, images, held):
    cache = MaskCache(path)
    cache.fill(images.to(held), device="cuda", progress=False)
    assert torch.equal(cache[range(40)], LungSegmenter()(images))


# files that cannot be used


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    path = tmp_path / "missing" / "lungs.sqlite"
    with pytest.raises(
        MaskCacheError, match=rf"{re.escape(str(path))}: unable to open .*; use a file in a folder that"
    ):
        MaskCache(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_cannot_be_written_is_read(opened, path, images, expected):
    opened().fill(images[:20], progress=False)
    path.chmod(0o400)
    cache = opened()
    assert torch.equal(cache[range(20)], expected[:20])
    with pytest.raises(MaskCacheError, match=r"readonly database; use a file in a folder that .* can be written"):
        cache.fill(images, progress=False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
def test_a_full_disk_is_an_error_and_keeps_what_was_finished(opened, path, images):
    many = torch.cat([images ^ level for level in range(100)])

    def limited():
        limit_files(2**19)
        with pytest.raises(MaskCacheError, match=rf"{re.escape(str(path))}: .*; use a file .* with space on its disk"):
            opened().fill(many, batch_size=64, progress=False)

    assert finish(start(limited)) == 0
    cache = opened()
    assert 64 <= len(cache) < 4000
    assert torch.equal(cache[range(len(cache))], many[: len(cache)] > 127)
    cache.fill(many, progress=False)
    assert torch.equal(cache[range(4000)], many > 127)
