"""The folder of real radiographs, which not every machine has."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("ANATPASTE_DATA", Path(__file__).parents[3] / "shared" / "data"))


def needs(folder):
    """Skip a test where a folder of the real radiographs is missing."""
    return pytest.mark.skipif(not (DATA / folder).is_dir(), reason=f"no {folder} in {DATA} (set ANATPASTE_DATA)")
