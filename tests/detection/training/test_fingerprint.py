"""What identifies a run."""

import pytest
import torch

from anatpaste_aug.detection import PretextConfig
from anatpaste_aug.detection.training.fingerprint import differences, fingerprint

ZEROS = torch.zeros(3)


def test_differences_name_both_sides_and_entries_that_only_one_has():
    assert (
        differences({"a": 1, "b": 2}, {"b": 3, "c": 4})
        == "b is 2 there and 3 here; c is None there and 4 here; a is 1 there and None here"
    )
    assert differences({"a": 1}, {"a": 1}) == ""


@pytest.mark.parametrize("change", [{"seed": 1}, {"processes": 2}, {"images": torch.ones(3)}, {"images": None}])
def test_a_fingerprint_changes_with_settings_processes_and_data(change):
    def of(seed=0, processes=1, images=ZEROS):
        return fingerprint(PretextConfig(seed=seed), processes, images=images)

    assert of() == of()
    assert len(differences(of(), of(**change)).split("; ")) == 1
