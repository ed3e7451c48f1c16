"""Splits by patient: no patient in two parts, reproducible, and given parts are kept."""

import random
from pathlib import Path

import pytest

from anatpaste_aug.datasets import DatasetError, Record, split_folder
from anatpaste_aug.datasets.folder.index import FolderIndex


def index_of(*records):
    return FolderIndex(Path("."), records, "give more images")


def many(source, label, count, first=0, images=1):
    return [
        Record(f"{source}/{label}/{first + i}-{j}.png", label, f"p{first + i}", source)
        for i in range(count)
        for j in range(images)
    ]


def test_what_is_not_divided_is_divided_by_patient_and_always_alike():
    records = [*many("all", 0, 50, images=3), *many("all", 1, 20, 40, images=2)]  # patients 40 to 49 have both kinds
    split = split_folder(index_of(*records), 5)
    random.Random(0).shuffle(records)
    again = split_folder(index_of(*records), 5)
    for part in ("train", "val", "test"):
        assert {r.path for r in getattr(split, part)} == {r.path for r in getattr(again, part)}
    assert split.counts()["train"]["abnormal"] == 0
    assert {record.patient for record in split.train} <= {f"p{i}" for i in range(40)}
    assert abs(split.counts()["val"]["abnormal"] - split.counts()["test"]["abnormal"]) <= 5  # images of a patient
    assert sum(map(len, (split.train, split.val, split.test))) == len(records)
    assert {r.path for r in split_folder(index_of(*records), 6).test} != {r.path for r in split.test}


def test_ten_and_ten():
    counts = split_folder(index_of(*many("all", 0, 10), *many("all", 1, 10, 10))).counts()
    assert counts == {
        "train": {"normal": 6, "abnormal": 0},
        "val": {"normal": 2, "abnormal": 5},
        "test": {"normal": 2, "abnormal": 5},
    }


def test_given_parts_stay_and_a_missing_one_is_half_of_the_other():
    train, good, ill = many("train", 0, 5), many("test", 0, 8, 10), many("test", 1, 6, 30)
    split = split_folder(index_of(*train, *good, *ill))
    assert split.train == tuple(train)
    assert split.counts()["val"] == {"normal": 4, "abnormal": 3} == {**split.counts()["test"]}
    assert split.protocol.startswith("half of the given test images validate")
    given = many("val", 0, 3, 50)
    split = split_folder(index_of(*train, *given, *good, *ill))
    assert (split.train, split.val, split.test) == (tuple(train), tuple(given), (*good, *ill))
    assert split.protocol.startswith("images split by their owner")
    split = split_folder(index_of(*train, *many("val", 0, 8, 60), *many("val", 1, 8, 80)))
    assert split.counts()["test"] == {"normal": 4, "abnormal": 4}


def test_normal_images_alone():
    split = split_folder(index_of(*many("train", 0, 100)))
    assert (len(split.train), len(split.val), len(split.test)) == (60, 20, 20)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (many("all", 0, 3), r"0 normal image\(s\) in train of 3 in all, at least 1 needed there: give more images"),
        (many("all", 1, 8), r"0 normal image\(s\) in train of 0 in all"),
        (
            [*many("all", 0, 20), *many("all", 1, 2, 30)],
            r"1 abnormal image\(s\) in test of 2 in all, at least 2 needed",
        ),
        ([*many("train", 0, 9), *many("test", 1, 9, 20)], r"0 normal image\(s\) in val"),
    ],
)
def test_too_few_images_are_counted(records, message):
    with pytest.raises(DatasetError, match=message):
        split_folder(index_of(*records))
