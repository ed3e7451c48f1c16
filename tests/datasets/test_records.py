"""Valid and invalid records."""

import dataclasses
import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import anatpaste_aug.datasets
from anatpaste_aug.datasets import DatasetError, Record

GOOD = {"path": "train/NORMAL/IM-0115-0001.jpeg", "label": 0, "patient": "train/IM-0115", "source": "train"}


def test_defaults_and_immutability():
    record = Record(**GOOD)
    assert (record.view, record.sex, record.age, record.findings) == (None, None, None, ())
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.label = 1
    assert Record(**GOOD, view="PA", sex="F", age=45, findings=("Edema",)) != record
    assert len({record, Record(**GOOD)}) == 1


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


MODULES = [
    module.name
    for module in pkgutil.walk_packages(anatpaste_aug.datasets.__path__, "anatpaste_aug.datasets.")
    if not module.ispkg
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.slow
def test_import_needs_no_extra():
    """Importing the package does not import Pillow, tqdm, pandas, pydicom or matplotlib."""
    code = (
        "import sys, numpy, torch; blocked = ('PIL', 'tqdm', 'pandas', 'pydicom', "
        "'matplotlib', 'sklearn', 'timm'); import anatpaste_aug; middle = set(sys.modules); "
        "import anatpaste_aug.datasets; new = {m.split('.')[0] for m in set(sys.modules) - middle}; "
        "sys.exit(', '.join(sorted(new & set(blocked))) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
