"""What a detector has to beat: features nobody trained for the task, and scores that are a single number of an image.

Datasets have shortcuts. Where normal and abnormal images were taken, compressed or scaled differently, sharpness or
brightness alone may tell the classes apart, and a detector's AUROC means little beside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from anatpaste_aug.datasets.dicom import is_dicom
from anatpaste_aug.datasets.records import DatasetError
from anatpaste_aug.datasets.tasks import DetectionTask
from anatpaste_aug.detection.evaluation.metrics import auroc
from anatpaste_aug.detection.evaluation.results import MethodScores
from anatpaste_aug.detection.models.pretext_net import PretextNet

_BATCH = 256


def untrained_net(backbone: str = "resnet18", *, seed: int = 0, image_size: int | None = None) -> PretextNet:
    """The detector's network as it is before any training; :func:`score_images` gives its scores.

    Args:
        backbone: any timm name.
        seed: of the random weights; the caller's random numbers are left alone.
        image_size: as for :class:`PretextNet`.

    Returns:
        The network in evaluation mode: its BatchNorm layers have seen nothing, and pass features on as they are.

    Example:
        >>> untrained_net("test_byobnet").training
        False
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PretextNet(backbone, image_size=image_size).eval()


def pretrained_net(
    weights: str | os.PathLike[str],
    backbone: str = "resnet18",
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    image_size: int | None = None,
) -> PretextNet:
    """A network whose backbone was trained elsewhere, such as on ImageNet; :func:`score_images` gives its scores.

    Nothing is downloaded. Grey images are repeated to three channels and normalised as the weights expect it.

    Args:
        weights: a state dict of the backbone, written by ``torch.save`` (no code in it is run) or as ``.safetensors``.
            A classifier in it is left out. torchvision's ResNet weights fit timm's names.
        backbone: the timm name that the weights belong to.
        mean: per-channel mean of the training of the weights, on the scale [0, 1]; None is timm's for this backbone.
        std: per-channel standard deviation of the same.
        image_size: as for :class:`PretextNet`.

    Returns:
        The network in evaluation mode; only its ``features`` mean something, the head is random.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file holds something else than a state dict, or one that does not fit; says what is wrong.
    """
    net = PretextNet(backbone, in_chans=3, image_size=image_size)
    from timm.models import get_pretrained_cfg

    config: Any = get_pretrained_cfg(backbone)
    state = _read_state(weights)
    classifiers = (config.classifier,) if isinstance(config.classifier, str) else tuple(config.classifier or ())
    state = {name: value for name, value in state.items() if not name.startswith(tuple(f"{c}." for c in classifiers))}
    if unfit := _misfits(state, net.backbone.state_dict()):
        raise ValueError(f"{os.fspath(weights)} does not fit timm's {backbone}: {unfit}; name its own backbone")
    net.backbone.load_state_dict(state)
    rescale = _Rescale(config.mean if mean is None else mean, config.std if std is None else std)
    net.backbone = nn.Sequential(rescale, net.backbone)
    return net.eval()


def image_statistics(images: Tensor) -> dict[str, Tensor]:
    """One-number scores that need no training.

    Args:
        images: N×1×H×W, uint8 or float in [0, 1]; one channel, at least 2×2.

    Returns:
        Name -> N float64 values on the scale of [0, 1]: "mean gradient" (mean of the absolute differences between
        neighbours, horizontal and vertical alike), "mean vertical gradient" (between rows only), "mean intensity" and
        "intensity spread" (standard deviation).

    Raises:
        ValueError: another shape.

    Example:
        >>> ramp = torch.tensor([0.0, 0.25, 0.5]).expand(1, 1, 2, 3)
        >>> {name: value.item() for name, value in image_statistics(ramp).items() if "gradient" in name}
        {'mean gradient': 0.125, 'mean vertical gradient': 0.0}
    """
    if images.ndim != 4 or images.shape[1] != 1 or min(images.shape[2:]) < 2 or not len(images):
        raise ValueError(f"images must be N×1×H×W, one or more and at least 2×2, got shape {tuple(images.shape)}")
    found: dict[str, list[Tensor]] = {}
    for batch in images.split(_BATCH):
        pixels = batch.double() / (1 if batch.is_floating_point() else 255)
        across, down = (pixels.diff(dim=dim).abs().mean((1, 2, 3)) for dim in (3, 2))
        spread, mean = torch.std_mean(pixels, dim=(1, 2, 3), correction=0)
        values = ((across + down) / 2, down, mean, spread)
        names = ("mean gradient", "mean vertical gradient", "mean intensity", "intensity spread")
        for name, value in zip(names, values, strict=True):
            found.setdefault(name, []).append(value)
    return {name: torch.cat(parts) for name, parts in found.items()}


def original_sizes(root: str | os.PathLike[str], names: Sequence[str]) -> Tensor:
    """Pixels (width × height) of image files before they were resized; only their headers are read.

    Args:
        root: the folder that the names are relative to.
        names: image files, as ``Subset.names`` has them.

    Returns:
        N float64 values.

    Raises:
        DatasetError: a file cannot be read; the message names it.
        ImportError: without Pillow, or pydicom for DICOM.
    """
    return torch.tensor([_pixels(Path(root, name)) for name in names], dtype=torch.float64)


def one_number_methods(
    val_values: Mapping[str, Tensor], val_labels: Any, test_values: Mapping[str, Tensor]
) -> list[MethodScores]:
    """One-number scores as methods, turned so that abnormal images score higher *on the validation images*.

    Args:
        val_values: name -> one value per validation image, as :func:`image_statistics` returns them.
        val_labels: their labels, 0 (normal) or 1 (abnormal); both must occur.
        test_values: the same names for the test images, whose labels have no say.

    Returns:
        Methods in the given order, named like "mean intensity (low)" where low values are the abnormal ones.

    Raises:
        ValueError: the names differ, or as :func:`auroc`.

    Example:
        >>> (method,) = one_number_methods({"a": torch.tensor([1.0, 2.0])}, [1, 0], {"a": torch.tensor([3.0])})
        >>> method.name, method.test.tolist()
        ('a (low)', [-3.0])
    """
    if set(val_values) != set(test_values):
        raise ValueError(f"validation has the scores {sorted(val_values)}, test has {sorted(test_values)}")
    methods = []
    for name, values in val_values.items():
        low = auroc(val_labels, values) < 0.5
        sign = -1 if low else 1
        methods.append(MethodScores(f"{name} ({'low' if low else 'high'})", sign * values, sign * test_values[name]))
    return methods


def one_number_scores(task: DetectionTask) -> list[MethodScores]:
    """The one-number scores of a task: :func:`image_statistics`, and the original size where there are files."""
    val, test = (
        image_statistics(subset.images)
        | ({} if task.root is None else {"original size": original_sizes(task.root, subset.names)})
        for subset in (task.val, task.test)
    )
    return one_number_methods(val, task.val.labels, test)


class _Rescale(nn.Module):
    """From [-1, 1], as :func:`prepare_inputs` gives it, to (x - mean) / std of x in [0, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            if len(values) != 3 or (name == "std" and min(values) <= 0):
                raise ValueError(f"{name} must be three {'positive ' if name == 'std' else ''}numbers, got {values}")
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).view(3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return ((x + 1) / 2 - self.mean) / self.std


def _read_state(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    if not Path(path).is_file():
        raise FileNotFoundError(f"{os.fspath(path)} does not exist; give the file of the pretrained weights")
    from timm.models import load_state_dict

    load: Callable[..., Any] = load_state_dict
    try:
        state = load(os.fspath(path), weights_only=True)
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise ValueError(f"{os.fspath(path)} is no readable state dict (damaged, or another kind of file)") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{os.fspath(path)} holds no state dict; save model.state_dict() and give that")
    return state


def _misfits(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """What is wrong with a state dict, in a line where load_state_dict writes a page; empty if nothing is."""
    other = [name for name in expected if name in state and state[name].shape != expected[name].shape]
    parts = {
        "are missing": sorted(expected.keys() - state.keys()),
        "are of another shape": other,
        "belong to none of its layers": sorted(state.keys() - expected.keys()),
    }
    return ", ".join(f"{len(names)} entries {what} ({names[0]}, …)" for what, names in parts.items() if names)


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
    except Exception as error:  # what a parser raises on a damaged file is not limited to OSError
        raise DatasetError(f"the size of {path} cannot be read: {error}") from error
