"""The examples of one-class training with fewer images."""

import re
import runpy
import sys
from contextlib import suppress
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def printed(name, monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    with suppress(SystemExit):
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return capsys.readouterr().out.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize(("method", "kinds"), [("anatpaste", 2), ("cutpaste", 2), ("3way", 3)])
def test_one_class_pairs_learns_to_tell_them_apart(method, kinds, monkeypatch, capsys):
    arguments = {"--method": method, "--images": 32, "--epochs": 6, "--device": "cpu"}
    lines = printed("one_class_pairs.py", monkeypatch, capsys, *(part for pair in arguments.items() for part in pair))
    losses = [float(re.search(r"loss (\S+),", line)[1]) for line in lines]
    assert len(losses) == 6
    assert losses[-1] < losses[0]
    assert lines[0].endswith(f"{32 * kinds} images")


def test_migration_gives_the_same_batches_in_both_ways(monkeypatch, capsys):
    lines = printed("migrate_from_published.py", monkeypatch, capsys)
    expected = f"images (16, 1, 128, 128), labels {[0] * 8 + [1] * 8}"
    assert lines == [f"{name}: {expected}" for name in ("in the loader", "on the device") for _ in range(2)]
