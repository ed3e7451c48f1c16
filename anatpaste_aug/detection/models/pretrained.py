"""Networks that were not trained for the task: random weights, and weights trained elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from anatpaste_aug.detection.models.pretext_net import PretextNet


def untrained_net(backbone: str = "resnet18", *, seed: int = 0, image_size: int | None = None) -> PretextNet:
    """Return the detector's network as it is before any training.

    Args:
        backbone: Any timm name.
        seed: Seed of the random weights; torch's global generator is left as it is.
        image_size: See `PretextNet`.

    Returns:
        The network in evaluation mode, with the initial statistics of its BatchNorm layers.

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
    """Return a network whose backbone was trained elsewhere, such as on ImageNet.

    Nothing is downloaded. Gray images are repeated to three channels and normalized as the weights expect it.

    Args:
        weights: A state dict of the backbone, written by `torch.save` (no code in it is run) or as `.safetensors`.
            A classifier in it is ignored. torchvision's ResNet weights fit timm's names.
        backbone: The timm name that the weights belong to.
        mean: Per-channel mean of the training of the weights, on the scale [0, 1]; None is timm's for this backbone.
        std: Per-channel standard deviation of the same.
        image_size: See `PretextNet`.

    Returns:
        The network in evaluation mode; only its `features` are meaningful, the head is random.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file holds no state dict, or one that does not fit; the message says what is wrong.
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
    net.rescale = _Rescale(config.mean if mean is None else mean, config.std if std is None else std)
    return net.eval()


class _Rescale(nn.Module):
    """From [-1, 1], as `prepare_inputs` gives it, to (x - mean) / std of x in [0, 1]."""

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
    """Say what is wrong with a state dict in one line, where load_state_dict writes a page; empty if nothing is."""
    other = [name for name in expected if name in state and state[name].shape != expected[name].shape]
    parts = {
        "are missing": sorted(expected.keys() - state.keys()),
        "are of another shape": other,
        "belong to none of its layers": sorted(state.keys() - expected.keys()),
    }
    return ", ".join(f"{len(names)} entries {what} ({names[0]}, …)" for what, names in parts.items() if names)
