"""The rules behind the suspicions, their order, and how a report prints."""

import json
from dataclasses import replace

import pytest

from anatpaste_aug.datasets import White
from anatpaste_aug.inspection import CheckReport, ImageCheck, report

FINE = ImageCheck(0, "fine.png", 0.2, 2, False, 0.0, 0.8, 0.0, 0)


def kinds(row):
    return [each.kind for each in row.suspicions]


@pytest.mark.parametrize(
    ("changes", "expected", "reason"),
    [
        ({}, [], None),
        ({"frontal": -0.16}, ["inverted"], "MONOCHROME1"),
        ({"frontal": -0.9, "fallback": True, "bright_sides": 3, "band": 0.5}, ["inverted"], "-0.90"),
        ({"frontal": -0.15}, ["not frontal"], "possibly lateral or no chest"),
        ({"frontal": 0.14}, ["not frontal"], "0.14"),
        ({"frontal": 0.15}, [], None),
        ({"bright_sides": 1}, [], None),
        ({"bright_sides": 2}, ["bright border"], "2 of top, left, right"),
        ({"band": 0.15}, [], None),
        ({"band": 0.16}, ["border"], "16%"),
        ({"fallback": True, "lung_fraction": 0.0, "components": 0}, ["no lungs"], "fallback"),
        ({"hidden": 1.0}, [], None),
        ({"band": 0.2, "bright_sides": 3}, ["bright border", "border"], "3 of"),
    ],
)
def test_suspicions_follow_from_the_figures(changes, expected, reason):
    row = replace(FINE, **changes)
    assert kinds(row) == expected
    assert [each.remedy for each in row.suspicions] == [report.REMEDIES[kind] for kind in expected]
    if reason is not None:
        assert reason in row.suspicions[0].reason


def rows(*changes):
    return tuple(replace(FINE, index=i, name=f"{i}.png", **change) for i, change in enumerate(changes))


def test_suspicious_images_are_sorted_by_severity():
    images = rows({"band": 0.2}, {}, {"band": 0.2, "bright_sides": 3}, {"frontal": -0.5}, {}, {})
    found = CheckReport(images, 4)
    assert [row.index for row in found.suspicious] == [3, 2, 0]


def test_empty_and_hidden_share():
    found = CheckReport(rows({"fallback": True}, {"hidden": 0.5}, {}, {"hidden": 0.25}), 4)
    assert found.empty_share == 0.25
    assert found.hidden_share == 0.1875
    assert CheckReport((), 4).hidden_share == 0


def test_printed_report():
    images = rows(
        *[{"frontal": -0.5}] * 7, {"fallback": True, "components": 0, "lung_fraction": 0.0}, {}, {"hidden": 1}
    )
    white = White(4095, 3, {12: 2, 16: 1})
    text = str(CheckReport(images, 4, (("cut.png", "/x/cut.png is damaged"),), ("labels.csv", "notes.txt"), white))
    assert text.startswith("10 images checked\n")
    for line in (
        "  lungs           20.0 % of the image (median), 3.6 to 20.0 (2nd to 98th percentile)",
        "  components      0 in 1, 2 in 9",
        "  no lungs found  1 (10.0%): augmentation pastes anywhere (fallback)",
        "  hardly visible  10.0% of 40 augmentations",
        "  suspicious      8 (80.0%)",
        f"    7 × inverted: {report.REMEDIES['inverted']}",
        "      0.png, 1.png, 2.png, 3.png, 4.png, … (2 more)",
        "  16-bit files    3 without a value of white; 4095 is used (inferred; bits needed: 12 in 2, 16 in 1)",
        "1 could not be read",
        "  /x/cut.png is damaged",
        "not images: labels.csv, notes.txt",
    ):
        assert line in text.splitlines()


def test_to_dict_is_json():
    found = CheckReport(rows({}, {"frontal": -0.5}), 4, (("cut.png", "is damaged"),), ("labels.csv",))
    read = json.loads(json.dumps(found.to_dict()))
    assert read["checked"] == 2
    assert read["suspicious"] == 1
    assert read["images"][0]["lung_fraction"] == 0.2
    assert read["images"][0]["suspicions"] == []
    assert read["images"][1]["suspicions"][0]["kind"] == "inverted"
    assert read["unreadable"] == [{"name": "cut.png", "reason": "is damaged"}]
    assert read["not_images"] == ["labels.csv"]
    assert read["white"] is None
    found = CheckReport((), 4, white=White(4095, 3, {12: 3}))
    assert json.loads(json.dumps(found.to_dict()))["white"] == {"value": 4095, "files": 3, "needs": {"12": 3}}
