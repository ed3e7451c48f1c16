"""The benchmark of mixed precision takes turns between both, and prints the ratio."""

import importlib
import re
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def module(monkeypatch):
    pytest.importorskip("timm", reason='needs timm: pip install "anatpaste_aug[examples]"')
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("mixed_precision")


@pytest.mark.slow
def test_both_are_trained_in_turns_and_compared(module, monkeypatch, capsys):
    done = []
    advance = module.PretextTrainer.advance
    monkeypatch.setattr(module.PretextTrainer, "advance", lambda self: (done.append(self.config), advance(self)))
    module.main(["--size", "32", "48", "--batch", "2", "--rounds", "3", "--threads", "1", "--backbone", "test_byobnet"])
    assert [config.amp for config in done] == [False, True] * (2 + 3) * 2
    assert [config.image_size for config in done] == [32] * 10 + [48] * 10
    printed = capsys.readouterr().out
    assert (
        len(re.findall(r"^\| (?:32|48) px +\| \d+\.\d{3} s +\| \d+\.\d{3} s +(?:\| \d+\.\d\d +){3}\|$", printed, re.M))
        == 2
    )
