"""Splits by patient: no patient in two parts, reproducible, and given parts are kept."""

import random
import re
from pathlib import Path

import pytest

from anatpaste_aug.datasets import DatasetError, Record, split_folder
from anatpaste_aug.datasets.folder.index import FolderIndex


def index_of(*records):
    return FolderIndex(Path("."), records)


def many(source, label, count, first=0, images=1):
    return [
        Record(f"{source}/{label}/{first + i}-{j}.png", label, f"p{first + i}", source)
        for i in range(count)
        for j in range(images)
    ]


def test_images_are_split_by_patient_reproducibly():
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


def test_a_missing_part_is_half_of_the_other():
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


GIVEN = (*many("train", 0, 9), *many("val", 0, 3, 20))


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (
            many("all", 0, 3),
            "3 normal image(s) of 3 patient(s) are too few to split by patient, at least 1 to train, 1 to validate and "
            "2 to test are needed: add more",
        ),
        (many("train", 0, 2, images=4), "8 normal image(s) of 2 patient(s) in train are too few to split by patient"),
        (many("all", 1, 8), "0 normal image(s) of 0 patient(s) without abnormal ones are too few to split"),
        (
            [*many("all", 0, 20), *many("all", 1, 2, 30)],
            "2 abnormal image(s) of 2 patient(s) are too few to split by patient, at least 1 to validate and 2 to test "
            "are needed: add more, or leave out all abnormal images",
        ),
        (
            [*many("train", 0, 9), *many("test", 1, 9, 20)],
            "0 normal image(s) of 0 patient(s) in test are too few to split by patient, at least 1 to validate and 2 "
            "to test are needed: add more",
        ),
        ([*GIVEN, *many("test", 0, 1, 30)], "test has 1 normal image(s), but needs at least 2: add more"),
        (
            [*GIVEN, *many("test", 0, 2, 30), *many("test", 1, 1, 40)],
            "test has 1 abnormal image(s), but needs at least 2: add more, or leave out all abnormal images",
        ),
    ],
)
def test_too_few_images_are_an_error_that_says_what_is_missing(records, message):
    with pytest.raises(DatasetError, match=f"^{re.escape(message)}"):
        split_folder(index_of(*records))
