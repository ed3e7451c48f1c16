"""Valid and invalid records."""

import pytest

from anatpaste_aug.datasets import DatasetError, Record

GOOD = {"path": "train/NORMAL/IM-0115-0001.jpeg", "label": 0, "patient": "train/IM-0115", "source": "train"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("path", ""),
        ("path", "/absolute.png"),
        ("path", "a\\b.png"),
        ("path", "C:/a.png"),
        ("path", "a/../../b.png"),
        ("path", 3),
        ("label", 2),
        ("label", True),
        ("label", "0"),
        ("patient", ""),
        ("source", None),
        ("view", 1),
        ("age", "45"),
        ("findings", ["Edema"]),
        ("findings", (1,)),
        ("sha256", "abc"),
        ("sha256", 3),
    ],
)
def test_invalid_fields_are_errors(field, value):
    with pytest.raises(DatasetError, match=field) as caught:
        Record(**{**GOOD, field: value})
    assert repr(value) in str(caught.value)


def test_two_dots_inside_a_name_are_fine():
    assert Record(**{**GOOD, "path": "a..b/c.png"}).path == "a..b/c.png"
