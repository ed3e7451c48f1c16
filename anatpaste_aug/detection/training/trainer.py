"""The base of all trainers: counts updates, keeps the best weights, and can be stopped and restored at any update."""

from __future__ import annotations

import dataclasses
import math
import time
from abc import ABC, abstractmethod
from typing import Any, Generic

import torch
from torch import Tensor

from anatpaste_aug.detection.training.batches import ShuffledBatches
from anatpaste_aug.detection.training.checkpoints import random_state, restore_random_state
from anatpaste_aug.detection.training.result import Config, Progress, State, TrainResult
from anatpaste_aug.detection.training.workers import Workers


@dataclasses.dataclass(frozen=True)
class Validation:
    """AUROC of the validation images, and loss of the pretext task on the normal ones; None where not computed."""

    auroc: float | None = None
    loss: float | None = None


class Trainer(ABC, Generic[Config]):
    """Networks, optimizers, image order and history of a run.

    A subclass creates its networks and optimizers after `super().__init__` and implements one update
    (`step`), the validation, and what a checkpoint holds of its networks. Everything else is the same for every
    detector and is done here and in `run_training`.

    Args:
        config: The settings.
        images: N×1×S×S uint8 normal images on the device of the run.
        workers: The processes that share the batches.

    Attributes:
        generator: CPU generator of the image order and of whatever else the subclass draws.
        batches: Draws the indices of the next batch.
        learning_rate: Learning rate of the last update; set by `step`, for progress and messages.
        remedy: What to do if the training diverges.
    """

    learning_rate: float
    remedy: str = "lower the learning rate"

    def __init__(self, config: Config, images: Tensor, workers: Workers) -> None:
        self.config, self.workers = config, workers
        self.images, self.device = images, images.device
        self.learning_rate = config.learning_rate
        self.generator = torch.Generator().manual_seed(config.seed)
        self.batches = ShuffledBatches(len(images), config.batch_size, self.generator)
        self.update = 0
        self.history: list[Progress] = []
        self.best_state: State = {}
        self.best_update, self.best_merit = 0, -math.inf
        self.best_auroc: float | None = None
        self.loss_sum, self.summed = torch.zeros((), device=self.device), 0
        self.start = time.perf_counter()

    @abstractmethod
    def step(self) -> Tensor:
        """Do one update and return its loss, a detached scalar on the device of the run."""

    @abstractmethod
    def validate(self, val_images: Tensor, val_labels: Tensor) -> Validation:
        """Return what the validation images say of the present weights.

        Raises:
            FloatingPointError: The scores are not finite; see `diverged`.
        """

    @abstractmethod
    def weights(self) -> State:
        """Return a CPU copy of the weights that a trained detector needs."""

    @abstractmethod
    def model_state(self) -> dict[str, Any]:
        """Return the states of networks and optimizers, as tensors and plain types, for a checkpoint."""

    @abstractmethod
    def load_model_state(self, state: dict[str, Any]) -> None:
        """Restore what `model_state` returned; other entries of `state` are to be ignored."""

    def advance(self) -> None:
        """Do one update and add its loss to the mean."""
        loss = self.step()
        self.loss_sum, self.summed = self.loss_sum + self.workers.mean(loss), self.summed + 1
        self.update += 1

    def report(self, validation: tuple[Tensor, Tensor] | None = None) -> Progress:
        """Return the progress after the last update; validate first if images and labels are given.

        Raises:
            FloatingPointError: The loss or the scores are no longer finite.
        """
        loss = self.loss_sum.item() / self.summed
        if not math.isfinite(loss):
            raise self.diverged("loss")
        found = Validation(self.history[-1].val_auroc, self.history[-1].val_loss) if self.history else Validation()
        if validation is not None:
            found = self.validate(*validation)
            if (merit := self._merit(found, self.update)) > self.best_merit:
                self.best_state, self.best_update, self.best_merit = self.weights(), self.update, merit
                self.best_auroc = found.auroc
        seconds = time.perf_counter() - self.start
        progress = Progress(
            update=self.update,
            updates=self.config.updates,
            loss=loss,
            learning_rate=self.learning_rate,
            val_auroc=found.auroc,
            best_auroc=self.best_auroc,
            seconds=seconds,
            eta=seconds / self.update * (self.config.updates - self.update),
            validated=validation is not None,
            val_loss=found.loss,
        )
        if validation is not None:
            self.history.append(progress)
            self.loss_sum, self.summed = torch.zeros((), device=self.device), 0
        return progress

    def result(self) -> TrainResult[Config]:
        """Return the result of the run, after its last update."""
        return TrainResult(
            self.config, self.best_state, self.weights(), self.best_update, self.best_auroc, self.history
        )

    def state(self) -> dict[str, Any]:
        """Return all that the rest of the run depends on, as tensors and plain types."""
        return {
            "update": self.update,
            **self.model_state(),
            "random": random_state(self.device, self.generator),
            "order": self.batches.order.clone(),  # a view would save the whole pass
            "loss_sum": self.loss_sum,
            "summed": self.summed,
            "best_state": self.best_state,
            "best_update": self.best_update,
            "best_auroc": self.best_auroc,
            "history": [dataclasses.asdict(progress) for progress in self.history],
            "seconds": time.perf_counter() - self.start,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from where `state` was called."""
        self.update = state["update"]
        self.load_model_state(state)
        self.batches.order = state["order"]
        self.loss_sum, self.summed = state["loss_sum"].to(self.device), state["summed"]
        self.best_state = state["best_state"]
        self.best_update, self.best_auroc = state["best_update"], state["best_auroc"]
        self.history = [Progress(**progress) for progress in state["history"]]
        for step in self.history:
            if step.update == self.best_update:
                self.best_merit = self._merit(Validation(step.val_auroc, step.val_loss), step.update)
        self.start = time.perf_counter() - state["seconds"]
        restore_random_state(state["random"], self.device, self.generator)

    def _merit(self, found: Validation, update: int) -> float:
        """How good the weights of an update are, by `config.select`; of equal ones the earliest are kept."""
        select = self.config.select or ("last" if found.auroc is None else "auroc")
        if select == "last":
            return update
        merit = found.auroc if select == "auroc" else found.loss
        if merit is None:
            raise ValueError(f"the validation gives nothing to choose by for select={select!r}: choose 'last'")
        return merit if select == "auroc" else -merit

    def diverged(self, what: str) -> FloatingPointError:
        """Return the error for a loss or scores that are no longer finite."""
        return FloatingPointError(
            f"the {what} became NaN or infinite by update {self.update} at learning rate {self.learning_rate:.3g}: "
            f"{self.remedy}"
        )
