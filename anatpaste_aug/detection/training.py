"""Training the pretext network as the paper does, and scoring images with it."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from anatpaste_aug.detection.kde import GaussianKDE
from anatpaste_aug.detection.metrics import auroc
from anatpaste_aug.detection.model import PretextNet, extract_features, prepare_inputs, to_layout
from anatpaste_aug.functional import color_jitter

State = dict[str, Tensor]


class Augmented(Protocol):
    """What an augmentation returns; only the images are used."""

    @property
    def image(self) -> Tensor: ...


class Augment(Protocol):
    """Any batched augmentation, such as ``AnatPasteTransform().augment``.

    Called as ``augment(images, lung_mask=masks)`` with B×1×S×S float images in [0, 1] and their B×1×S×S boolean lung
    masks (or None); ``result.image`` holds the augmented images, of the same shape.
    """

    def __call__(self, images: Tensor, /, *, lung_mask: Tensor | None) -> Augmented: ...


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run; the defaults are those of Sato et al. (arXiv 2205.04282).

    Args:
        image_size: side of the square images.
        batch_size: normal images per update; their augmentations double the batch.
        updates: length of the run, and of the half-cosine schedule of the learning rate from its start to 0.
        updates_per_epoch: updates between two validations; the last update is always followed by one. Each fits the
            KDE to all normal training images.
        learning_rate, momentum, weight_decay: of SGD.
        jitter: brightness and contrast factors of the training images are uniform in [1 - jitter, 1 + jitter].
        backbone: any timm name.
        in_chans: 1, or 3 to repeat the grey channel.
        bandwidth: of the KDE.
        seed: of the weights, the order of the images, the jitter, and torch's global generator during the run.
        device: of the network, and of the images while they train.

    Raises:
        ValueError: a value is out of its range.
    """

    image_size: int = 256
    batch_size: int = 64
    updates: int = 65536
    updates_per_epoch: int = 256
    learning_rate: float = 0.03
    momentum: float = 0.9
    weight_decay: float = 3e-5
    jitter: float = 0.1
    backbone: str = "resnet18"
    in_chans: int = 1
    bandwidth: float = 1.0
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, fits, wanted in (
            ("image_size", self.image_size >= 32, "at least 32"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("updates", self.updates >= 1, "at least 1"),
            ("updates_per_epoch", self.updates_per_epoch >= 1, "at least 1"),
            ("learning_rate", 0 < self.learning_rate < math.inf, "positive"),
            ("momentum", 0 <= self.momentum < 1, "in [0, 1)"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "at least 0"),
            ("jitter", 0 <= self.jitter <= 1, "in [0, 1]"),
            ("in_chans", self.in_chans in (1, 3), "1 or 3"),
            ("bandwidth", 0 < self.bandwidth < math.inf, "positive"),
            ("seed", self.seed >= 0, "at least 0"),
        ):
            if not fits:
                raise ValueError(f"{name} must be {wanted}, got {getattr(self, name)}")


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a run stands; handed to the callback every few updates, and kept in the history at each validation.

    ``loss`` is the mean since the last validation, ``learning_rate`` that of the last update, ``val_auroc`` the most
    recent one (None before the first) and ``best_auroc`` the highest so far. ``seconds`` have passed, and about ``eta``
    seconds are left. ``validated`` is true where this update was followed by a validation.
    """

    update: int
    updates: int
    loss: float
    learning_rate: float
    val_auroc: float | None
    best_auroc: float | None
    seconds: float
    eta: float
    validated: bool


@dataclasses.dataclass(eq=False)
class TrainResult:
    """Outcome of a run: CPU copies of the weights with the best validation AUROC (the earliest such), and of the last.

    Choosing the best weights uses the labelled anomalies of the validation set; the last weights do not depend on them.
    """

    config: TrainConfig
    best_state: State
    last_state: State
    best_update: int
    best_auroc: float
    history: list[Progress]

    def model(self, weights: Literal["best", "last"] = "best", device: str | None = None) -> PretextNet:
        """The network with these weights, in evaluation mode, on ``device`` (else on the config's)."""
        if weights not in ("best", "last"):
            raise ValueError(f"weights must be 'best' or 'last', got {weights!r}")
        net = _build(self.config)
        net.load_state_dict(self.best_state if weights == "best" else self.last_state)
        return net.to(device or self.config.device).eval()


def half_cosine(update: int, updates: int, base: float) -> float:
    """Learning rate of an update (from 0): ``base`` at first, falling along half a cosine to 0 at ``updates``.

    Example:
        >>> half_cosine(0, 100, 0.03), half_cosine(50, 100, 0.03), half_cosine(100, 100, 0.03)
        (0.03, 0.015, 0.0)
    """
    return 0.5 * base * (1 + math.cos(math.pi * update / updates))


def jitter_images(images: Tensor, strength: float, generator: torch.Generator | None = None) -> Tensor:
    """Brightness and contrast jitter as torchvision's ``ColorJitter``, its factors and order drawn per image.

    Args:
        images: B×1×H×W float in [0, 1].
        strength: both factors are uniform in [1 - strength, 1 + strength]; contrast is about the image's mean.
        generator: CPU generator of the 3·B random numbers; None is torch's global one.

    Returns:
        B×1×H×W float in [0, 1].
    """
    uniform = torch.rand(3, len(images), generator=generator).to(images)
    brightness, contrast = 1 - strength + 2 * strength * uniform[:2]
    same, contrast_first = torch.ones_like(brightness), (uniform[2] < 0.5).long()
    steps = [contrast_first, 1 - contrast_first, torch.full_like(contrast_first, 2), torch.full_like(contrast_first, 3)]
    return color_jitter(images, brightness, contrast, same, 0 * same, torch.stack(steps, dim=1))


def train(
    config: TrainConfig,
    train_images: Tensor,
    val_images: Tensor,
    val_labels: Tensor,
    augment: Augment,
    *,
    lung_masks: Tensor | None = None,
    callback: Callable[[Progress], None] | None = None,
) -> TrainResult:
    """Trains a network to tell normal images from their augmentations (Sato et al., arXiv 2205.04282, section III).

    Each update draws ``batch_size`` normal images, jitters them, augments the jittered images, and takes one SGD step
    on the cross entropy of both. On the CPU the same seed gives the same weights, as long as the augmentation draws
    from torch's global generator (which is seeded here, and given back as it was).

    Args:
        config: the settings.
        train_images: N×1×S×S uint8 normal images, S = ``config.image_size``; N may be smaller than the batch.
        val_images: M×1×S×S uint8.
        val_labels: M values, 0 (normal) or 1 (abnormal); both must occur.
        augment: see :class:`Augment`.
        lung_masks: N×1×S×S boolean masks of the training images, handed to ``augment``; None lets it find them.
        callback: called with a :class:`Progress` every few updates and after each validation.

    Raises:
        TypeError, ValueError: an input has the wrong dtype, shape or labels, or ``augment`` changes the shape.
        FloatingPointError: the loss or the features are no longer finite.
    """
    _check_images("train_images", train_images, config.image_size)
    _check_images("val_images", val_images, config.image_size)
    if lung_masks is not None and (lung_masks.dtype != torch.bool or lung_masks.shape != train_images.shape):
        raise ValueError(
            f"lung_masks must be boolean of shape {tuple(train_images.shape)}, "
            f"got {lung_masks.dtype} of shape {tuple(lung_masks.shape)}"
        )
    auroc(val_labels, torch.zeros(len(val_images)))  # wrong labels are found here, not after the first epoch
    device = torch.device(config.device)
    # Only the generators in use are put back afterwards.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        if lung_masks is not None:
            lung_masks = lung_masks.to(device)
        return _run(config, train_images.to(device), val_images, val_labels, augment, lung_masks, callback)


def _run(
    config: TrainConfig,
    images: Tensor,
    val_images: Tensor,
    val_labels: Tensor,
    augment: Augment,
    lung_masks: Tensor | None,
    callback: Callable[[Progress], None] | None,
) -> TrainResult:
    device = images.device
    net = _build(config).to(device)
    optimizer = torch.optim.SGD(
        net.parameters(), lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
    )
    # Reading the loss waits for an accelerator to finish, so there it is read less often.
    report_every = 1 if device.type == "cpu" else 8
    draws = torch.Generator().manual_seed(config.seed)
    history: list[Progress] = []
    best_state: State = {}
    best_update, best_auroc, val_auroc = 0, -math.inf, None
    loss_sum, summed = torch.zeros((), device=device), 0
    start = time.perf_counter()
    for update, index in enumerate(_batches(len(images), config.batch_size, config.updates, draws), start=1):
        index = index.to(device)
        normal = jitter_images(images[index].float() / 255, config.jitter, draws)
        augmented = augment(normal, lung_mask=None if lung_masks is None else lung_masks[index]).image
        if augmented.shape != normal.shape:
            raise ValueError(f"augment turned {tuple(normal.shape)} images into {tuple(augmented.shape)}")
        inputs = to_layout(prepare_inputs(torch.cat([normal, augmented]), config.in_chans))
        targets = torch.arange(2, device=device).repeat_interleave(len(normal))
        learning_rate = half_cosine(update - 1, config.updates, config.learning_rate)
        optimizer.param_groups[0]["lr"] = learning_rate
        loss = F.cross_entropy(net(inputs), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        loss_sum, summed = loss_sum + loss.detach(), summed + 1

        validate = update % config.updates_per_epoch == 0 or update == config.updates
        if not validate and update % report_every:
            continue
        mean_loss = loss_sum.item() / summed
        if not math.isfinite(mean_loss):
            raise _diverged("loss", update, learning_rate)
        if validate:
            val_auroc = _validate(net, config, images, val_images, val_labels, update, learning_rate)
            if val_auroc > best_auroc:
                best_state, best_update, best_auroc = _copy_state(net), update, val_auroc
        seconds = time.perf_counter() - start
        progress = Progress(
            update=update,
            updates=config.updates,
            loss=mean_loss,
            learning_rate=learning_rate,
            val_auroc=val_auroc,
            best_auroc=None if val_auroc is None else best_auroc,
            seconds=seconds,
            eta=seconds / update * (config.updates - update),
            validated=validate,
        )
        if validate:
            history.append(progress)
            loss_sum, summed = torch.zeros((), device=device), 0
        if callback is not None:
            callback(progress)
    return TrainResult(config, best_state, _copy_state(net), best_update, best_auroc, history)


def score_images(
    model: PretextNet,
    reference_images: Tensor,
    images: Tensor,
    *,
    bandwidth: float = 1.0,
    batch_size: int = 128,
) -> Tensor:
    """Anomaly scores: minus the log density of each image's features among those of the normal training images.

    Args:
        model: a trained network; it is used in evaluation mode on its own device.
        reference_images: N×C×H×W normal training images, uint8 or float in [0, 1].
        images: M×C×H×W images to score, likewise.
        bandwidth: of the KDE.
        batch_size: images per forward pass.

    Returns:
        M float32 scores on the CPU, without the density's normalising constant; larger is more anomalous.

    Raises:
        TypeError, ValueError: an input has the wrong dtype or shape, or is empty.
    """
    kde = GaussianKDE(extract_features(model, reference_images, batch_size=batch_size), bandwidth)
    return kde.score(extract_features(model, images, batch_size=batch_size)).cpu()


def _build(config: TrainConfig) -> PretextNet:
    net = PretextNet(config.backbone, config.in_chans, image_size=config.image_size)
    layout = torch.channels_last if torch.device(config.device).type == "cpu" else torch.contiguous_format
    return net.to(memory_format=layout)


def _batches(count: int, batch_size: int, updates: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices of shuffled passes over the images, without what is left at a pass's end, as a DataLoader with drop_last.

    Fewer images than a batch: as many whole shuffles as it takes, cut to the batch.
    """
    order = torch.empty(0, dtype=torch.long)
    for _ in range(updates):
        if len(order) < batch_size:
            passes = math.ceil(batch_size / count)
            order = torch.cat([torch.randperm(count, generator=generator) for _ in range(passes)])
            order = order[: max(batch_size, count)]
        yield order[:batch_size]
        order = order[batch_size:]


def _validate(
    net: PretextNet,
    config: TrainConfig,
    images: Tensor,
    val_images: Tensor,
    val_labels: Tensor,
    update: int,
    learning_rate: float,
) -> float:
    batch_size = 2 * config.batch_size
    reference = extract_features(net, images, batch_size=batch_size)
    queries = extract_features(net, val_images, batch_size=batch_size)
    if not bool(torch.isfinite(reference).all() & torch.isfinite(queries).all()):
        raise _diverged("network's features", update, learning_rate)
    return auroc(val_labels, GaussianKDE(reference, config.bandwidth).score(queries))


def _diverged(what: str, update: int, learning_rate: float) -> FloatingPointError:
    return FloatingPointError(
        f"the {what} became NaN or infinite by update {update} at learning rate {learning_rate:.3g}: "
        "lower learning_rate, and check that the augmentation returns finite images"
    )


def _copy_state(net: PretextNet) -> State:
    return {name: value.detach().to("cpu", copy=True) for name, value in net.state_dict().items()}


def _check_images(name: str, images: Tensor, size: int) -> None:
    if not isinstance(images, Tensor) or images.dtype != torch.uint8:
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"{name} must be a uint8 tensor, got {kind}")
    if images.ndim != 4 or images.shape[0] == 0 or tuple(images.shape[1:]) != (1, size, size):
        raise ValueError(f"{name} must be N×1×{size}×{size} (image_size={size}), got shape {tuple(images.shape)}")
