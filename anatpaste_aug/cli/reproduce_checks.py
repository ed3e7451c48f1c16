"""The checks of ``reproduce`` before it creates a folder: settings, backbone, device, output folders and data."""

import argparse
import dataclasses
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from anatpaste_aug import datasets
from anatpaste_aug.cli.command_line import blame
from anatpaste_aug.cli.values import device
from anatpaste_aug.datasets.folder.regions import SEGMENTERS
from anatpaste_aug.detection import METHODS, PRESETS, PretextConfig, TrainConfig
from anatpaste_aug.detection.evaluation.thresholds import has_both
from anatpaste_aug.detection.models.pretext_net import check_backbone
from anatpaste_aug.detection.studies.study_report import check_study
from anatpaste_aug.files import check_writable

__all__ = ["check_all", "load_task", "method_settings", "settings_of"]


def settings_of(arguments: argparse.Namespace) -> PretextConfig:
    """Return the settings of the methods with a pretext task, and of the baselines.

    Raises:
        ValueError: Settings are invalid, such as ``--sync-bn`` on a CPU.
    """
    arguments.device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device(arguments.device)
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"--device {error}") from error
    # A resumed run has all of them.
    given = {field.name for field in dataclasses.fields(PretextConfig)} & vars(arguments).keys()
    values = {name: getattr(arguments, name) for name in given}
    settings = PRESETS[arguments.preset] | {name: value for name, value in values.items() if value is not None}
    try:
        return PretextConfig(**settings | {"seed": int(arguments.seeds[0])})
    except TypeError as error:  # an edited config.json
        raise ValueError(f"{arguments.out / 'config.json'} has invalid settings: {error}") from error


def method_settings(arguments: argparse.Namespace, config: PretextConfig) -> dict[str, TrainConfig]:
    """Return the settings of each method to train; those of a resumed run are the recorded ones.

    Args:
        arguments: Arguments of the command line.
        config: The result of `settings_of`.

    Raises:
        ValueError: An option does not fit a method, such as ``--amp``.
    """
    configs: dict[str, TrainConfig] = {}
    for name in arguments.methods:
        method = METHODS[name]
        if method.transforms:
            configs[name] = dataclasses.replace(config, num_classes=method.num_classes)
            continue
        config_type = method.detector.config_type
        for option, given in (("--amp", config.amp), ("--sync-bn", config.sync_bn)):
            if given:
                raise ValueError(
                    f"{option} is not available for {name}: leave it out, or choose methods with a pretext task, "
                    "such as --method anatpaste cutpaste-scar"
                )
        if config.select == "pretext":
            raise ValueError(
                f"--select pretext: {name} has no pretext task; choose auroc or last, or train it separately"
            )
        shared = {field.name: getattr(config, field.name) for field in dataclasses.fields(TrainConfig)}
        own = {"image_size", "seed", "device", "select", "false_positive_rate"}
        settings = {**config_type.presets[arguments.preset], **{key: shared[key] for key in own}}
        try:
            configs[name] = config_type(**settings | arguments.detectors.get(name, {}) | {"device": config.device})
        except TypeError as error:  # an edited config.json
            raise ValueError(f"{arguments.out / 'config.json'} has invalid settings: {error}") from error
        except ValueError as error:
            raise ValueError(f"--method {name}: {error}") from error
    return configs


def check_all(
    arguments: argparse.Namespace, config: PretextConfig, methods: Mapping[str, TrainConfig] | None = None
) -> None:
    """Check before any work what would otherwise fail later.

    Args:
        arguments: Arguments of the command line.
        config: Settings of the methods with a pretext task.
        methods: Settings of each method to train.

    Raises:
        ValueError, OSError, ImportError: An argument, file, folder or package is invalid; the message names the remedy.
    """
    for option in ("out", "cache") + (("root",) if arguments.download else ()):
        if (folder := getattr(arguments, option)) is not None:
            with blame(f"--{option}"):
                check_writable(folder)
    if arguments.root is not None and not arguments.download and not arguments.root.exists():
        wanted = (
            "that contains train/good, or that the manifest's paths are relative to"
            if arguments.dataset == "folder"
            else "of the raw download"
        )
        raise ValueError(f"--root: {arguments.root} does not exist; give the folder {wanted}")
    if arguments.segmenter not in (None, *SEGMENTERS) and not Path(arguments.segmenter).is_dir():
        raise ValueError(
            f"--segmenter {arguments.segmenter}: not a folder of masks; give one, or {', '.join(SEGMENTERS)}"
        )
    if arguments.tensorboard and find_spec("tensorboard") is None:
        raise ImportError("--tensorboard needs tensorboard: pip install 'anatpaste_aug[tensorboard]'")
    if find_spec("tqdm") is None:
        raise ImportError("the progress bar needs tqdm: pip install 'anatpaste_aug[examples]'")
    for name, own in {"": config, **(methods or {})}.items():
        _check_processes(own, name)
    if 5 in arguments.figure and arguments.methods and not METHODS[arguments.methods[0]].transforms:
        first = arguments.methods[0]
        raise ValueError(
            f"--figure 5 shows Grad-CAM of the first method, which {first} does not have; name another method first, "
            "in a new --out"
        )
    with blame("--backbone"):
        check_backbone(config.backbone, config.in_chans, image_size=config.image_size)
    if config.stages:
        with blame("--stages"):
            check_backbone(config.backbone, config.in_chans, image_size=config.image_size, stages=config.stages)
    if arguments.study:
        with blame("--pretrained" if arguments.pretrained else "--figure"):
            check_study(config, arguments.figure, arguments.pretrained)


def load_task(arguments: argparse.Namespace, size: int) -> datasets.DetectionTask:
    """Load the images, with the masks to paste into.

    Raises:
        DatasetError: The download, the split file, an image or a mask is invalid.
    """
    task = datasets.with_regions(_load_images(arguments, size), arguments.segmenter or "lungs")
    if arguments.select == "auroc" and not has_both(task.val.labels):
        raise ValueError("--select auroc needs abnormal validation images; choose last or pretext, or leave it out")
    return task


def _load_images(arguments: argparse.Namespace, size: int) -> datasets.DetectionTask:
    if arguments.dataset == "phantom":
        return datasets.phantom_task(size, seed=arguments.split_seed)
    options: dict[str, Any] = {"seed": arguments.split_seed, "cache": arguments.cache, "white": arguments.white}
    options["on_error"] = "skip" if arguments.skip_unreadable else "raise"
    if arguments.split:
        options["split"] = datasets.Split.load(arguments.split)
    if arguments.name:
        options["name"] = arguments.name
    if arguments.dataset == "folder":
        given = {name: getattr(arguments, name) for name in ("normal", "abnormal", "manifest")}
        return datasets.folder_task(arguments.root, size, **given, **options)
    if arguments.dataset == "zhanglab":
        if arguments.download:
            datasets.download_zhanglab(arguments.root)
        return datasets.zhanglab_task(arguments.root, size, **options)
    options["views"] = arguments.views or "PA"
    if arguments.dataset == "rsna":
        return datasets.rsna_task(arguments.root, size, **options)
    return datasets.chexpert_task(
        arguments.root,
        size,
        protocol="diseases" if arguments.per_disease else "overall",
        exclude_support_devices=arguments.exclude_support_devices,
        **options,
    )


def _check_processes(config: TrainConfig, method: str) -> None:
    """Check that the GPUs and the batch can be divided among the processes of torchrun."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count > 1 and not config.distributed:
        raise ValueError(
            f"torchrun starts {count} processes, which cannot share a {method} training; start it without torchrun"
        )
    if config.batch_size % count:
        raise ValueError(
            f"torchrun starts {count} processes, which cannot divide a batch of {config.batch_size} evenly; start a "
            "number of processes that divides it"
        )
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if torch.device(config.device).type == "cuda" and here > torch.cuda.device_count():
        gpus = torch.cuda.device_count()
        raise ValueError(f"torchrun starts {here} processes for {gpus} GPUs; start {gpus}, or choose --device cpu")
