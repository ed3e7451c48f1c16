"""Calls and imports that no module of the package may have."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "anatpaste_aug"
MODULES = sorted(PACKAGE.rglob("*.py"))

# Modules that run what they read, and those that start programs.
FORBIDDEN = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "yaml", "code", "runpy"}
FORBIDDEN |= {"subprocess", "pty", "popen2", "commands", "ftplib", "telnetlib", "tarfile"}
CALLS = {"eval", "exec", "compile", "__import__", "breakpoint"}
SYSTEM = {"system", "popen", "execv", "execve", "execvp", "spawnl", "spawnv", "posix_spawn", "startfile"}
NETWORK = {"socket", "ssl", "http", "urllib", "requests", "httpx", "aiohttp"}
FETCHING = {"datasets/zhanglab/download.py"}
STARTING = {"detection/training/jobs.py"}  # the trainings of a study, as its caller names them


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module


def calls(tree):
    """Each call, as (what it is called on or None, name, node)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield None, node.func.id, node
            elif isinstance(node.func, ast.Attribute):
                yield ast.unparse(node.func.value), node.func.attr, node


def constant(node, name):
    return next((word.value.value for word in node.keywords if word.arg == name), None)


def findings(source, path="x.py"):
    tree = ast.parse(source)
    modules = {name.split(".")[0] for name in imports(tree)}
    yield from sorted(modules & (FORBIDDEN - {"subprocess"} if path in STARTING else FORBIDDEN))
    if path not in FETCHING:
        yield from sorted(modules & NETWORK)
    for owner, name, node in calls(tree):
        if owner is None and name in CALLS:
            yield name
        if owner == "os" and name in SYSTEM:
            yield f"os.{name}"
        if (owner, name) == ("torch", "load") and constant(node, "weights_only") is not True:
            yield "torch.load without weights_only=True"
        if constant(node, "weights_only") is False:
            yield "weights_only=False"
        if owner in ("np", "numpy") and name == "load" and constant(node, "allow_pickle") is not False:
            yield "np.load without allow_pickle=False"
        if constant(node, "allow_pickle") is True:
            yield "allow_pickle=True"
        if name == "Environment" and constant(node, "autoescape") is not True:
            yield "jinja2 without autoescape"
        if constant(node, "shell") is True or name in (
            "extractall",
            "unpack_archive",
            "add_safe_globals",
            "urlretrieve",
        ):
            yield name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_runs_what_it_reads(path):
    assert not list(findings(path.read_text(encoding="utf-8"), path.relative_to(PACKAGE).as_posix()))


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "def f():\n    import subprocess",
        "eval('1')",
        "import os\nos.system('ls')",
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "load_state_dict(p, weights_only=False)",
        "np.load(p)",
        "np.load(p, allow_pickle=True)",
        "jinja2.Environment()",
        "packed.extractall(folder)",
        "import urllib.request",
    ],
)
def test_unsafe_calls_are_detected(source):
    assert list(findings(source))


def test_safe_calls_are_not_reported():
    assert not list(findings("import urllib.request", "datasets/zhanglab/download.py"))
    assert not list(findings("torch.load(p, map_location='cpu', weights_only=True)\nmodel.eval()"))
    assert len(MODULES) > 100
