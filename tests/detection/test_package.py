"""Names, docstrings and extras of the detection package."""

import doctest
import importlib
import pkgutil
import sys

import pytest

import anatpaste_aug.detection

MODULES = [
    module.name
    for module in pkgutil.walk_packages(anatpaste_aug.detection.__path__, "anatpaste_aug.detection.")
    if not module.ispkg
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert not failed


def test_public_names_exist_and_are_documented():
    for name in anatpaste_aug.detection.__all__:
        value = getattr(anatpaste_aug.detection, name)
        assert isinstance(value, str) or value.__doc__


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.delitem(sys.modules, "anatpaste_aug.detection.reporting.report")
    with pytest.raises(ImportError, match=r"needs jinja2: pip install 'anatpaste_aug\[examples\]'"):
        importlib.reload(anatpaste_aug.detection)
