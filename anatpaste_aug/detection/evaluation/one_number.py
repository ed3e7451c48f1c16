"""Scores that are a single number of an image, such as its sharpness: baselines that a detector has to beat.

If normal and abnormal images were acquired, compressed or scaled differently, sharpness or brightness alone may
separate the classes, and a detector's AUROC means little without this comparison.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anatpaste_aug.datasets import DatasetError, DetectionTask
from anatpaste_aug.datasets.files.dicom import is_dicom
from anatpaste_aug.detection.evaluation.metrics import auroc
from anatpaste_aug.detection.evaluation.results import MethodScores

_BATCH = 256


def image_statistics(images: Tensor) -> dict[str, Tensor]:
    """Return one-number scores that need no training.

    Args:
        images: N×1×H×W, uint8 or float in [0, 1]; one channel, at least 2×2.

    Returns:
        Name -> N float64 values on the scale of [0, 1]: "mean gradient" (mean of the absolute differences between
        neighbors, horizontal and vertical alike), "mean vertical gradient" (between rows only), "mean intensity" and
        "intensity spread" (standard deviation).

    Raises:
        ValueError: The shape is wrong.

    Example:
        >>> ramp = torch.tensor([0.0, 0.25, 0.5]).expand(1, 1, 2, 3)
        >>> {name: value.item() for name, value in image_statistics(ramp).items() if "gradient" in name}
        {'mean gradient': 0.125, 'mean vertical gradient': 0.0}
    """
    if images.ndim != 4 or images.shape[1] != 1 or min(images.shape[2:]) < 2 or not len(images):
        raise ValueError(f"images must be N×1×H×W, one or more and at least 2×2, got shape {tuple(images.shape)}")
    statistics: dict[str, list[Tensor]] = {}
    for batch in images.split(_BATCH):
        pixels = batch.double() / (1 if batch.is_floating_point() else 255)
        across, down = (pixels.diff(dim=dim).abs().mean((1, 2, 3)) for dim in (3, 2))
        spread, mean = torch.std_mean(pixels, dim=(1, 2, 3), correction=0)
        values = ((across + down) / 2, down, mean, spread)
        names = ("mean gradient", "mean vertical gradient", "mean intensity", "intensity spread")
        for name, value in zip(names, values, strict=True):
            statistics.setdefault(name, []).append(value)
    return {name: torch.cat(parts) for name, parts in statistics.items()}


def original_sizes(root: str | os.PathLike[str], names: Sequence[str]) -> Tensor:
    """Return the pixels (width × height) of image files before they were resized; only their headers are read.

    Args:
        root: The folder that the names are relative to.
        names: Image files, as ``Subset.names`` has them.

    Returns:
        N float64 values.

    Raises:
        DatasetError: A file cannot be read; the message names it.
        ImportError: Pillow is not installed, or pydicom for DICOM files.
    """
    return torch.tensor([_pixels(Path(root, name)) for name in names], dtype=torch.float64)


def one_number_methods(
    val_values: Mapping[str, Tensor], val_labels: Any, test_values: Mapping[str, Tensor]
) -> list[MethodScores]:
    """Return one-number scores as methods, with the sign that scores abnormal *validation* images higher.

    Args:
        val_values: Name -> one value per validation image, as `image_statistics` returns them.
        val_labels: Their labels, 0 (normal) or 1 (abnormal); both must occur.
        test_values: The same names for the test images, whose labels are not used.

    Returns:
        Methods in the given order, named like "mean intensity (low)" where low values are the abnormal ones. Scores
        that are the same for all validation images are left out.

    Raises:
        ValueError: The names differ, or as `auroc`.

    Example:
        >>> (method,) = one_number_methods({"a": torch.tensor([1.0, 2.0])}, [1, 0], {"a": torch.tensor([3.0])})
        >>> method.name, method.test.tolist()
        ('a (low)', [-3.0])
    """
    if set(val_values) != set(test_values):
        raise ValueError(f"validation has the scores {sorted(val_values)}, test has {sorted(test_values)}")
    methods = []
    for name, values in val_values.items():
        if bool((values == values[0]).all()):
            continue  # such as the size of images that all have the same
        low = auroc(val_labels, values) < 0.5
        sign = -1 if low else 1
        methods.append(MethodScores(f"{name} ({'low' if low else 'high'})", sign * values, sign * test_values[name]))
    return methods


def one_number_scores(task: DetectionTask) -> list[MethodScores]:
    """Return the one-number scores of a task: `image_statistics`, and the original size of image files."""
    val, test = (
        image_statistics(subset.images)
        | ({} if task.root is None else {"original size": original_sizes(task.root, subset.names)})
        for subset in (task.val, task.test)
    )
    return one_number_methods(val, task.val.labels, test)


def _pixels(path: Path) -> int:
    try:
        if is_dicom(path):
            import pydicom

            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Rows", "Columns"])
            return int(header.Rows) * int(header.Columns)
        from PIL import Image

        with Image.open(path) as image:
            return image.width * image.height
    except ImportError as error:
        raise ImportError(f'the size of {path} needs {error.name}: pip install "anatpaste_aug[datasets]"') from error
    except Exception as error:  # parsers raise more than OSError for damaged files
        raise DatasetError(f"the size of {path} cannot be read: {error}") from error
