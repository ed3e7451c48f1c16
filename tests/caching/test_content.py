import numpy as np
import pytest

from anatpaste_aug.caching.content import ContentTable
from anatpaste_aug.caching.creation import open_file
from anatpaste_aug.caching.layout import Layout
from anatpaste_aug.caching.storage import MemoryStorage

LAYOUT = Layout(count=8, height=40, width=40, key="content", fingerprint="mine")


def rows(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 16), dtype=np.uint8), rng.integers(0, 256, (count, 200), dtype=np.uint8)


@pytest.fixture(params=["file", "memory"])
def storage(request, tmp_path):
    return open_file(tmp_path / "x", LAYOUT, "error") if request.param == "file" else MemoryStorage(LAYOUT)


@pytest.fixture
def table(storage):
    return ContentTable(storage)


def test_what_is_added_is_found(table):
    keys, masks = rows(5)
    assert not table.find(keys)[1].any()
    assert table.add(keys[:3], masks[:3])
    found_masks, found = table.find(keys[[4, 2, 0, 2]])
    assert found.tolist() == [False, True, True, True]
    assert np.array_equal(found_masks[1:], masks[[2, 0, 2]])


def test_nothing_is_stored_twice(table, storage):
    keys, masks = rows(3)
    twice = [0, 1, 0, 1, 2]
    assert table.add(keys[twice], masks[twice])
    assert table.add(keys[::-1], masks[::-1])
    assert storage.committed().tolist() == [0, 1, 2]
    assert np.array_equal(table.find(keys)[0], masks)


def test_what_another_has_added_is_found_and_kept(storage):
    first, second, (keys, masks) = ContentTable(storage), ContentTable(storage), rows(6)
    first.add(keys[:2], masks[:2])
    second.add(keys[1:4], masks[1:4])
    first.add(keys[3:6], masks[3:6])
    assert storage.committed().tolist() == [0, 1, 2, 3, 4, 5]
    for table in (first, second, ContentTable(storage)):
        masks_found, found = table.find(keys)
        assert found.all()
        assert np.array_equal(masks_found, masks)


def test_what_is_whole_is_not_written_again(table, storage, monkeypatch):
    """Whoever is killed while writing loses no mask that was there before."""
    keys, masks = rows(3)
    table.add(keys[:2], masks[:2])
    written = []
    monkeypatch.setattr(storage, "write", lambda slots, *_: written.extend(slots.tolist()))
    table.add(keys, masks)
    assert written == [2]


def test_a_full_table_keeps_what_fits(table, storage):
    keys, masks = rows(10)
    assert table.add(keys[:6], masks[:6])
    assert not table.add(keys, masks)
    assert table.find(keys)[1].tolist() == [True] * 8 + [False] * 2
    assert table.add(keys[:8], masks[:8])  # all of them are there
    assert not table.add(keys[9:], masks[9:])


def test_a_slot_that_a_killed_writer_left_is_used(table, storage):
    """It had put the mask and the key, and not the commit word."""
    keys, masks = rows(2)
    storage._put(LAYOUT.masks_offset, memoryview(masks[1].tobytes()))
    storage._put(LAYOUT.keys_offset, memoryview(keys[1].tobytes()))
    assert not table.find(keys)[1].any()
    assert table.add(keys, masks)
    assert storage.committed().tolist() == [0, 1]
    assert table.find(keys)[1].all()


def test_slots_after_a_gap_are_found_and_not_overwritten(table, storage):
    """A loss of power may take any page of the table."""
    keys, masks = rows(4)
    storage.write(np.array([5]), keys[:1], masks[:1])
    assert table.add(keys, masks)
    assert storage.committed().tolist() == [0, 1, 2, 5]
    assert np.array_equal(table.find(keys)[0], masks)


def test_a_damaged_mask_is_not_found_and_stored_again_in_its_place(table, storage):
    keys, masks = rows(3)
    table.add(keys, masks)
    storage._put(LAYOUT.masks_offset + 1 * 200 + 50, memoryview(b"\0\0\0\0"))
    assert table.find(keys)[1].tolist() == [True, False, True]
    assert table.add(keys[[1]], masks[[1]])
    assert table.find(keys)[1].all()
    assert storage.committed().tolist() == [0, 1, 2]


def test_a_damaged_key_gives_no_mask(table, storage):
    keys, masks = rows(2)
    table.add(keys, masks)
    other = keys[1].copy()
    other[0] ^= 1
    storage._put(LAYOUT.keys_offset + 16, memoryview(other.tobytes()))
    assert ContentTable(storage).find(np.stack([*keys, other]))[1].tolist() == [True, False, False]
    assert table.find(np.stack([*keys, other]))[1].tolist() == [True, False, False]
