"""Which parts of the package import which, read from the source without imports."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "anatpaste_aug"
EXPERIMENTS = {"datasets", "detection", "cli", "inspection", "__main__"}
# Of anatpaste_aug.detection: each room imports those before it.
ROOMS = ("training", "evaluation", "models", "reporting", "studies")


def module_name(path, root):
    parts = (root.name, *path.relative_to(root).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def read(root):
    """Name -> (syntax tree, whether it is a package) of every module below a package's folder."""
    return {module_name(p, root): (ast.parse(p.read_text()), p.name == "__init__.py") for p in root.rglob("*.py")}


def at_import(node):
    """The statements below a node that run when a module is imported: not those of functions and type checkers."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from at_import(child)


def imported(name, modules, *, everything=False):
    """The modules of the package that a module imports, and the packages whose ``__init__`` that runs.

    Args:
        name: of the module.
        modules: of the package, from `read`.
        everything: count the imports in functions and for type checkers, too.
    """
    tree, is_package = modules[name]
    targets = set()
    for node in ast.walk(tree) if everything else at_import(tree):
        if isinstance(node, ast.Import):
            targets |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, *filter(None, [node.module])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                targets.add(whole if whole in modules else base)
    found = set()
    for target in targets & modules.keys():
        parts = target.split(".")
        above = {".".join(parts[:i]) for i in range(1, len(parts))}
        # The packages that a module is part of are being imported already when it is.
        found |= {target} | {each for each in above if not name.startswith(f"{each}.") and name != each}
    return found - {name}


def cycle(root):
    modules = read(root)
    try:
        TopologicalSorter({name: imported(name, modules) for name in modules}).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_there_is_no_import_cycle():
    assert cycle(PACKAGE) == []


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("from p.b import f", "from p.a import g", True),
        ("from .b import f", "import p.a", True),
        ("from . import b", "try:\n    from .a import g\nexcept ImportError:\n    pass", True),
        ("from p.sub import x", "", True),  # which imports p.a
        ("from p.sub.c import x", "", True),
        ("from p.b import f", "def f():\n    from p.a import g", False),
        ("from p.b import f", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import p.a", False),
    ],
)
def test_the_search_for_cycles_finds_them(first, second, expected, tmp_path):
    root = tmp_path / "p"
    (root / "sub").mkdir(parents=True)
    for name, text in (("__init__", ""), ("a", first), ("b", second), ("sub/__init__", "import p.a"), ("sub/c", "")):
        (root / f"{name}.py").write_text(text)
    assert bool(cycle(root)) == expected


def test_the_plugin_imports_nothing_of_the_experiments():
    """Not in functions either."""
    modules = read(PACKAGE)
    plugin = [name for name in modules if not EXPERIMENTS & set(name.split(".")[1:2])]
    assert {"anatpaste_aug.paste.config", "anatpaste_aug.functional.poisson", "anatpaste_aug.transforms.pairs"} < {
        *plugin
    }
    for name in plugin:
        parts = {target.split(".")[1] for target in imported(name, modules, everything=True) if "." in target}
        assert not parts & EXPERIMENTS, name


def test_the_names_of_the_experiments_are_those_of_the_package():
    parts = {path.stem for path in PACKAGE.iterdir()}
    assert parts >= EXPERIMENTS


@pytest.mark.parametrize("room", ROOMS)
def test_the_rooms_of_detection_import_those_before_them(room):
    modules = read(PACKAGE)
    allowed = ROOMS[: ROOMS.index(room) + 1]
    inside = [name for name in modules if name.startswith(f"anatpaste_aug.detection.{room}.")]
    assert len(inside) > 4
    for name in inside:
        for target in imported(name, modules, everything=True):
            if target.startswith("anatpaste_aug.detection."):
                assert target.split(".")[2] in allowed, (name, target)


def test_folders_are_small_enough_to_be_read():
    """A dozen modules at most, besides ``__init__``."""
    datasets = PACKAGE / "datasets"
    subfolders = [path for path in datasets.iterdir() if (path / "__init__.py").is_file()]
    assert len(subfolders) > 4
    for folder in (datasets, *subfolders, *(PACKAGE / "detection" / room for room in ROOMS)):
        assert len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) <= 12
