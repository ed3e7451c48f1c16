"""The pretext network: any timm backbone and a small head that classifies normal and augmented images."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PretextNet(nn.Module):
    """Backbone from scratch, then fully connected layers with BatchNorm and ReLU between them.

    With the defaults the network of Sato et al. (arXiv 2205.04282): ResNet-18 with random weights and the head
    512-512-128-2, trained to distinguish normal (class 0) from augmented (class 1) images.

    Convention:
        - Input: B×`in_chans`×H×W float, scaled to [-1, 1] (see `prepare_inputs`).
        - `forward`: B×`num_classes` logits. `features`: B×D features of unit length, of one or more stages.

    Args:
        backbone: Any name from `timm.list_models()`; weights are always random, nothing is downloaded.
        in_chans: Channels of the input.
        hidden: Widths of the hidden layers of the head.
        num_classes: Width of the output.
        image_size: Side of the images, needed only by backbones built for one input size (vision transformers).

    Raises:
        ImportError: timm is not installed.
        ValueError: timm does not know `backbone`; the message suggests names that it does know.

    Example:
        >>> net = PretextNet("resnet18").eval()
        >>> images = torch.zeros(2, 1, 32, 32)
        >>> net(images).shape, net.features(images).shape
        (torch.Size([2, 2]), torch.Size([2, 512]))
    """

    def __init__(
        self,
        backbone: str = "resnet18",
        in_chans: int = 1,
        hidden: Sequence[int] = (512, 128),
        num_classes: int = 2,
        *,
        image_size: int | None = None,
    ) -> None:
        super().__init__()
        self.in_chans = in_chans
        self.rescale: nn.Module = nn.Identity()  # of the inputs, for weights that were trained on another scale
        self.backbone, width = _create_backbone(backbone, in_chans, image_size)
        layers: list[nn.Module] = []
        for units in hidden:
            layers += [nn.Linear(width, units), nn.BatchNorm1d(units), nn.ReLU(inplace=True)]
            width = units
        self.head = nn.Sequential(*layers, nn.Linear(width, num_classes))

    def features(self, x: Tensor, stages: Sequence[int] = ()) -> Tensor:
        """Return pooled backbone features divided by their L2 norm: B×`in_chans`×H×W to B×D.

        Args:
            x: The inputs.
            stages: Stages of the backbone, as `backbone.feature_info` counts them from 0: their features are averaged
                over all places, divided by their norm and concatenated. Empty is the backbone's own output.

        Raises:
            ValueError: The backbone has no such stages.
        """
        if not stages:
            pooled: Tensor = self.backbone(self.rescale(x))
            return F.normalize(pooled, dim=1)
        backbone: Any = self.backbone
        last = len(getattr(backbone, "feature_info", ())) - 1
        if not hasattr(backbone, "forward_intermediates") or max(stages) > last:
            known = f"it has the stages 0 to {last}" if last >= 0 else "it has none"
            missing = " ".join(map(str, stages))
            raise ValueError(f"the backbone has no stages {missing}: {known}; choose from these, or leave them out")
        order = sorted(set(stages))
        maps: list[Tensor] = backbone.forward_intermediates(
            self.rescale(x), indices=order, output_fmt="NCHW", intermediates_only=True
        )
        parts = [F.normalize(each.mean((2, 3)), dim=1) for each in maps]
        return F.normalize(torch.cat(parts, dim=1), dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of B×`in_chans`×H×W inputs, B×`num_classes`; class 0 is normal, class 1 augmented."""
        logits: Tensor = self.head(self.backbone(self.rescale(x)))
        return logits


def check_backbone(name: str, in_chans: int = 1, *, image_size: int, stages: Sequence[int] = ()) -> None:
    """Check before any work that a backbone exists and accepts the images.

    Args:
        name: Name of the backbone.
        in_chans: Channels of its input.
        image_size: Side of the square images.
        stages: See `PretextNet.features`.

    Raises:
        ImportError: timm is not installed.
        ValueError: timm does not know the name, or the backbone cannot be built for such images or has no such stages.
    """
    _find_backbone(name)
    image = torch.zeros(1, in_chans, image_size, image_size)
    try:
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            net = PretextNet(name, in_chans, image_size=image_size).eval()
            net(image)
    except Exception as error:  # what the models raise on a size that does not suit them is not limited to ValueError
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{name} does not take images of {image_size}×{image_size} pixels: {reason}") from error
    if stages:
        with torch.inference_mode():
            net.features(image, stages)


def prepare_inputs(images: Tensor, in_chans: int = 1) -> Tensor:
    """Return images as the network reads them: `(x - 0.5) / 0.5`, one channel repeated to `in_chans`.

    Args:
        images: B×C×H×W; uint8 in [0, 255], or floating in [0, 1]. C is 1 or `in_chans`.
        in_chans: Channels of the network's input.

    Returns:
        B×`in_chans`×H×W floating tensor in [-1, 1].

    Raises:
        TypeError: Neither uint8 nor floating.
        ValueError: Not four-dimensional, or C is neither 1 nor `in_chans`.

    Example:
        >>> prepare_inputs(torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 1, 2)).flatten().tolist()
        [-1.0, 1.0]
    """
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise TypeError(f"images must be uint8 in [0, 255] or floating in [0, 1], got {images.dtype}")
    if images.ndim != 4 or images.shape[1] not in (1, in_chans):
        raise ValueError(f"images must be B×C×H×W with C in {{1, {in_chans}}}, got shape {tuple(images.shape)}")
    scaled = images.float() / 255 if images.dtype == torch.uint8 else images
    return ((scaled - 0.5) / 0.5).expand(-1, in_chans, -1, -1)


def views(images: Tensor) -> list[Tensor]:
    """Return images as they are, flipped from left to right, and shifted by 1/32 of their sides in four directions.

    Args:
        images: N×C×H×W; where they are shifted from, their edges are repeated.

    Example:
        >>> [view.flatten().tolist() for view in views(torch.arange(3.0).view(1, 1, 1, 3))][:2]
        [[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]
    """
    height, width = images.shape[-2:]
    down, right = max(1, height // 32), max(1, width // 32)
    padded = F.pad(images, (right, right, down, down), mode="replicate")
    corners = ((0, right), (2 * down, right), (down, 0), (down, 2 * right))
    shifted = [padded[..., top : top + height, left : left + width] for top, left in corners]
    return [images, images.flip(-1), *shifted]


@torch.inference_mode()
def extract_features(
    model: PretextNet,
    images: Tensor,
    *,
    stages: Sequence[int] = (),
    average_views: bool = False,
    batch_size: int = 128,
) -> Tensor:
    """Return unit-length features of a whole set of images, computed batch by batch on the model's device.

    Args:
        model: The network; used in evaluation mode, and left in the mode it was in.
        images: N×C×H×W as `prepare_inputs` takes them, on any device.
        stages: See `PretextNet.features`.
        average_views: Average the features over the `views` of each image, and scale them to unit length again.
        batch_size: Images per forward pass. In evaluation mode it changes only speed and memory.

    Returns:
        N×D float tensor on the model's device.

    Raises:
        ValueError: There are no images, or their shape does not fit, or the backbone has no such stages.
    """
    if images.shape[0] == 0:
        raise ValueError("no images to extract features from")
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        batches = (prepare_inputs(batch.to(device), model.in_chans) for batch in images.split(batch_size))
        if not average_views:
            return torch.cat([model.features(to_layout(batch), stages) for batch in batches])
        means = []
        for batch in batches:
            of_views = [model.features(to_layout(view), stages) for view in views(batch)]
            means.append(torch.stack(of_views).mean(0))
        return F.normalize(torch.cat(means), dim=1)
    finally:
        model.train(was_training)


def to_layout(x: Tensor) -> Tensor:
    """Return a tensor in the memory layout that is fastest on its device: channels last on the CPU, by a fifth."""
    return x.contiguous(memory_format=torch.channels_last) if x.device.type == "cpu" else x


def _find_backbone(name: str) -> None:
    try:
        import timm
    except ImportError as error:
        raise ImportError("the detector's backbones need timm: pip install 'anatpaste_aug[examples]'") from error
    if not timm.is_model(name):
        known = timm.list_models()
        close = difflib.get_close_matches(name, known, n=5) or [model for model in known if name.lower() in model][:5]
        hint = f"did you mean {', '.join(close)}?" if close else "timm.list_models() lists all names"
        raise ValueError(f"timm knows no backbone {name!r}: {hint}")


def _create_backbone(name: str, in_chans: int, image_size: int | None) -> tuple[nn.Module, int]:
    _find_backbone(name)
    import timm

    # Only models with a fixed input size take img_size; for the others it is an unknown argument.
    config = timm.models.get_pretrained_cfg(name)
    fixed: dict[str, Any] = (
        {"img_size": image_size} if image_size and config is not None and config.fixed_input_size else {}
    )
    backbone: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, in_chans=in_chans, **fixed)
    # timm initializes residual branches with zero (the weight of their last BatchNorm), the paper's torchvision ResNet
    # does not. With zero, the network learns nothing from such similar pairs of images for hundreds of updates.
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d) and module.weight is not None and not bool(module.weight.any()):
            nn.init.ones_(module.weight)
    # Some models (MobileNetV3, VGG) widen the pooled features once more, and head_hidden_size is the final width.
    width: Any = getattr(backbone, "head_hidden_size", None) or backbone.num_features
    return backbone, int(width)
