import dataclasses

import pytest
from anatpaste_aug.cutpaste_params import CutPasteConfig


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("p", 1.5, r"in \[0, 1\]"),
        ("jitter", 0.6, r"in \[0, 0.5\]"),
        ("area", (0, 0.1), r"in \(0, 1\]"),
        ("area", 0.1, r"\(low, high\)"),
        ("aspect_ratio", (0, 1), r"in \[1e-06, 1e\+06\]"),
        ("scar_width", (16, 2), "low <= high"),
        ("scar_length", (0, 25), r"in \(0, 1e\+06\]"),
        ("rotation", (-200, 45), r"in \[-180, 180\]"),
        ("rotation", 45, r"\(low, high\)"),
        ("variant", "Scar", "one of 'normal', 'scar', 'union'"),
        ("variant", "3way", "one of 'normal', 'scar', 'union'"),
        ("variant", None, "one of 'normal', 'scar', 'union'"),
    ],
)
def test_an_impossible_setting_is_named_with_what_is_allowed(name, value, allowed):
    with pytest.raises(ValueError, match=f"^{name} must be .*{allowed}") as caught:
        CutPasteConfig(**{name: value})
    assert f"got {value!r}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [
        ("p", [0, 1], [-1e-9, 1 + 1e-9]),
        ("jitter", [0, 0.5], [-1e-9, 0.5 + 1e-9]),
        ("area", [(1e-9, 1)], [(0, 1), (1e-9, 1 + 1e-9)]),
        ("aspect_ratio", [(1e-6, 1e6)], [(0.9e-6, 1), (1, 1.1e6)]),
        ("scar_width", [(1e-9, 1e6)], [(0, 1), (1, 1.1e6)]),
        ("scar_length", [(1e-9, 1e6)], [(0, 1), (1, 1.1e6)]),
        ("rotation", [(-180, 180)], [(-180.1, 0), (0, 180.1)]),
    ],
)
def test_every_limit_is_allowed_and_what_lies_beyond_is_not(name, allowed, refused):
    for value in allowed:
        assert getattr(CutPasteConfig(**{name: value}), name) == value
    for value in refused:
        with pytest.raises(ValueError, match=f"^{name} must be"):
            CutPasteConfig(**{name: value})


def test_the_error_for_3_way_says_how():
    with pytest.raises(ValueError, match=r"3-way .* two transforms, one 'normal' and one 'scar': see OneClassPairs"):
        CutPasteConfig(variant="3way")


def test_settings_cannot_be_changed_behind_the_check():
    with pytest.raises(dataclasses.FrozenInstanceError):
        CutPasteConfig().p = 2
