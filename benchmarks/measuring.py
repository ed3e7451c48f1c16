"""Timing, profiling by stage, and a description of the machine, for the benchmarks."""

import importlib.metadata
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

import torch

import anatpaste_aug
from anatpaste_aug.functional import _numba

_PACKAGES = ("torch", "torchvision", "kornia", "kornia_rs", "numpy", "numba", "pillow", "scikit-image", "scipy")
_PACKAGES += ("timm", "opencv-python-headless", "opencv-python")


@dataclass
class Method:
    """One way to do the work. ``run`` returns when the work is done, also on the device."""

    key: str
    label: str
    images: int  # that one run handles
    run: Callable[[], object]
    batch: int = 1  # images in one call
    loops: int = 1
    rates: list[float] = field(default_factory=list)  # images/s, one per round
    peak_bytes: int | None = None  # of one call

    def summary(self) -> dict[str, Any]:
        middle = statistics.median(self.rates)
        return {
            "label": self.label,
            "batch": self.batch,
            "images_per_run": self.images,
            "runs_per_round": self.loops,
            "images_per_s": {"median": middle, "min": min(self.rates), "max": max(self.rates), "rounds": self.rates},
            "ms_per_image": 1000 / middle,
            "peak_bytes": self.peak_bytes,
        }


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def interleave(methods: list[Method], repeats: int, round_seconds: float, tick: Callable[[str], None]) -> None:
    """Warm up all methods, then time each once per round, starting with a different one each time.

    A fast method runs several times per round, for about ``round_seconds``. Drift of the machine affects all alike.
    """
    for method in methods:
        tick(f"warm-up: {method.label}")
        method.run()
        method.loops = max(1, math.ceil(round_seconds / _seconds(method)))
    for round_ in range(repeats):
        tick(f"round {round_ + 1} of {repeats}")
        first = round_ * 3 % len(methods)
        for method in methods[first:] + methods[:first]:
            time.sleep(0.02)  # idle threads of the previous method busy-wait for a while
            method.rates.append(method.images * method.loops / _seconds(method))


def _seconds(method: Method) -> float:
    start = time.perf_counter()
    for _ in range(method.loops):
        method.run()
    return time.perf_counter() - start


# The module that calls a function of the package, and the stage to which its time counts.
_STAGES = {
    "anatpaste_aug.functional.lungs.segment": {
        "to_gray": "CLAHE",
        "clahe": "CLAHE",
        "otsu_threshold": "Otsu",
        "erode": "morphology",
        "dilate": "morphology",
        "clear_border_of_squares": "components",
        "remove_small_squares": "components",
    },
    "anatpaste_aug.functional._numba.lungs.find_lungs": {
        "find_bins": "CLAHE",
        "tile_curves": "CLAHE",
        "equalize": "CLAHE",
        "otsu": "Otsu",
        "spread": "morphology",
        "keep_components": "components",
    },
    "anatpaste_aug.functional._numba.shape": {"soft_masks": "shape and blur"},
    "anatpaste_aug.functional._numba.blending": {"blend": "blend"},
    "anatpaste_aug.transforms.steps": {"sample_params": "sampling"},
    "anatpaste_aug.functional.paste": {
        "_mask": "shape and blur",
        "color_jitter": "blend",
        "move": "blend",
        "alpha_blend": "blend",
    },
}


def without_numba() -> AbstractContextManager:
    """Return a context in which the CPU runs the code for machines without Numba."""
    return mock.patch.object(_numba, "HAS_NUMBA", False)


@contextmanager
def in_stages(around: Callable[[str], AbstractContextManager]) -> Iterator[list[str]]:
    """Run each stage of the package's work in its own context; yields the stages' names."""

    def staged(function: Callable, stage: str) -> Callable:
        def call(*args: Any, **kwargs: Any) -> Any:
            with around(stage):
                return function(*args, **kwargs)

        return call

    with ExitStack() as stack:
        for module_name, names in _STAGES.items():
            module = import_module(module_name)
            for name, stage in names.items():
                stack.enter_context(mock.patch.object(module, name, staged(getattr(module, name), stage)))
        yield list(dict.fromkeys(stage for names in _STAGES.values() for stage in names.values()))


@contextmanager
def timed_stages(device: torch.device) -> Iterator[dict[str, float]]:
    """Measure the seconds per stage of the package's work; on a device, synchronize after each stage."""
    seconds: dict[str, float] = {}

    @contextmanager
    def clock(stage: str) -> Iterator[None]:
        synchronize(device)
        start = time.perf_counter()
        yield
        synchronize(device)
        seconds[stage] += time.perf_counter() - start

    with in_stages(clock) as stages:
        seconds.update(dict.fromkeys(stages, 0.0))
        yield seconds


def stage_shares(run: Callable[[], object], device: torch.device, seconds: float) -> dict[str, float]:
    """Measure the fraction of time of each stage of ``run``, over at least ``seconds``; "other" is the time in between.

    The CPU uses one thread, because fractions of concurrent stages are not defined.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if device.type == "cpu" else threads)
    run()
    with timed_stages(device) as stages:
        start, total = time.perf_counter(), 0.0
        while total == 0 or total < seconds:
            run()
            total = time.perf_counter() - start
    torch.set_num_threads(threads)
    return {stage: spent / total for stage, spent in stages.items()} | {"other": 1 - sum(stages.values()) / total}


class OtherWork:
    """Measures how busy the machine is with other processes, except this one's finished children (Linux; else None)."""

    def __init__(self) -> None:
        self._before = self._read()

    def share(self) -> float | None:
        """Return the fraction of CPU time since the beginning."""
        if self._before is None:
            return None
        total, busy, own = (now - then for now, then in zip(self._read(), self._before, strict=True))
        return max(0.0, busy - own) / total if total > 0 else None

    @staticmethod
    def _read() -> tuple[float, float, float] | None:
        stat = Path("/proc/stat")
        if not stat.exists():
            return None
        user, nice, system, idle, wait, *interrupts = stat.read_text().split(maxsplit=9)[1:9]
        busy = sum(map(int, (user, nice, system, *interrupts)))
        ticks = os.sysconf("SC_CLK_TCK")
        return (busy + int(idle) + int(wait)) / ticks, busy / ticks, sum(os.times()[:4])


def environment(device: torch.device) -> dict[str, Any]:
    """Describe what the results depend on besides the code."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "versions": {"anatpaste_aug": anatpaste_aug.__version__, "python": platform.python_version(), **versions},
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_model(),
        "cores": cores(),
        "cpu_kernels": _kernels(),
        "thread_variables": {k: v for k, v in sorted(os.environ.items()) if k.endswith("_NUM_THREADS")},
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
    }


def _kernels() -> str:
    """Describe the code that our methods run on the CPU."""
    if not _numba.supports(torch.zeros(1)):
        return "torch operations (Numba is not installed)"
    return f"compiled by Numba {importlib.metadata.version('numba')}"


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def _commit() -> str | None:
    def git(*command: str) -> str:
        here = Path(__file__).parent
        return subprocess.run(["git", *command], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "../anatpaste_aug")
        return git("rev-parse", "--short=12", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def say(text: str) -> None:
    """Print progress separately from the results."""
    print(text, file=sys.stderr, flush=True)
