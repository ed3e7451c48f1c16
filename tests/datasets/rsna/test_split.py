"""RSNA: the paper's split, by patient."""

import random
from collections import Counter

import pytest
from helpers.real_data import DATA, needs
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from anatpaste_aug.datasets import DatasetError, Record, index_rsna, load_images, split_rsna

OPACITY, OTHER = "Lung Opacity", "No Lung Opacity / Not Normal"


def records(normal, ill, view="PA"):
    return [
        Record(f"{view}{label}{i}.dcm", label, f"{view}{label}{i}", "train", view=view,
               findings=((OPACITY, OTHER)[i % 2],) if label else ())
        for label, count in enumerate((normal, ill)) for i in range(count)
    ]  # fmt: skip


def totals(split):
    return [tuple(part.values()) for part in split.counts().values()]


def test_paper_protocol():
    split = split_rsna(records(7214, 1000) + records(50, 50, "AP"))
    assert totals(split) == [(6614, 0), (300, 300), (300, 300)]
    assert {record.view for record in split.records()} == {"PA"}
    assert split.protocol.startswith("paper protocol, by patient ID, PA views")
    assert "training 6614 + 0 (the paper: 6614 + 0)" in split.protocol


def test_fewer_and_more_normals_than_the_paper_had():
    split = split_rsna(records(2000, 1000))
    assert totals(split)[0] == (1400, 0)
    assert "training 1400 + 0 (the paper: 6614 + 0)" in split.protocol
    assert totals(split_rsna(records(8000, 1000)))[0] == (6614, 0)


def test_all_views_are_counted_by_view():
    split = split_rsna(records(900, 700) + records(900, 700, "AP") + records(40, 40, ""), views="all")
    tally = Counter((record.view or "view unknown", record.label) for record in split.test)
    assert split.protocol.startswith("own protocol")
    for view in ("AP", "PA", "view unknown"):
        assert f"{view} {tally[view, 0]} + {tally[view, 1]}" in split.protocol


def test_shrinks_in_proportion():
    split = split_rsna(records(100, 1000))
    assert totals(split) == [(50, 0), (25, 25), (25, 25)]
    assert split.protocol.startswith("reduced protocol (300 + 300 asked for)")
    assert totals(split_rsna(records(2000, 90))) == [(1910, 0), (45, 45), (45, 45)]


def test_the_draw_is_the_same_in_every_release():
    """A changed list would silently change existing splits, so it needs a new protocol name."""
    split = split_rsna(records(12, 6), seed=3, count=2)
    assert " ".join(record.patient for record in split.val + split.test) == "PA06 PA09 PA12 PA13 PA00 PA08 PA14 PA15"


@pytest.mark.parametrize("made", [[], records(3, 9), records(9, 1), records(3, 50, "AP")])
def test_too_small(made):
    with pytest.raises(DatasetError, match=r"cannot split \d+ normal \+ \d+ abnormal images \(views: PA\).*Complete"):
        split_rsna(made)
    split_rsna(made + [r for r in records(20, 20) if r not in made])


@pytest.mark.parametrize("made", [records(50, 50, "AP"), records(3, 9) + records(50, 50, "UNKNOWN")])
def test_the_remedy_is_all_views_if_too_few_are_pa(made):
    with pytest.raises(
        DatasetError, match=r'\(views: PA\): at least 4 \+ 2 are needed\. Use --views all \(views="all"\)$'
    ):
        split_rsna(made)
    split_rsna(made, views="all")


def test_wrong_arguments():
    for wrong in ({"views": "AP"}, {"count": 0}, {"train": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
            split_rsna(records(9, 9), **wrong)


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.integers(4, 60), st.integers(2, 60), st.integers(1, 20), st.integers(0, 2**32), st.randoms())
def test_split_properties(normal, ill, count, seed, shuffle: random.Random):
    made = records(normal, ill)
    split = split_rsna(made, seed, count=count)
    shuffle.shuffle(made)
    assert split_rsna(made, seed, count=count) == split
    (train, _), val, test = totals(split)
    assert train >= (normal + 1) // 2
    assert val == test == (val[0],) * 2
    assert train + 2 * val[0] == normal
    assert ("reduced protocol" in split.protocol) == (val[0] < count)


@needs("rsna_layout")
def test_real_layout():
    index = index_rsna(DATA, progress=False)
    split = split_rsna(index)
    assert totals(split) == [(39, 0), (18, 18), (18, 18)]
    split.verify(index.root)
    images = load_images(index.root, split.val[:4], 64, progress=False)
    assert images.flatten(1).float().std(1).min() > 10
