"""How the kernels are compiled and kept, and what happens without Numba."""

import importlib.util
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("numba", reason="needs Numba: pip install numba")

import numba
from helpers.forks import finish, start

import anatpaste_aug
from anatpaste_aug.functional._numba import jit


def quotient(a, b):
    return a / b


def test_kernels_divide_as_torch_does_and_let_other_threads_run():
    kernel = jit.compiled(quotient)
    assert kernel(1.0, 0.0) == math.inf
    assert math.isnan(kernel(0.0, 0.0))
    assert kernel.targetoptions["nogil"]


def test_where_nothing_can_be_kept_kernels_are_compiled_for_this_process(monkeypatch):
    def refusing(*arguments, cache=False, **settings):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*arguments, **settings)

    njit, before = numba.njit, numba.config.CACHE_DIR
    monkeypatch.setattr(numba, "njit", refusing)
    kernel = jit.compiled(quotient)
    assert kernel(1.0, 0.0) == math.inf
    assert kernel.targetoptions["nogil"]
    assert before == numba.config.CACHE_DIR


@pytest.mark.parametrize(("folder", "expected"), [("/somewhere", "/somewhere/anatpaste_aug"), ("relative", "")])
def test_a_cache_folder_that_is_relative_does_not_count(folder, expected, monkeypatch):
    """The XDG specification has such values ignored; they would depend on where a program is started."""
    monkeypatch.setenv("XDG_CACHE_HOME", folder)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    with jit._kept_outside_the_package():
        assert expected == numba.config.CACHE_DIR
    assert numba.config.CACHE_DIR == ""


def test_machine_code_is_of_all_sources_that_kernels_are_made_of(tmp_path):
    """Numba itself compares a kernel's own file only, and would go on with an old constant of another one."""
    shutil.copytree(Path(anatpaste_aug.__file__).parent / "functional", tmp_path / "functional")

    def name():
        spec = importlib.util.spec_from_file_location("copy", tmp_path / "functional" / "_numba" / "jit.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.compiled(lambda x: x).py_func.__qualname__

    names = [name(), name()]
    assert names[0] == names[1]
    for changed in ("clahe.py", "_numba/shape.py"):
        with (tmp_path / "functional" / changed).open("a") as file:
            file.write("# another constant\n")
        names.append(name())
    assert len(set(names)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [False, True])
def test_machine_code_is_kept_where_no_uninstallation_forgets_it(tmp_path, chosen):
    """Files left beside the source would make the package's folder an importable one without the package."""
    code = """
import torch, numba
from anatpaste_aug import LungSegmenter
from anatpaste_aug.functional._numba.lungs import clahe
LungSegmenter()(torch.rand(1, 1, 64, 64))
kernels = [value for value in vars(clahe).values() if isinstance(value, numba.core.registry.CPUDispatcher)]
assert kernels
print(*{kernel.stats.cache_path for kernel in kernels}, numba.config.CACHE_DIR, sep="\\n")
"""
    folders = {"XDG_CACHE_HOME": str(tmp_path / "user"), "NUMBA_CACHE_DIR": str(tmp_path / "chosen") if chosen else ""}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={**os.environ, **folders}
    )
    *kept, setting = done.stdout.splitlines()
    wanted = tmp_path / ("chosen" if chosen else "user/anatpaste_aug")
    assert [Path(folder).parent for folder in kept] == [wanted]
    assert list(wanted.rglob("*.nbc"))
    assert setting == folders["NUMBA_CACHE_DIR"]  # Numba's own setting is for all packages


@pytest.mark.slow
def test_a_numba_that_cannot_be_imported_is_named_and_done_without(tmp_path):
    (tmp_path / "numba").mkdir()
    (tmp_path / "numba" / "__init__.py").write_text("raise ImportError('Numba needs another NumPy')")
    code = """
import torch
from anatpaste_aug import LungSegmenter
print(LungSegmenter()(torch.rand(1, 1, 64, 64)).shape)
"""
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "torch.Size([1, 1, 64, 64])" in done.stdout
    assert "UserWarning: Numba cannot be imported" in done.stderr


LINE = "anatpaste_aug compiles its CPU kernels"
SEGMENT = """
import sys, time, torch
from anatpaste_aug.functional import segment_lungs
while time.time() < float(sys.argv[1]):
    pass
segment_lungs(torch.rand(1, 1, 32, 32))
from anatpaste_aug.functional._numba.lungs import find_lungs
kernels = find_lungs.tile_curves, find_lungs.equalize, find_lungs.find_lungs
print(sum(kernel.stats.cache_misses != {} for kernel in kernels))
"""


def compiling_process(folder, start=0.0):
    return subprocess.Popen(
        [sys.executable, "-c", SEGMENT, str(start)],
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_process_that_compiles_says_so_once_and_the_next_one_has_nothing_to_say(tmp_path):
    out, error = compiling_process(tmp_path).communicate()
    assert out.strip() == "3"
    assert error.count(LINE) == 1
    assert f"once, and keeps them in {tmp_path}" in error
    out, error = compiling_process(tmp_path).communicate()
    assert out.strip() == "0"
    assert LINE not in error


@pytest.mark.slow
def test_processes_that_start_together_compile_each_kernel_once(tmp_path):
    together = time.time() + 8
    found = [process.communicate() for process in [compiling_process(tmp_path, together) for _ in range(2)]]
    assert sum(int(out) for out, _ in found) == 3, found


def test_a_folder_that_nobody_can_lock_is_no_obstacle(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(jit, "_kernels", [])
    with jit._alone(str(tmp_path / "file")), jit._alone(None):
        pass


def test_a_forked_process_takes_a_lock_of_its_own(tmp_path):
    """As the workers of a data loader do."""

    def lock():
        with jit._alone(str(tmp_path)):
            pass

    lock()
    assert finish(start(lock)) == 0


@pytest.mark.slow
def test_what_was_warmed_up_is_not_compiled_again(tmp_path):
    code = """
import torch, anatpaste_aug
state = torch.get_rng_state()
anatpaste_aug.warm_up([torch.uint8])
assert torch.equal(state, torch.get_rng_state())
images = torch.zeros(2, 3, 64, 40, dtype=torch.uint8)
anatpaste_aug.AnatPasteTransform().augment(images)
anatpaste_aug.AnatPasteTransform(target="intensity").augment(images)
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    for expected in (1, 0):
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stderr.count(LINE) == expected
        code = code.replace("anatpaste_aug.warm_up", "# ")
