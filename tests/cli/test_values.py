"""Numbers out of range and unavailable devices are errors."""

import argparse
from types import SimpleNamespace

import pytest
import torch

from anatpaste_aug.cli.values import COUNT, SEED, SIDE, device, whole


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (SIDE, "31", "31 is out of range, give a number from 32 to 4096"),
        (SIDE, "999999", "999999 is out of range, give a number from 32 to 4096"),
        (COUNT, "0", "0 is out of range, give a number of at least 1"),
        (SEED, "-1", "-1 is out of range, give a number of at least 0"),
        (SEED, "9" * 30, "is out of range, give a number from 0 to 9223372036854775807"),
        (COUNT, "two", "'two' is not a whole number"),
        (COUNT, "1.5", "'1.5' is not a whole number"),
        (whole(1, 3), "4", "4 is out of range, give a number from 1 to 3"),
    ],
)
def test_errors_give_the_range(kind, text, message):
    with pytest.raises(argparse.ArgumentTypeError) as error:
        kind(text)
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["cudda", "", "meta", "cuda:99", "mps:7"])
def test_an_unavailable_device_is_an_error(name):
    with pytest.raises(argparse.ArgumentTypeError) as error:
        device(name)
    assert str(error.value).startswith(f"{name}: ")
    assert str(error.value).endswith("cpu")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("count", "name", "fault"),
    [
        (0, "cuda", "no GPU with a working driver"),
        (2, "cuda:2", "there are 2 GPUs"),
        (2, "cuda:1", ""),
        (1, "cuda", ""),
    ],
)
def test_gpus_are_counted(monkeypatch, count, name, fault):
    gpus = SimpleNamespace(is_available=lambda: count > 0, device_count=lambda: count)
    monkeypatch.setattr(torch, "cuda", gpus)
    if not fault:
        assert device(name) == name
        return
    with pytest.raises(argparse.ArgumentTypeError, match=fault):
        device(name)
