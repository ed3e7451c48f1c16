"""The paper's split of the Zhang Lab radiographs: its counts, by patient, the same in every release."""

import random

import pytest
from helpers.real_data import DATA, needs
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from anatpaste_aug.datasets import DatasetError, Record, Split, index_zhanglab, split_zhanglab

ROOT = DATA / "zhanglab"


def make_records(normal, ill, tested=(5, 5), shared=0):
    """Records of patients with so many images each; the first ``shared`` of both classes are the same people."""
    records = []
    for label, sizes in ((0, normal), (1, ill)):
        for person, count in enumerate(sizes):
            name = f"both{person}" if person < shared else f"{'ni'[label]}{person}"
            records += [Record(f"train/{label}-{name}-{i}.png", label, f"train/{name}", "train") for i in range(count)]
    for label, count in enumerate(tested):
        records += [Record(f"test/{label}-{i}.png", label, f"test/{'ni'[label]}{i}", "test") for i in range(count)]
    return records


def totals(split):
    return [tuple(part.values()) for part in split.counts().values()]


def test_paper_protocol():
    records = make_records([1] * 150 + [2] * 80 + [3] * 20, [1] * 100 + [4] * 50, (60, 70))
    split = split_zhanglab(records)
    assert totals(split) == [(270, 0), (100, 100), (60, 70)]
    assert split.protocol.startswith("paper protocol: 100 normal + 100 pneumonia")
    difference = "train 370 + 300 images instead of 1349 + 3883, test 60 + 70 images instead of 234 + 390"
    assert split.protocol.endswith(f"; not the complete published set: {difference}")
    assert (split.dataset, split.seed) == ("zhanglab", 0)


def test_complete_published_set_has_no_remark():
    split = split_zhanglab(make_records([1] * 1349, [1] * 3883, (234, 390)))
    assert totals(split) == [(1249, 0), (100, 100), (234, 390)]
    assert split.protocol == "paper protocol: 100 normal + 100 pneumonia images of train validate, by patient"


def test_official_test_beside_incomplete_training():
    split = split_zhanglab(make_records([1] * 1341, [1] * 3875, (234, 390)))
    assert totals(split) == [(1241, 0), (100, 100), (234, 390)]
    assert split.protocol.startswith("paper protocol: ")
    assert split.protocol.endswith("; official test, but train 1341 + 3875 images instead of 1349 + 3883")


def test_val_folder_belongs_to_train():
    records = make_records([1] * 210, [1] * 120)
    moved = [Record(r.path, r.label, r.patient, "val") if i % 5 == 0 and r.source == "train" else r
             for i, r in enumerate(records)]  # fmt: skip
    strip = [
        [(r.path, r.patient) for r in part] for part in (split_zhanglab(records).train, split_zhanglab(moved).train)
    ]
    assert strip[0] == strip[1]


def test_the_draw_is_the_same_in_every_release():
    """A changed list would silently change existing splits, so it needs a new protocol name."""
    split = split_zhanglab(make_records([1] * 12, [1] * 6), seed=3, val_normal=3, val_abnormal=2)
    assert [record.patient for record in split.val] == ["train/n5", "train/n6", "train/n7", "train/i0", "train/i5"]


def test_own_counts():
    split = split_zhanglab(make_records([1] * 50, [1] * 50), val_normal=10, val_abnormal=20)
    assert totals(split)[:2] == [(40, 0), (10, 20)]
    assert split.protocol.startswith("own protocol")


def test_shrinks_in_proportion():
    split = split_zhanglab(make_records([1] * 60, [1] * 500))
    assert totals(split)[:2] == [(30, 0), (30, 30)]
    assert split.protocol.startswith("reduced protocol (100 + 100 asked for): 30 normal + 30 pneumonia")
    assert totals(split_zhanglab(make_records([1] * 500, [1] * 40)))[:2] == [(460, 0), (40, 40)]
    assert totals(split_zhanglab(make_records([1] * 60, [1] * 500), val_abnormal=50))[:2] == [(30, 0), (30, 15)]


def test_part_of_a_patient_is_lost_to_both_sides():
    split = split_zhanglab(make_records([3] * 100, [3] * 100))
    assert totals(split)[:2] == [(300 - 102, 0), (100, 100)]


def test_pneumonia_first_from_numbers_that_test_lacks():
    records = make_records([1] * 20, [1] * 20, (5, 8))
    split = split_zhanglab(records, val_normal=5, val_abnormal=12)
    numbers = {record.patient.partition("/")[2] for record in split.val if record.label}
    assert numbers.isdisjoint(record.patient.partition("/")[2] for record in split.test)


@pytest.mark.parametrize(
    "records",
    [
        [],
        make_records([1] * 3, [1] * 10),
        make_records([1] * 10, [1]),
        make_records([1] * 10, [1] * 10, (0, 5)),
        make_records([1] * 10, [1] * 10, (5, 0)),
    ],
)
def test_too_small(records):
    with pytest.raises(DatasetError, match=r"cannot split train \d+ \+ \d+, test \d+ \+ \d+.*Complete the download"):
        split_zhanglab(records)


@pytest.mark.parametrize(
    ("normal", "ill", "shared", "remedy", "added"),
    [
        ([50], [1] * 50, 0, "add normal images of other patients", make_records([50, 1], [1] * 50)),
        (
            [5, 1, 1, 1, 1],
            [2],
            1,
            "add pneumonia images of patients without normal ones",
            make_records([5, 1, 1, 1, 1], [2, 1], shared=1),
        ),
    ],
)
def test_too_few_patients(normal, ill, shared, remedy, added):
    with pytest.raises(
        DatasetError, match=rf"too few to keep training and validation apart\. Complete .*, or {remedy}"
    ):
        split_zhanglab(make_records(normal, ill, shared=shared))
    split_zhanglab(added)


def test_foreign_source_and_counts():
    with pytest.raises(DatasetError, match="source valid"):
        split_zhanglab([*make_records([1] * 9, [1] * 9), Record("a.png", 0, "a", "valid")])
    with pytest.raises(ValueError, match="val_normal=0"):
        split_zhanglab(make_records([1] * 9, [1] * 9), val_normal=0)


sizes = st.lists(st.integers(1, 6), min_size=1, max_size=40)


@hypothesis_settings(max_examples=150, deadline=None)
@given(sizes, sizes, st.integers(0, 8), st.integers(0, 2**32), st.integers(1, 30), st.integers(1, 30), st.randoms())
def test_split_properties(normal, ill, shared, seed, val_normal, val_abnormal, shuffle: random.Random):
    records = make_records(normal, ill, shared=shared)
    try:
        split = split_zhanglab(records, seed, val_normal, val_abnormal)
    except DatasetError:
        assert sum(normal) < 4 or sum(ill) < 2 or len(normal) < 2 or shared
        return
    shuffle.shuffle(records)
    assert split_zhanglab(records, seed, val_normal, val_abnormal) == split
    (train, nothing), (normals, abnormals), tested = totals(split)
    assert nothing == 0
    assert tested == (5, 5)
    assert train >= (sum(normal) + 1) // 2
    assert 1 <= normals <= val_normal
    assert 1 <= abnormals <= val_abnormal
    assert ("reduced protocol" in split.protocol) == ((normals, abnormals) != (val_normal, val_abnormal))
    assert {r.patient for r in split.train}.isdisjoint(r.patient for r in split.val)
    if 2 * val_normal <= sum(normal) - 10 and not shared:  # whole patients, or a part of one
        assert normals == max(1, min(val_normal, val_normal * sum(ill) // val_abnormal))


@needs("zhanglab")
@pytest.mark.parametrize("seed", range(5))
def test_real_split(tmp_path, seed):
    index = index_zhanglab(ROOT)
    split = split_zhanglab(index, seed)
    assert totals(split) == [(1041, 0), (100, 100), (200, 300)]
    assert "not the complete published set" in split.protocol
    # This copy's val and test were cut out of one folder and share a person.
    tested = {record.patient.partition("/")[2] for record in split.test}
    assert tested.isdisjoint(r.patient.partition("/")[2] for r in split.train + split.val)
    split.verify(index.root)
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == split
