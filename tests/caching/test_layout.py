import re
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anatpaste_aug.caching import MaskCacheError, StaleMaskCacheError
from anatpaste_aug.caching.layout import PAGE, Layout


def layout(**changes):
    return Layout(**{"count": 10, "height": 33, "width": 35, "key": "index", "fingerprint": "mine", **changes})


layouts = st.builds(
    Layout,
    count=st.integers(1, 2**40),
    height=st.integers(1, 5000),
    width=st.integers(1, 5000),
    key=st.sampled_from(["index", "content"]),
    fingerprint=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=1000),
)


def test_a_hundred_thousand_masks_of_256_pixels_take_less_than_a_gigabyte():
    whole = layout(count=100_000, height=256, width=256)
    assert whole.mask_bytes == 8192
    assert 100_000 * 8192 < whole.nbytes < 0.83e9


@given(layouts)
def test_a_header_tells_its_layout(whole):
    header = whole.encode()
    assert len(header) == PAGE
    assert Layout.decode(header) == whole


@given(layouts)
def test_the_parts_follow_each_other_without_meeting(whole):
    assert whole.keys_offset == PAGE + 8 * whole.count
    assert 0 <= whole.masks_offset - (whole.keys_offset + 16 * whole.count) < PAGE
    assert whole.masks_offset % PAGE == 0
    assert whole.nbytes == whole.masks_offset + whole.count * -(-whole.height * whole.width // 8)


@given(layouts, st.integers(8, PAGE - 1), st.integers(1, 255))
def test_any_changed_byte_of_a_header_is_noticed(whole, place, change):
    header = bytearray(whole.encode())
    header[place] ^= change
    with pytest.raises(StaleMaskCacheError, match="damaged header"):
        Layout.decode(bytes(header))


@pytest.mark.parametrize("length", [8, 100, PAGE - 1])
def test_a_header_that_ends_early_is_noticed(length):
    with pytest.raises(StaleMaskCacheError, match="damaged header"):
        Layout.decode(layout().encode()[:length])


@pytest.mark.parametrize("start", [b"", b"LUNG", b"\x89PNG\r\n\x1a\n", b"lungmask"])
def test_another_file_is_no_cache(start):
    with pytest.raises(MaskCacheError, match="is not a mask cache") as caught:
        Layout.decode(start.ljust(PAGE, b"\0") if start else start)
    assert not isinstance(caught.value, StaleMaskCacheError)


def test_another_format_version_is_named():
    body = bytearray(layout().encode()[:-4])
    body[8] = 9
    with pytest.raises(StaleMaskCacheError, match="format version 9, and this package reads 1"):
        Layout.decode(bytes(body) + np.array([zlib.crc32(body)], dtype="<u4").tobytes())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"count": 0}, "count must be at least 1, got 0"),
        ({"height": -1}, "height must be at least 1, got -1"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"key": "name"}, 'key must be "index" or "content", got \'name\''),
        ({"fingerprint": ""}, "fingerprint must have 1 to 4056 bytes, got 0"),
        ({"fingerprint": "×" * 2030}, "fingerprint must have 1 to 4056 bytes, got 4060"),
    ],
)
def test_impossible_values_are_named(changes, named):
    with pytest.raises(ValueError, match=re.escape(named)):
        layout(**changes)


def test_the_longest_fingerprint_fits():
    whole = layout(fingerprint="×" * 2028)
    assert Layout.decode(whole.encode()) == whole


def test_what_differs_is_said():
    assert layout().differences(layout()) == []
    assert layout().differences(layout(count=11, fingerprint="yours")) == [
        "count 10 instead of 11",
        "fingerprint 'mine' instead of 'yours'",
    ]
