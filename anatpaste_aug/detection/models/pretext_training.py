"""Training the pretext network: normal images against their augmentations (Sato et al., arXiv 2205.04282)."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anatpaste_aug.detection.evaluation.metrics import auroc, check_scored
from anatpaste_aug.detection.evaluation.thresholds import has_both
from anatpaste_aug.detection.models.distances import check_reference, validation_scores
from anatpaste_aug.detection.models.pretext_config import PretextConfig
from anatpaste_aug.detection.models.pretext_net import PretextNet, extract_features, prepare_inputs, to_layout
from anatpaste_aug.detection.models.trained import state_copy
from anatpaste_aug.detection.training.batches import jitter_images
from anatpaste_aug.detection.training.config import half_cosine
from anatpaste_aug.detection.training.loop import check_images, run_training
from anatpaste_aug.detection.training.result import Progress, State, TrainResult, Weights, load_weights
from anatpaste_aug.detection.training.trainer import Trainer, Validation
from anatpaste_aug.detection.training.workers import Workers


class Augmented(Protocol):
    """What an augmentation returns; only the images are used."""

    @property
    def image(self) -> Tensor: ...


class Augment(Protocol):
    """Any batched augmentation, such as `AnatPasteTransform().augment`.

    Called as `augment(images, region_mask=masks)` with B×1×S×S float images in [0, 1] and their boolean lung
    masks (or None); `result.image` holds the augmented images, of the same shape.
    """

    def __call__(self, images: Tensor, /, *, region_mask: Tensor | None) -> Augmented: ...


def train_pretext_net(
    config: PretextConfig,
    train_images: Tensor,
    val_images: Tensor,
    val_labels: Tensor,
    augment: Augment | Sequence[Augment],
    *,
    lung_masks: Tensor | None = None,
    val_masks: Tensor | None = None,
    progress: Callable[[Progress], None] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
) -> TrainResult:
    """Train a network to distinguish normal images from their augmentations (section III of the paper).

    Each update draws `batch_size` normal images, jitters them, augments the jittered images, and takes one SGD step
    on the cross entropy of both. On the CPU the same seed gives the same weights, as long as the augmentation draws
    from torch's global generator (which is seeded here, and restored afterwards).

    **Interruptions.** With `checkpoint` the run can be killed at any moment: called again with `resume=True` it
    continues from its last checkpoint and, on the CPU, ends with the weights and metrics of an uninterrupted run bit
    for bit. The augmentation must be the same again; settings and data are compared.

    **Several devices.** Within `process_group`, under torchrun, every process calls this with the same arguments,
    computes its part of each batch, and returns the same result; the main one writes the checkpoint, which all read.
    The batches are those of one process. Each normalizes its part by itself, unless `config.sync_bn`.

    Args:
        config: The settings.
        train_images: N×1×S×S uint8 normal images, S = `config.image_size`; N may be smaller than the batch.
        val_images: M×1×S×S uint8.
        val_labels: M values, 0 (normal) or 1 (abnormal); without abnormal ones the last weights are the best, or those
            with the lowest loss of the pretext task on these images, see `config.select`.
        augment: See `Augment`. Of several, each is a class of its own; `config.num_classes` is one more.
        lung_masks: N×1×S×S boolean masks of the training images, passed to `augment`; None lets it find them.
        val_masks: The same of the validation images, for `select="pretext"`.
        progress: Called with a `Progress` every few updates and after each validation, in every process.
        checkpoint: File to resume from after an interruption, written at the start and after each validation.
        checkpoint_every: Updates between further checkpoints; None writes no others.
        resume: Continue from `checkpoint`, or start if there is none yet.

    Raises:
        TypeError, ValueError: An input has the wrong dtype, shape or labels, `augment` changes the shape, or the
            checkpoint is damaged or of another run.
        FileExistsError: There is a checkpoint, and `resume` is false.
        FloatingPointError: The loss or the features are no longer finite.
        OSError: The checkpoint could not be written, for example because the disk is full; the earlier one is
            unchanged.
    """
    check_images("train_images", train_images, config.image_size)
    check_images("val_images", val_images, config.image_size)
    if lung_masks is not None and (lung_masks.dtype != torch.bool or lung_masks.shape != train_images.shape):
        raise ValueError(
            f"lung_masks must be boolean of shape {tuple(train_images.shape)}, "
            f"got {lung_masks.dtype} of shape {tuple(lung_masks.shape)}"
        )
    # Wrong labels are reported now, not after the first epoch.
    truth, _ = check_scored(val_labels, torch.zeros(len(val_images)), both=False)
    if config.select == "auroc" and not has_both(truth):
        raise ValueError("select='auroc' needs abnormal validation images; choose 'last' or 'pretext', or leave it out")
    if config.reference == "val":
        check_reference(truth)
    augments = (augment,) if callable(augment) else tuple(augment)
    if len(augments) + 1 != config.num_classes:
        raise ValueError(
            f"num_classes must be {len(augments) + 1} for {len(augments)} augmentation(s), got {config.num_classes}"
        )
    labels = torch.as_tensor(val_labels)
    data = {"train_images": train_images, "val_images": val_images, "val_labels": labels, "lung_masks": lung_masks}
    device = torch.device(config.device)

    def make_trainer(workers: Workers) -> PretextTrainer:
        masks = None if lung_masks is None else lung_masks.to(device)
        return PretextTrainer(config, train_images.to(device), masks, augments, workers, val_masks)

    return run_training(
        make_trainer,
        config,
        data,
        (val_images, val_labels),
        progress=progress,
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        resume=resume,
    )


def trained_net(result: TrainResult, weights: Weights = "best", device: str | None = None) -> PretextNet:
    """Return the network with the best or the last weights, in evaluation mode.

    Args:
        result: Result of `train_pretext_net`.
        weights: `"best"` or `"last"`.
        device: Device of the network; None is that of the training.

    Raises:
        ValueError: Another name of weights.
    """
    state = result.state(weights)
    net = _build_net(result.config)
    load_weights(net, state)
    return net.to(device or result.config.device).eval()


class PretextTrainer(Trainer):
    """Trains a `PretextNet` by SGD; validates with the configured score of its features.

    Args:
        config: The settings.
        images: N×1×S×S uint8 normal images on the device of the run.
        lung_masks: Their masks there, or None.
        augments: One `Augment` for each class after the normal images.
        workers: The processes that share the batches.
        val_masks: Masks of the validation images, or None.
    """

    remedy = "lower learning_rate, and check that the augmentation returns finite images"

    def __init__(
        self,
        config: PretextConfig,
        images: Tensor,
        lung_masks: Tensor | None,
        augments: Sequence[Augment],
        workers: Workers,
        val_masks: Tensor | None = None,
    ) -> None:
        super().__init__(config, images, workers)
        self.lung_masks, self.augments, self.val_masks = lung_masks, augments, val_masks
        self.part = workers.part(config.batch_size)
        self.net = _build_net(config).to(self.device)
        if config.sync_bn:
            self.net = nn.SyncBatchNorm.convert_sync_batchnorm(self.net)
        self.parallel = workers.parallel(self.net)
        self.optimizer = torch.optim.SGD(
            self.net.parameters(), lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
        )
        self.half = half_precision(self.device)
        # Only float16 gradients are so small that they must be scaled.
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.amp and self.half == torch.float16)

    def step(self) -> Tensor:
        """Do one update and return its loss."""
        config = self.config
        index = self.batches.draw().to(self.device)
        normal = jitter_images(self.images[index].float() / 255, config.jitter, self.generator)
        masks = None if self.lung_masks is None else self.lung_masks[index]
        # Every process augments the whole batch, which costs little compared with the network: see Workers.
        classes = [normal, *(augment(normal, region_mask=masks).image for augment in self.augments)]
        for augmented in classes:
            if augmented.shape != normal.shape:
                raise ValueError(f"augment turned {tuple(normal.shape)} images into {tuple(augmented.shape)}")
        own = [images[self.part] for images in classes]
        inputs = to_layout(prepare_inputs(torch.cat(own), config.in_chans))
        targets = torch.arange(len(own), device=self.device).repeat_interleave(len(own[0]))
        self.learning_rate = half_cosine(self.update, config.updates, config.learning_rate)
        self.optimizer.param_groups[0]["lr"] = self.learning_rate
        with torch.autocast(self.device.type, self.half, enabled=config.amp):
            logits = self.parallel(inputs)
        loss = F.cross_entropy(logits.float(), targets)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach()

    def validate(self, val_images: Tensor, val_labels: Tensor) -> Validation:
        """Return the AUROC of the score of the present features, and the pretext loss where that is what counts."""
        self.workers.broadcast_buffers(self.net)
        labels = torch.as_tensor(val_labels)
        area = self._auroc(val_images, labels) if has_both(labels) else None
        loss = self._pretext_loss(val_images, labels) if area is None or self.config.select == "pretext" else None
        return Validation(area, loss)

    def _auroc(self, val_images: Tensor, val_labels: Tensor) -> float:
        config = self.config

        def features(images: Tensor) -> Tensor:
            return extract_features(self.net, images, stages=config.stages, batch_size=2 * config.batch_size)

        reference = self.workers.map_rows(features, self.images) if config.reference == "train" else None
        queries = self.workers.map_rows(features, val_images)
        if not all(bool(torch.isfinite(each).all()) for each in (reference, queries) if each is not None):
            raise self.diverged("network's features")
        scores = validation_scores(config.score, reference, queries, val_labels, bandwidth=config.bandwidth)
        return auroc(val_labels, scores)

    def _pretext_loss(self, val_images: Tensor, val_labels: Tensor) -> float:
        """Return the cross entropy on the normal validation images and their augmentations, the same every time."""
        normals = val_labels == 0
        images = val_images[normals]
        masks = None if self.val_masks is None else self.val_masks[normals]
        total = torch.zeros((), dtype=torch.float64)
        self.net.eval()
        # The training draws the same numbers whether it is validated or not.
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []), torch.no_grad():
            torch.manual_seed(self.config.seed)
            for start in range(0, len(images), self.config.batch_size):
                rows = slice(start, start + self.config.batch_size)
                batch = images[rows].to(self.device).float() / 255
                region = None if masks is None else masks[rows].to(self.device)
                classes = [batch, *(augment(batch, region_mask=region).image for augment in self.augments)]
                for target, augmented in enumerate(classes):
                    logits = self.workers.map_rows(self._logits, augmented)
                    total += F.cross_entropy(
                        logits, torch.full_like(logits[:, 0], target).long(), reduction="sum"
                    ).cpu()
        self.net.train()
        loss = float(total) / (len(images) * (1 + len(self.augments)))
        if not math.isfinite(loss):
            raise self.diverged("network's loss on validation images")
        return loss

    def _logits(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(to_layout(prepare_inputs(images, self.config.in_chans)))
        return logits.float()

    def weights(self) -> State:
        """Return a CPU copy of the network's weights."""
        return state_copy(self.net)

    def model_state(self) -> dict[str, Any]:
        """Return the states of network, optimizer and gradient scaler."""
        return {
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load_model_state(self, state: dict[str, Any]) -> None:
        """Restore what `model_state` returned."""
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])


def half_precision(device: torch.device) -> torch.dtype:
    """Return the 16-bit type of mixed precision: bfloat16, but float16 on GPUs that would only emulate it."""
    lacking = device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.float16 if lacking else torch.bfloat16


def _build_net(config: PretextConfig) -> PretextNet:
    """Return the untrained network of a run on the CPU, in the memory layout of the run's device."""
    net = PretextNet(config.backbone, config.in_chans, num_classes=config.num_classes, image_size=config.image_size)
    layout = torch.channels_last if torch.device(config.device).type == "cpu" else torch.contiguous_format
    return net.to(memory_format=layout)
