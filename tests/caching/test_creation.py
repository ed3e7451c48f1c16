"""Files that are opened, created whole or not at all, refused and started anew."""

import errno
import os
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from anatpaste_aug.caching import MaskCache, MaskCacheError, StaleMaskCacheError
from anatpaste_aug.caching.locking import exclusive, lock_path

POSIX = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs a POSIX system")


def files(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lungs.masks"


def test_a_file_has_its_whole_size_from_the_start(opened, path):
    cache = opened()
    assert path.stat().st_size == cache.nbytes
    assert files(path.parent) == ["lungs.masks"]
    if hasattr(path.stat(), "st_blocks"):
        assert path.stat().st_blocks * 512 >= cache.nbytes  # and its blocks are taken


def test_a_hundred_thousand_masks_fit_into_a_gigabyte(path, monkeypatch):
    """Without the blocks taken, so that the test leaves the disk alone."""
    monkeypatch.setattr(os, "posix_fallocate", lambda file, offset, size: os.ftruncate(file, size), raising=False)
    with MaskCache.open(path, count=100_000, size=(256, 256)) as cache:
        assert path.stat().st_size == cache.nbytes <= 1e9
        masks = np.random.default_rng(0).integers(0, 256, (2, 8192), dtype=np.uint8)
        cache.storage.write(np.array([0, 99_999]), np.zeros((2, 16), np.uint8), masks)
        assert torch.equal(cache.packed([0, -1]), torch.from_numpy(masks))
        assert len(cache.missing()) == 99_998


@pytest.mark.parametrize("reason", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_take_space_gets_zeros(opened, path, monkeypatch, reason):
    def refuse(*_):
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    assert path.parent.exists()
    cache = opened()
    assert path.stat().st_size == cache.nbytes
    assert len(cache.missing()) == 40


def test_a_platform_that_cannot_take_space_writes_zeros(opened, path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    assert opened(count=10_000).nbytes == path.stat().st_size > 2**20


@POSIX
@pytest.mark.parametrize("allocates", [True, False])
def test_a_full_disk_is_an_error_before_any_work(opened, path, monkeypatch, allocates):
    """The limit of a process on a file's size stands for the disk's end."""
    import resource

    if not allocates:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))
    try:
        with pytest.raises(MaskCacheError, match=r"cannot create .* with 16.9 MB: .*; make room"):
            opened(count=100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files(path.parent) == []


def test_what_a_killed_creation_left_is_removed(opened, path):
    (path.parent / ".lungs.masks.123.tmp").write_bytes(b"half")
    (path.parent / ".lungs.masks2.123.tmp").write_bytes(b"of another")
    opened()
    assert files(path.parent) == [".lungs.masks2.123.tmp", "lungs.masks"]


def test_too_little_shared_memory_is_an_error(monkeypatch):
    def refuse(tensor):
        raise RuntimeError("unable to allocate shared memory(shm)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", refuse)
    with pytest.raises(MaskCacheError, match=r"cannot take 0.0 MB of shared memory; use MaskCache.open"):
        MaskCache.in_memory(count=4, size=(33, 35))


def test_a_lock_that_another_holds_for_long_is_an_error(opened, path, monkeypatch):
    monkeypatch.setattr("anatpaste_aug.caching.locking._PATIENCE", 0.1)
    with exclusive(lock_path(path)), pytest.raises(MaskCacheError, match=r"another process has held .* for 0.1 s"):
        opened()
    opened()


def test_a_missing_folder_is_named(opened, path):
    with pytest.raises(MaskCacheError, match=r"the folder of .* does not exist; create it"):
        opened(path / "deeper")


def test_a_folder_is_no_cache(opened, tmp_path):
    with pytest.raises(MaskCacheError, match="cannot be read: Is a directory; it is left as it is"):
        opened(tmp_path)


@pytest.fixture
def folder(opened, images):
    """A folder that may be read but not written, with a full cache in it; and this process is not root."""
    user = 65534 if os.geteuid() == 0 else None  # root may write everywhere
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        opened(folder / "full").fill(images, progress=False)
        (folder / "full").chmod(0o444)
        folder.chmod(0o555)
        if user is not None:
            os.seteuid(user)
        yield folder
        if user is not None:
            os.seteuid(0)
        folder.chmod(0o755)


@POSIX
def test_a_read_only_folder_is_an_error_before_any_work(opened, folder):
    with pytest.raises(
        MaskCacheError, match=r"cannot create .*Permission denied; pass a path in a folder that can be wri"
    ):
        opened(folder / "new")
    with pytest.raises(
        MaskCacheError, match=r"cannot create .*Permission denied; pass a path in a folder that can be wri"
    ):
        opened(folder / "full", count=41, stale="rebuild")


@POSIX
def test_a_read_only_cache_is_read_but_not_filled(opened, folder, images, expected):
    cache = opened(folder / "full")
    assert torch.equal(cache[:], expected)
    assert torch.equal(cache.for_images(images), expected)
    with pytest.raises(MaskCacheError, match="can be read but not written: Permission denied"):
        cache.fill(images, progress=False)


# files of other kinds, and stale ones


@pytest.mark.parametrize("content", [b"", b"x", b"\x89PNG" * 5000])
@pytest.mark.parametrize("stale", ["error", "rebuild"])
def test_a_file_that_is_no_cache_is_never_replaced(opened, path, content, stale):
    path.write_bytes(content)
    with pytest.raises(MaskCacheError, match=r"is not a mask cache .*; it is left as it is"):
        opened(stale=stale)
    assert path.read_bytes() == content


CHANGES = [
    ({"count": 41}, "has count 40 instead of 41"),
    ({"size": (35, 33)}, "has height 33 instead of 35, width 35 instead of 33"),
    ({"fingerprint": "darker"}, "has fingerprint 'brighter than 127' instead of 'darker'"),
    ({"key": "content"}, "has key 'index' instead of 'content'"),
    ({"segmenter": None, "fingerprint": None}, r"instead of 'LungSegmenter\(min_size=400.0\), algorithm 1'"),
]


@pytest.mark.parametrize(("changes", "named"), CHANGES)
def test_other_settings_make_a_file_stale(opened, images, expected, path, changes, named):
    opened().fill(images, progress=False)
    before = path.read_bytes()
    with pytest.raises(StaleMaskCacheError, match=named + '.*; pass stale="rebuild"'):
        opened(**changes)
    assert path.read_bytes() == before
    assert torch.equal(opened()[:], expected)


@pytest.mark.parametrize(("changes", "named"), CHANGES)
def test_a_stale_file_is_rebuilt_on_demand(opened, images, expected, changes, named):
    old = opened()
    old.fill(images, progress=False)
    new = opened(stale="rebuild", **changes)
    assert len(new.missing()) == len(new) == changes.get("count", 40)
    assert torch.equal(old[:], expected)  # those who have it open keep what they had


def test_a_file_that_fits_is_not_rebuilt(opened, images):
    opened().fill(images, progress=False)
    assert len(opened(stale="rebuild").missing()) == 0


@pytest.mark.parametrize("length", [8, 4095, 4096, 8192, -1])
def test_a_truncated_file_is_stale(opened, images, path, length):
    opened().fill(images, progress=False)
    whole = path.stat().st_size
    os.truncate(path, length % whole)
    with pytest.raises(StaleMaskCacheError, match=rf"damaged header|has {length % whole} bytes instead of {whole}"):
        opened()
    assert len(opened(stale="rebuild").missing()) == 40


def test_a_copy_does_not_open_what_has_been_rebuilt_with_other_settings(opened, images):
    import pickle

    old = opened()
    old.fill(images, progress=False)
    parcel = pickle.dumps(old)
    opened(stale="rebuild", fingerprint="darker")
    with pytest.raises(StaleMaskCacheError, match="has fingerprint 'darker' instead of 'brighter than 127'"):
        pickle.loads(parcel)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"stale": "ignore"}, 'stale must be "error" or "rebuild", got \'ignore\''),
        ({"count": 0}, "count must be at least 1, got 0"),
        ({"count": 2.5}, "count must be an integer and size (H, W), got 2.5"),
        ({"size": 64}, "count must be an integer and size (H, W), got 40 and 64"),
        ({"fingerprint": None}, "the repr of segmenter bright does not tell all that its masks depend on"),
    ],
)
def test_impossible_settings_are_named_before_a_file_is_made(opened, path, changes, named):
    with pytest.raises(ValueError, match=re.escape(named)):
        opened(**changes)
    assert files(path.parent) == []
