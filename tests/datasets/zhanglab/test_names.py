"""Parsing of the file names of the Zhang Lab radiographs."""

import pytest

from anatpaste_aug.datasets.zhanglab.names import read_name

MARKS = ["{}", "{} (1)", "{} copy", "{} - Copy", "{}_1", "{}(2)", "Copy of {}", "train_{}", "{}-checkpoint", "{}.jpeg"]


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("case", [str, str.upper, str.lower])
@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("IM-0115-0001", ("IM-0115", 0, None)),
        ("IM-0033-0001-0002", ("IM-0033", 0, None)),
        ("NORMAL2-IM-0427-0001", ("NORMAL2-IM-0427", 0, None)),
        ("NORMAL2-IM-1094-0001-0001", ("NORMAL2-IM-1094", 0, None)),
        ("NORMAL-28501-0001", ("28501", 0, None)),
        ("person1000_bacteria_2931", ("person1000", 1, "bacteria")),
        ("person7_virus_20", ("person7", 1, "virus")),
        ("person447_virus_921_1", ("person447", 1, "virus")),
        ("BACTERIA-7422-0001", ("7422", 1, "bacteria")),
        ("VIRUS-3637528-0002", ("3637528", 1, "virus")),
    ],
)
def test_published_names_and_copies_of_them(stem, expected, case, mark):
    assert read_name(mark.format(case(stem))) == expected


def test_a_person_number_gives_the_patient_but_no_class():
    assert read_name("person12") == read_name("Person12_3 (1)") == ("person12", None, None)


@pytest.mark.parametrize(
    "stem",
    ["", "1", "image0", "IM-0115", "XIM-0115-0001", "aperson1_virus_2", "personal 1", "NORMAL-1", "scan-001-002"],
)
def test_other_names_give_nothing(stem):
    assert read_name(stem) == (None, None, None)


def test_a_name_of_both_classes_gives_nothing():
    assert read_name("IM-0115-0001_person1_virus_2") == (None, None, None)
