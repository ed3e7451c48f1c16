"""A trained segmentation network as a segmenter."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from anatpaste_aug.functional import Intensities, to_gray
from anatpaste_aug.functional.intensity import at_least_float32
from anatpaste_aug.functional.lungs.components import all_true
from anatpaste_aug.segmentation.base import SegmenterModule
from anatpaste_aug.validation import check_choice, check_count, check_intensities, check_number, check_same_device


class NetworkSegmenter(SegmenterModule):
    """The masks of a trained network with B×K×H×W outputs, from torchvision, MONAI, torchxrayvision or elsewhere.

    Images → [0, 1] → resized → channels repeated or converted to gray → (x − mean) / std → network → probabilities of
    the chosen classes → resized back → threshold. The network is put into eval mode, kept there, and frozen
    (``requires_grad_(False)``), so that DistributedDataParallel ignores its parameters. If you train the network
    elsewhere, pass a copy (``copy.deepcopy``).

    Convention:
        * in: B×1×H×W or B×3×H×W, uint8 in [0, 255] or floating point in [0, 1] unless ``value_range`` says otherwise
        * out: boolean B×1×H×W on the same device; never differentiable
        * network and images are on one device (``transform.to(device)`` moves the network)

    Args:
        network: Takes a B×channels×h×w float batch; returns a B×K×h'×w' tensor, or a mapping that holds it.
        classes: Index or indices of the organ's channels in the output. None is for K = 1.
        activation: Converts the output to probabilities: ``"sigmoid"`` (per channel), ``"softmax"`` (over the
            channels), or None if they are probabilities already.
        threshold: The smallest probability that counts as organ. The probabilities of several classes are added after
            softmax; otherwise their maximum is used.
        channels: Number of channels that the network expects, 1 or 3.
        size: (h, w) that the network expects, or one number for both; None keeps the size.
        value_range: (black, white) of the images; None is (0, 255) for uint8 and (0, 1) for floating point.
        mean: Per-channel mean that the network was trained with, on the scale [0, 1].
        std: Per-channel standard deviation, likewise.
        output: The key of the output if the network returns a mapping, as torchvision's do.

    Raises:
        TypeError, ValueError: A setting is invalid, or the network's output does not match the settings.

    Example:
        torchvision (trained weights are `weights=...`), with classes 1 and 2 as the organ:

        >>> from torchvision.models.segmentation import lraspp_mobilenet_v3_large
        >>> network = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=4)
        >>> imagenet = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
        >>> segmenter = NetworkSegmenter(network, classes=(1, 2), activation="softmax", channels=3, **imagenet)
        >>> segmenter(torch.rand(2, 1, 64, 64)).shape
        torch.Size([2, 1, 64, 64])

        torchxrayvision's PSPNet has 14 targets, the lungs at 4 and 5, and takes 512×512 in [−1024, 1024]:

        >>> def wrap_pspnet(pspnet):
        ...     return NetworkSegmenter(pspnet, classes=(4, 5), size=512, mean=[0.5], std=[1 / 2048])
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        classes: int | Sequence[int] | None = None,
        activation: Literal["sigmoid", "softmax"] | None = "sigmoid",
        threshold: float = 0.5,
        channels: int = 1,
        size: int | tuple[int, int] | None = None,
        value_range: tuple[float, float] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        output: str = "out",
    ) -> None:
        super().__init__()
        if not isinstance(network, nn.Module):
            raise TypeError(f"network must be a torch.nn.Module, got {type(network).__name__}")
        if channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, got {channels!r}")
        self.network = network.eval().requires_grad_(False)
        self.classes = _indices(classes)
        self.activation = None if activation is None else check_choice("activation", activation, _ACTIVATIONS)
        self.threshold = check_number("threshold", threshold, 0, 1)
        self.channels = channels
        self.size = _size(size)
        self.value_range, self.mean, self.std = check_intensities(value_range, mean, std)
        if self.mean is not None and len(self.mean) not in (1, channels):
            raise ValueError(
                f"mean and std have {len(self.mean)} values for a network of {channels} channel; pass one number each, "
                "as in mean=[0.5], std=[0.25]"
            )
        self.output = output

    def train(self, mode: bool = True) -> "NetworkSegmenter":
        """Set the mode of this module; the network stays in eval mode."""
        super().train(mode)
        self.network.eval()
        return self

    def find(self, images: Tensor) -> tuple[Tensor, Tensor]:
        inputs = self._inputs(images)
        maps = self._maps(self.network(inputs), len(images))
        if self.activation is not None:
            maps = maps.sigmoid() if self.activation == "sigmoid" else maps.softmax(1)
        organ = torch.stack([maps[:, index] for index in self.classes or (0,)])
        organ = (organ.sum(0) if self.activation == "softmax" else organ.amax(0)).unsqueeze(1)
        if organ.shape[-2:] != images.shape[-2:]:
            organ = nn.functional.interpolate(organ, size=images.shape[-2:], mode="bilinear", antialias=True)
        return organ >= self.threshold, all_true(images)

    def _inputs(self, images: Tensor) -> Tensor:
        weight = next((p for p in self.network.parameters() if p.is_floating_point()), None)
        if weight is not None:
            check_same_device("the network", weight.device, images)
        black, white = self.value_range or ((0.0, 255.0) if images.dtype == torch.uint8 else (0.0, 1.0))
        unit = Intensities(black, white).to_unit(at_least_float32(images))
        if self.size is not None:
            unit = nn.functional.interpolate(unit, size=self.size, mode="bilinear", antialias=True)
        if self.channels == 1:
            unit = to_gray(unit).unsqueeze(1)
        unit = unit.expand(-1, self.channels, -1, -1)
        inputs = Intensities(0.0, 1.0, self.mean, self.std).from_unit(unit)
        return inputs.contiguous().to(torch.float32 if weight is None else weight.dtype)

    def _maps(self, output: object, batch: int) -> Tensor:
        if isinstance(output, Mapping):
            if self.output not in output:
                raise ValueError(f"the network's output has the keys {list(output)}; pass one of them as output=")
            output = output[self.output]
        if not isinstance(output, Tensor) or not output.is_floating_point():
            kind = output.dtype if isinstance(output, Tensor) else type(output).__name__
            raise TypeError(f"the network must return floating-point maps, got {kind}; wrap it in a module that does")
        if output.ndim != 4 or len(output) != batch:
            raise ValueError(f"the network must return maps of shape ({batch}, K, h, w), got {tuple(output.shape)}")
        count = output.shape[1]
        if self.classes is None and count != 1:
            raise ValueError(f"the network has {count} output channels; choose those of the organ with classes=")
        if self.classes is not None and max(self.classes) >= count:
            raise ValueError(f"classes={self.classes} are not all among the network's {count} output channels")
        if self.activation == "softmax" and count == 1:
            raise ValueError('softmax over one output channel is 1 everywhere; pass activation="sigmoid"')
        return at_least_float32(output)

    def extra_repr(self) -> str:
        names = ["classes", "activation", "threshold", "channels", "size", "value_range", "mean", "std", "output"]
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)


_ACTIVATIONS = ("sigmoid", "softmax")


def _indices(classes: object) -> tuple[int, ...] | None:
    if classes is None:
        return None
    given = tuple(classes) if isinstance(classes, Iterable) else (classes,)
    if not given:
        raise ValueError("classes must name at least one channel, got none")
    return tuple(check_count("classes", index, 0) for index in given)


def _size(size: object) -> tuple[int, int] | None:
    if size is None:
        return None
    given = tuple(size) if isinstance(size, Iterable) else (size, size)
    if len(given) != 2:
        raise ValueError(f"size must be one number or (h, w), got {size!r}")
    return check_count("size", given[0]), check_count("size", given[1])
