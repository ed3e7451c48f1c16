"""Slots that are read and written, in a file and in memory; and files that have suffered."""

import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from anatpaste_aug.caching.creation import open_file
from anatpaste_aug.caching.layout import PAGE, Layout
from anatpaste_aug.caching.storage import MemoryStorage

COUNT = 12
LAYOUT = Layout(count=COUNT, height=65, width=127, key="index", fingerprint="mine")  # 1032 bytes each


def rows(count=COUNT, seed=0):
    rng = np.random.default_rng(seed)
    keys = rng.integers(0, 256, (count, 16), dtype=np.uint8)
    return keys, rng.integers(0, 256, (count, LAYOUT.mask_bytes), dtype=np.uint8)


def slots(*numbers):
    return np.array(numbers, dtype=np.int64)


@pytest.fixture(params=["file", "memory"])
def storage(request, tmp_path):
    return open_file(tmp_path / "x", LAYOUT, "error") if request.param == "file" else MemoryStorage(LAYOUT)


@pytest.fixture
def path(tmp_path):
    """A file whose slots are all filled."""
    full = open_file(tmp_path / "full", LAYOUT, "error")
    full.write(np.arange(COUNT), *rows())
    full.close()
    return full.path


def changed(path, offset, data):
    """The file with some bytes changed, opened."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)
    return open_file(path, LAYOUT, "error")


def test_a_new_storage_is_empty(storage):
    found = storage.read(np.arange(COUNT))
    assert not found.committed.any()
    assert not found.whole.any()
    assert storage.missing().tolist() == list(range(COUNT))
    assert storage.committed().tolist() == []


def test_what_is_written_is_read_and_nothing_else(storage):
    keys, masks = rows()
    storage.write(slots(7, 2, 11), keys[:3], masks[:3])
    found = storage.read(slots(2, 3, 7, 2))
    assert found.whole.tolist() == found.committed.tolist() == [True, False, True, True]
    assert np.array_equal(found.masks[[0, 2, 3]], masks[[1, 0, 1]])
    assert np.array_equal(found.keys[[0, 2, 3]], keys[[1, 0, 1]])
    assert np.array_equal(storage.keys(slots(11)), keys[[2]])
    assert storage.committed().tolist() == [2, 7, 11]
    assert storage.missing().tolist() == [0, 1, 3, 4, 5, 6, 8, 9, 10]


@given(data=st.data())
@hypothesis_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_come_back(storage, data):
    chosen = np.array(data.draw(st.lists(st.integers(0, COUNT - 1), unique=True)), dtype=np.int64)
    keys = data.draw(hnp.arrays(np.uint8, (len(chosen), 16)))
    masks = data.draw(hnp.arrays(np.uint8, (len(chosen), LAYOUT.mask_bytes)))
    storage.write(chosen, keys, masks)
    found = storage.read(chosen)
    assert found.whole.all()
    assert np.array_equal(found.masks, masks)
    assert np.array_equal(found.keys, keys)


def test_what_is_read_is_a_copy(storage):
    storage.write(np.arange(COUNT), *rows())
    first = storage.read(slots(0, 1))
    first.masks[:] = 0
    assert storage.read(slots(0, 1)).whole.all()


def test_a_pickled_storage_holds_the_same(storage):
    storage.write(np.arange(COUNT), *rows())
    copy = pickle.loads(pickle.dumps(storage))
    assert np.array_equal(copy.read(np.arange(COUNT)).masks, rows()[1])
    assert copy.missing().size == 0


def test_a_pickled_file_is_a_path(path):
    storage = open_file(path, LAYOUT, "error")
    assert len(pickle.dumps(storage)) < 1000
    copy = pickle.loads(pickle.dumps(storage))
    storage.write(slots(3), *rows(1, seed=1))
    assert np.array_equal(copy.read(slots(3)).masks, rows(1, seed=1)[1])


# damage


@pytest.mark.parametrize("bit", [0, 7])
@pytest.mark.parametrize("place", [0, 500, LAYOUT.mask_bytes - 1])
def test_a_changed_bit_of_a_mask_is_noticed(path, place, bit):
    byte = rows()[1][5, place] ^ (1 << bit)
    storage = changed(path, LAYOUT.masks_offset + 5 * LAYOUT.mask_bytes + place, bytes([byte]))
    assert storage.missing().tolist() == [5]
    found = storage.read(slots(4, 5, 6))
    assert found.committed.tolist() == [True, True, True]
    assert found.whole.tolist() == [True, False, True]


def test_a_changed_bit_of_a_key_or_a_commit_word_is_noticed(path):
    changed(path, LAYOUT.keys_offset + 2 * 16, bytes([rows()[0][2, 0] ^ 4]))
    word = path.read_bytes()[PAGE + 9 * 8]
    assert changed(path, PAGE + 9 * 8, bytes([word ^ 1])).missing().tolist() == [2, 9]


def test_slots_that_have_changed_places_are_noticed(path):
    """As after a repair of the file system: each row is whole in itself, but not where it is."""
    raw = path.read_bytes()
    for offset, step in ((PAGE, 8), (LAYOUT.keys_offset, 16), (LAYOUT.masks_offset, LAYOUT.mask_bytes)):
        changed(path, offset, raw[offset + step : offset + 2 * step] + raw[offset : offset + step])
    assert open_file(path, LAYOUT, "error").missing().tolist() == [0, 1]


def test_a_damaged_slot_can_be_written_again(path):
    storage = changed(path, LAYOUT.masks_offset, b"????")
    keys, masks = rows()
    storage.write(slots(0), keys[:1], masks[:1])
    assert storage.missing().size == 0


@pytest.mark.parametrize("seed", range(30))
def test_pages_that_a_loss_of_power_has_taken_give_no_wrong_mask(path, seed):
    """Any set of pages may not have reached the disk, whatever order they were written in."""
    rng, pages = np.random.default_rng(seed), LAYOUT.nbytes // PAGE
    for page in 1 + np.flatnonzero(rng.random(pages - 1) < rng.random()):
        storage = changed(path, page * PAGE, bytes(PAGE)[: LAYOUT.nbytes - page * PAGE])
        found = storage.read(np.arange(COUNT))
        assert np.array_equal(found.masks[found.whole], rows()[1][found.whole])
        assert np.array_equal(np.flatnonzero(~found.whole), storage.missing())
        assert not found.whole.all()
