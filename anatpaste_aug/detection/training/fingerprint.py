"""What identifies a training run: its settings, its data, and the versions and hardware that it ran on."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anatpaste_aug import __version__
from anatpaste_aug.detection.training.config import TrainConfig

_PACKAGES = ("torch", "torchvision", "kornia", "timm", "scikit-learn", "numpy")


def fingerprint(config: TrainConfig, processes: int, **data: Tensor | None) -> dict[str, Any]:
    """Return what determines the outcome of a run, except for the augmentation.

    Args:
        config: The settings.
        processes: Number of processes that share the batches.
        data: Tensors by name, such as the training images; each is represented by a digest.

    Example:
        >>> config = TrainConfig(32, 4, 10, 5, 0.1, seed=5)
        >>> run = fingerprint(config, 1, train_images=torch.zeros(2, dtype=torch.uint8), lung_masks=None)
        >>> run["seed"], len(run["train_images"]), run["lung_masks"]
        (5, 12, None)
    """
    return {**dataclasses.asdict(config), "processes": processes, **{name: _digest(x) for name, x in data.items()}}


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Describe the entries that differ; empty if none does.

    Example:
        >>> differences({"seed": 0, "jitter": 0.1}, {"seed": 1, "jitter": 0.1})
        'seed is 0 there and 1 here'
    """
    names = [name for name in {**here, **there} if there.get(name) != here.get(name)]
    return "; ".join(f"{name} is {there.get(name)} there and {here.get(name)} here" for name in names)


def environment(device: str = "cpu") -> dict[str, str]:
    """Return the versions and the hardware of this process, to be recorded with a run."""
    versions = {"device": f"{_cpu_name()}, {torch.get_num_threads()} threads"}
    if torch.device(device).type == "cuda":
        versions["device"] = torch.cuda.get_device_name(device)
    versions["system"] = f"{platform.system()} {platform.machine()}"
    versions["python"] = platform.python_version()
    versions["anatpaste_aug"] = __version__
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def _digest(data: Tensor | None) -> str | None:
    if data is None:
        return None
    content = data.detach().cpu().contiguous()
    digest = hashlib.sha256(f"{content.dtype} {tuple(content.shape)}".encode())
    digest.update(content.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:12]


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):  # no such file outside Linux, no such line on some CPUs
        return platform.processor() or "CPU"
