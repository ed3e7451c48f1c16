"""A training run: all that changes while it goes on, one update at a time."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from anatpaste_aug.detection.evaluation.metrics import auroc
from anatpaste_aug.detection.models.kde import GaussianKDE
from anatpaste_aug.detection.models.pretext_net import prepare_inputs, to_layout
from anatpaste_aug.detection.training.batches import ShuffledBatches, jitter_images
from anatpaste_aug.detection.training.checkpoints import random_state, restore_random_state
from anatpaste_aug.detection.training.config import TrainConfig, half_cosine
from anatpaste_aug.detection.training.result import Progress, State, TrainResult, build_net
from anatpaste_aug.detection.training.workers import Workers


class Augmented(Protocol):
    """What an augmentation returns; only the images are used."""

    @property
    def image(self) -> Tensor: ...


class Augment(Protocol):
    """Any batched augmentation, such as ``AnatPasteTransform().augment``.

    Called as ``augment(images, region_mask=masks)`` with B×1×S×S float images in [0, 1] and their boolean lung
    masks (or None); ``result.image`` holds the augmented images, of the same shape.
    """

    def __call__(self, images: Tensor, /, *, region_mask: Tensor | None) -> Augmented: ...


class Trainer:
    """Network, optimizer, data order and history of a run; :meth:`state` and :meth:`restore` carry them over.

    Args:
        config: the settings.
        images: N×1×S×S uint8 normal images on the run's device.
        lung_masks: their masks there, or None.
        augments: one :class:`Augment` for each class after the normal images.
        workers: the processes that share the batches.
    """

    def __init__(
        self,
        config: TrainConfig,
        images: Tensor,
        lung_masks: Tensor | None,
        augments: Sequence[Augment],
        workers: Workers,
    ) -> None:
        self.config, self.workers, self.augments = config, workers, augments
        self.images, self.lung_masks, self.device = images, lung_masks, images.device
        self.part = workers.part(config.batch_size)
        self.net = build_net(config).to(self.device)
        if config.sync_bn:
            self.net = nn.SyncBatchNorm.convert_sync_batchnorm(self.net)
        self.parallel = workers.parallel(self.net)
        self.optimizer = torch.optim.SGD(
            self.net.parameters(), lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
        )
        self.half = half_precision(self.device)
        # Only float16 gradients are so small that they must be scaled.
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.amp and self.half == torch.float16)
        self.draws = torch.Generator().manual_seed(config.seed)
        self.batches = ShuffledBatches(len(images), config.batch_size, self.draws)
        self.update = 0
        self.history: list[Progress] = []
        self.best_state: State = {}
        self.best_update, self.best_auroc = 0, -math.inf
        self.loss_sum, self.summed = torch.zeros((), device=self.device), 0
        self.start = time.perf_counter()

    def advance(self) -> None:
        """One update."""
        config = self.config
        index = self.batches.draw().to(self.device)
        normal = jitter_images(self.images[index].float() / 255, config.jitter, self.draws)
        masks = None if self.lung_masks is None else self.lung_masks[index]
        # Every process augments the whole batch, which costs little beside the network: see Workers.
        classes = [normal, *(augment(normal, region_mask=masks).image for augment in self.augments)]
        for augmented in classes:
            if augmented.shape != normal.shape:
                raise ValueError(f"augment turned {tuple(normal.shape)} images into {tuple(augmented.shape)}")
        mine = [images[self.part] for images in classes]
        inputs = to_layout(prepare_inputs(torch.cat(mine), config.in_chans))
        targets = torch.arange(len(mine), device=self.device).repeat_interleave(len(mine[0]))
        self.learning_rate = half_cosine(self.update, config.updates, config.learning_rate)
        self.optimizer.param_groups[0]["lr"] = self.learning_rate
        with torch.autocast(self.device.type, self.half, enabled=config.amp):
            logits = self.parallel(inputs)
        loss = F.cross_entropy(logits.float(), targets)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.loss_sum, self.summed = self.loss_sum + self.workers.mean(loss.detach()), self.summed + 1
        self.update += 1

    def report(self, validation: tuple[Tensor, Tensor] | None = None) -> Progress:
        """Where the run stands after the last update, once it is validated on images and their labels, if given.

        Raises:
            FloatingPointError: the loss or the features are no longer finite.
        """
        loss = self.loss_sum.item() / self.summed
        if not math.isfinite(loss):
            raise self._diverged("loss")
        val_auroc = self.history[-1].val_auroc if self.history else None
        if validation is not None:
            val_auroc = self._validate(*validation)
            if val_auroc > self.best_auroc:
                self.best_state, self.best_update, self.best_auroc = self._weights(), self.update, val_auroc
        seconds = time.perf_counter() - self.start
        progress = Progress(
            update=self.update,
            updates=self.config.updates,
            loss=loss,
            learning_rate=self.learning_rate,
            val_auroc=val_auroc,
            best_auroc=None if val_auroc is None else self.best_auroc,
            seconds=seconds,
            eta=seconds / self.update * (self.config.updates - self.update),
            validated=validation is not None,
        )
        if validation is not None:
            self.history.append(progress)
            self.loss_sum, self.summed = torch.zeros((), device=self.device), 0
        return progress

    def result(self) -> TrainResult:
        """What the run comes to, once it is over."""
        return TrainResult(
            self.config, self.best_state, self._weights(), self.best_update, self.best_auroc, self.history
        )

    def state(self) -> dict[str, Any]:
        """All that the rest of the run depends on, as tensors and plain types."""
        return {
            "update": self.update,
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "random": random_state(self.device, self.draws),
            "order": self.batches.order.clone(),  # a view would bring the whole pass along
            "loss_sum": self.loss_sum,
            "summed": self.summed,
            "best_state": self.best_state,
            "best_update": self.best_update,
            "best_auroc": self.best_auroc,
            "history": [dataclasses.asdict(progress) for progress in self.history],
            "seconds": time.perf_counter() - self.start,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from where :meth:`state` was called."""
        self.update = state["update"]
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.batches.order = state["order"]
        self.loss_sum, self.summed = state["loss_sum"].to(self.device), state["summed"]
        self.best_state = state["best_state"]
        self.best_update, self.best_auroc = state["best_update"], state["best_auroc"]
        self.history = [Progress(**progress) for progress in state["history"]]
        self.start = time.perf_counter() - state["seconds"]
        restore_random_state(state["random"], self.device, self.draws)

    def _validate(self, val_images: Tensor, val_labels: Tensor) -> float:
        batch_size = 2 * self.config.batch_size
        self.workers.share_buffers(self.net)
        reference = self.workers.features(self.net, self.images, batch_size)
        queries = self.workers.features(self.net, val_images, batch_size)
        if not bool(torch.isfinite(reference).all() & torch.isfinite(queries).all()):
            raise self._diverged("network's features")
        return auroc(val_labels, GaussianKDE(reference, self.config.bandwidth).score(queries))

    def _weights(self) -> State:
        return {name: value.detach().to("cpu", copy=True) for name, value in self.net.state_dict().items()}

    def _diverged(self, what: str) -> FloatingPointError:
        return FloatingPointError(
            f"the {what} became NaN or infinite by update {self.update} at learning rate {self.learning_rate:.3g}: "
            "lower learning_rate, and check that the augmentation returns finite images"
        )


def half_precision(device: torch.device) -> torch.dtype:
    """The 16-bit type of mixed precision: bfloat16, but float16 on GPUs that would only emulate it."""
    lacking = device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.float16 if lacking else torch.bfloat16
