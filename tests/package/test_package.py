"""Imports, names and metadata of the package."""

import builtins
import configparser
import doctest
import importlib
import pickle
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement  # pytest brings it

import anatpaste_aug

ROOT = Path(__file__).parents[2]
BASE = ("torch", "torchvision", "numpy")
HEAVY = ("pandas", "skimage", "sklearn", "scipy", "timm", "matplotlib", "pydicom", "tqdm", "jinja2", "numba", "kornia")
HEAVY += ("albumentations", "anomalib", "lightning", "monai")
HOSTS = ("albumentations", "lightning", "monai")  # needed to import their own adapters; documented in tests/adapters
MODULES = [
    "anatpaste_aug",
    *(
        module.name
        for module in pkgutil.walk_packages(anatpaste_aug.__path__, "anatpaste_aug.")
        if module.name.rpartition(".")[2] not in (*HOSTS, "__main__")
    ),
]


def modules_after(statement):
    """The top-level modules that a fresh interpreter has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(found.stdout.split())


@pytest.mark.slow
def test_the_import_loads_nothing_heavy():
    base = modules_after("\n".join(f"import {name}" for name in BASE))
    added = modules_after("from anatpaste_aug import *") - base
    assert not added & set(HEAVY)
    assert "anatpaste_aug" in added


@pytest.mark.slow
def test_the_public_names_need_no_extra():
    blocked = "\n".join(f"sys.modules[{name!r}] = None" for name in HEAVY if name not in ("scipy", "tqdm"))
    assert "torch" in modules_after(f"{blocked}\nfrom anatpaste_aug import *")


@pytest.mark.slow
def test_everything_that_needs_no_extra_works_where_extras_cannot_be_imported():
    names = ("numba", "timm", "sklearn", "pydicom", "scipy", "skimage", "matplotlib", "tensorboard", *HOSTS)
    blocked = f"import sys, pytest; sys.modules.update(dict.fromkeys({names}))"
    run = f"{blocked}; sys.exit(pytest.main(['tests/test_no_extras.py', '-q', '-n', '0']))"
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def test_the_version_is_that_of_the_distribution():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert anatpaste_aug.__version__ == setup["metadata"]["version"]


@pytest.mark.parametrize(
    ("place", "wanted"),
    [
        ({}, True),
        ({"platform_machine": "aarch64"}, True),
        ({"platform_machine": "arm64", "sys_platform": "darwin"}, True),
        ({"platform_machine": "AMD64", "sys_platform": "win32", "python_version": "3.14"}, True),
        ({"platform_machine": "ppc64le"}, False),
        ({"platform_machine": "ARM64", "sys_platform": "win32"}, False),
        ({"python_version": "3.16"}, False),
        ({"implementation_name": "pypy"}, False),
    ],
)
def test_numba_is_asked_for_where_it_has_wheels(place, wanted):
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    needed = map(Requirement, filter(None, setup["options"]["install_requires"].splitlines()))
    (numba,) = (requirement for requirement in needed if requirement.name == "numba")
    usual = {"platform_machine": "x86_64", "python_version": "3.11", "implementation_name": "cpython"}
    assert numba.marker.evaluate(usual | place) == wanted


PUBLIC = [
    "anatpaste_aug",
    *(
        f"anatpaste_aug.{name}"
        for name in ("detection", "functional", "mask_cache", "paste", "segmentation", "transforms")
    ),
]


@pytest.mark.parametrize("package", PUBLIC)
def test_public_names_exist_and_are_documented(package):
    module = importlib.import_module(package)
    for name in module.__all__:
        public = getattr(module, name)
        # A type alias cannot carry a docstring, nor can a string.
        assert isinstance(public, str) or public.__doc__ or public is anatpaste_aug.segmentation.Segmenter


def test_tab_completion_shows_the_subpackages_and_nothing_internal():
    shown = dir(anatpaste_aug)
    assert {"AnatPasteTransform", "datasets", "detection", "functional", "inspection"} <= {*shown}
    assert not {name for name in shown if name.startswith("_")} - {"__version__"}
    assert not {"TYPE_CHECKING", "cli", "files", "import_module", "precision", "validation"} & {*shown}
    assert all(hasattr(anatpaste_aug, name) for name in shown)
    with pytest.raises(AttributeError, match="module 'anatpaste_aug' has no attribute 'nothing'"):
        anatpaste_aug.nothing  # noqa: B018


@pytest.mark.parametrize("package", [*PUBLIC, "anatpaste_aug.datasets"])
def test_an_import_of_all_names_hides_nothing_of_python(package):
    assert not {*importlib.import_module(package).__all__} & {*dir(builtins)}


def test_public_names_are_those_of_the_modules_that_define_them():
    namespace = {}
    exec("from anatpaste_aug import *", namespace)
    assert {*namespace} - {"__builtins__"} == {*anatpaste_aug.__all__}
    assert namespace["AnatPasteTransform"] is anatpaste_aug.transforms.AnatPasteTransform
    assert namespace["MaskCache"] is anatpaste_aug.mask_cache.MaskCache
    params = anatpaste_aug.PasteConfig(p=0.5)
    assert pickle.loads(pickle.dumps(params)) == params


@pytest.mark.slow
def test_subpackages_are_imported_at_their_first_use():
    loaded = "'anatpaste_aug.datasets' in sys.modules"
    code = f"import sys, anatpaste_aug; print({loaded}, anatpaste_aug.datasets.__name__, {loaded})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["False", "anatpaste_aug.datasets", "True"]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert not failed


def test_a_missing_extra_of_the_detectors_is_named(monkeypatch):
    detection = importlib.import_module("anatpaste_aug.detection")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"needs jinja2: pip install 'anatpaste_aug\[examples\]'"):
        importlib.reload(detection)


def test_what_a_user_reads_first_has_examples_that_run():
    finder = doctest.DocTestFinder()
    names = [anatpaste_aug.AnatPasteTransform, anatpaste_aug.LungSegmenter, anatpaste_aug.PasteConfig]
    for public in names:
        assert any(test.examples for test in finder.find(public))
