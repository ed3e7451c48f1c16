"""The number of cases that the property tests in this folder run.

``python -m pytest tests/fuzz`` runs 20 cases per property, always the same ones.
``ANATPASTE_FUZZ=100000 python -m pytest tests/fuzz`` runs that many in total, different ones each time.
"""

import functools
import math
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

FOLDER = Path(__file__).parent

TOTAL = int(os.environ.get("ANATPASTE_FUZZ", "0"))
PER_PROPERTY = 20  # unless ANATPASTE_FUZZ is set
_RUN = {"cases": 0, "properties": 0}


@pytest.hookimpl(trylast=True)  # once it is known which properties are selected
def pytest_collection_modifyitems(items):
    own = [item for item in items if FOLDER in item.path.parents]
    if not own:
        return
    profile = settings(
        max_examples=math.ceil(TOTAL / len(own)) if TOTAL else PER_PROPERTY,
        derandomize=not TOTAL,
        deadline=None,
        database=None,
        print_blob=bool(TOTAL),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    for item in own:
        profile(item.obj)
        item.obj.hypothesis.inner_test = _counted(item.obj.hypothesis.inner_test)
    _RUN["properties"] = len(own)


def _counted(test):
    @functools.wraps(test)
    def counted(*args, **kwargs):
        _RUN["cases"] += 1
        return test(*args, **kwargs)

    return counted


def pytest_terminal_summary(terminalreporter):
    if _RUN["properties"]:
        terminalreporter.write_line(f"{_RUN['cases']} cases of {_RUN['properties']} properties")
