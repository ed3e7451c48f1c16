"""What the tests of all hosts need: to run an example, and to take a host away."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

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
def import_without():
    """The last line of what the import of an adapter says in an interpreter that lacks a host."""

    def attempt(host, module):
        code = f"import sys; sys.modules[{host!r}] = None; import anatpaste_aug.transforms.{module}"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
        return done.stderr.strip().rpartition("\n")[2]

    return attempt
