"""Fixtures for the tests of all hosts: run an example, and import an adapter without its host."""

import importlib.util
import sys
from pathlib import Path

import pytest

import anatpaste_aug.adapters

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run_example(capsys):
    """Runs examples/NAME.py with smaller numbers and returns what it printed."""

    def run(name, **smaller):
        spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.main(**smaller)
        return capsys.readouterr().out

    return run


@pytest.fixture
def import_without(monkeypatch):
    """Imports an adapter again as if its host were not installed."""

    def attempt(host, module):
        name = f"anatpaste_aug.adapters.{module}"
        monkeypatch.setattr(anatpaste_aug.adapters, module, importlib.import_module(name))  # put back afterwards
        for loaded in [host, *sys.modules]:
            if loaded.partition(".")[0] == host:
                monkeypatch.setitem(sys.modules, loaded, None)
        monkeypatch.delitem(sys.modules, name)
        return importlib.import_module(name)

    return attempt
