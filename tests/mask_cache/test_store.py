"""Damaged files and files of other programs."""

import re
import sqlite3
from contextlib import closing

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from anatpaste_aug.mask_cache import MaskCacheError
from anatpaste_aug.mask_cache.store import MaskStore


@given(mask=hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)), image=st.binary(min_size=1))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_masks_of_any_size_come_back(path, mask, image):
    store = MaskStore(path)
    store.put(b"mine", [image], [mask])
    assert np.array_equal(store.find(b"mine", [image])[0], mask)
    assert store.find(b"other", [image]) == [None]


@pytest.mark.parametrize(
    "content", [b"not a database, but a text that is long enough for a header" * 40, bytes(4096), b"SQLite format 3\0"]
)
def test_a_file_that_is_no_cache_is_an_error_and_unchanged(path, content):
    path.write_bytes(content)
    with pytest.raises(MaskCacheError, match=rf"^{re.escape(str(path))}: this is not a mask cache, .*another file$"):
        MaskStore(path)
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_an_error_and_unchanged(path):
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE masks (name TEXT)")
    content = path.read_bytes()
    with pytest.raises(MaskCacheError, match="this is not a mask cache, or of another version; use another file"):
        MaskStore(path)
    assert path.read_bytes() == content


def test_a_folder_is_an_error(tmp_path):
    with pytest.raises(MaskCacheError, match="unable to open database file; use a file in a folder"):
        MaskStore(tmp_path)


def test_an_empty_file_becomes_a_cache(path):
    path.touch()
    assert MaskStore(path).positions(b"mine") == []


def changed(path, old, new):
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))


def test_a_changed_bit_is_detected_and_filling_repairs_it(cache, images, expected):
    cache.fill(images, progress=False)
    bits = np.packbits(expected[5, 0].numpy())
    damaged = bits.copy()
    damaged[70] ^= 8
    changed(cache.path, bits.tobytes(), damaged.tobytes())
    with pytest.raises(MaskCacheError, match=r"has no undamaged masks of images 5 .*fill\(dataset\) computes them"):
        cache[[4, 5, 6]]
    assert torch.equal(cache[[4, 6]], expected[[4, 6]])
    assert len(cache) == 39
    cache.fill(images, progress=False)
    assert torch.equal(cache[range(40)], expected)


@pytest.mark.parametrize("seed", range(20))
def test_damage_anywhere_gives_no_wrong_mask(cache, images, expected, seed):
    """Zeros in place of a sector, as after a failure of the disk."""
    cache.fill(images, progress=False)
    content = bytearray(cache.path.read_bytes())
    start = int(np.random.default_rng(seed).integers(0, len(content) - 512))
    content[start : start + 512] = bytes(512)
    cache.path.write_bytes(content)
    for index in range(40):
        try:
            mask = cache[index]
        except MaskCacheError:
            continue
        assert torch.equal(mask, expected[index])


def test_a_truncated_file_is_an_error(cache, images):
    cache.fill(images, progress=False)
    content = cache.path.read_bytes()
    cache.path.write_bytes(content[: len(content) // 2])
    with pytest.raises(MaskCacheError, match=r"it is damaged .*; delete it or use another file"):
        cache[range(40)]


def test_a_writer_that_does_not_end_is_an_error(cache, images, monkeypatch):
    monkeypatch.setattr("anatpaste_aug.mask_cache.store._TIMEOUT", 0.1)
    with closing(sqlite3.connect(cache.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(MaskCacheError, match=r"another process has been writing for 0\.1 s; end it or try again"):
            cache.fill(images, progress=False)
