"""The training of networks that reconstruct normal images."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from anatpaste_aug.detection.evaluation.metrics import auroc, check_scored
from anatpaste_aug.detection.evaluation.thresholds import has_both
from anatpaste_aug.detection.models.reconstruction.config import ReconstructionConfig
from anatpaste_aug.detection.models.reconstruction.networks import ReconstructionNet, map_batches, network_inputs
from anatpaste_aug.detection.models.trained import state_copy
from anatpaste_aug.detection.training.loop import check_images, run_training
from anatpaste_aug.detection.training.result import State, TrainResult
from anatpaste_aug.detection.training.trainer import Trainer, Validation
from anatpaste_aug.detection.training.workers import Workers

Config = TypeVar("Config", bound=ReconstructionConfig)
"""The settings of one detector that reconstructs."""


class ReconstructionTrainer(Trainer[Config]):
    """Trains networks on normal images alone; validates with their scores.

    A subclass creates its networks and optimizers in `__init__` and implements `step`.

    Attributes:
        net: The networks that score; their weights are the result.
        others: Further networks that only the training needs, by name.
        optimizers: Optimizers by name.
    """

    net: ReconstructionNet
    others: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]

    def draw_images(self) -> Tensor:
        """Return the next batch of normal images, B×1×s×s floats in [0, 1], as the networks see them."""
        index = self.batches.draw().to(self.device)
        return network_inputs(self.images[index], self.config.reduction)

    def descend(self, name: str, loss: Tensor) -> None:
        """Take a step of the optimizer of this name along the gradient of a loss."""
        self.optimizers[name].zero_grad(set_to_none=True)
        loss.backward()
        self.optimizers[name].step()

    def validate(self, val_images: Tensor, val_labels: Tensor) -> Validation:
        """Return the AUROC of the present scores; None without abnormal validation images."""
        reduction = self.config.reduction
        scores = map_batches(self.net, lambda net, batch: net.errors(batch), val_images, reduction=reduction)
        if not bool(torch.isfinite(scores).all()):
            raise self.diverged("scores of the validation images")
        labels = torch.as_tensor(val_labels)
        return Validation(auroc(labels, scores) if has_both(labels) else None)

    def weights(self) -> State:
        """Return a CPU copy of the weights of the networks that score."""
        return state_copy(self.net)

    def model_state(self) -> dict[str, Any]:
        """Return the states of networks and optimizers."""
        return {
            "net": self.net.state_dict(),
            "others": {name: other.state_dict() for name, other in self.others.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
        }

    def load_model_state(self, state: dict[str, Any]) -> None:
        """Restore what `model_state` returned."""
        self.net.load_state_dict(state["net"])
        for name, other in self.others.items():
            other.load_state_dict(state["others"][name])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])


def train_reconstruction(
    trainer_type: type[ReconstructionTrainer],
    config: Config,
    images: Tensor,
    val_images: Tensor,
    val_labels: Any,
    **options: Any,
) -> TrainResult[Config]:
    """Train networks to reconstruct normal images.

    Args:
        trainer_type: Trainer of the networks.
        config: The settings.
        images: N×1×S×S uint8 normal images, S = `config.image_size`; N may be smaller than the batch.
        val_images: M×1×S×S uint8.
        val_labels: M values, 0 (normal) or 1 (abnormal); without abnormal ones the last weights are the best.
        options: `progress`, `checkpoint`, `checkpoint_every` and `resume` of `run_training`.

    Raises:
        TypeError, ValueError: An input has the wrong dtype, shape or labels, or the checkpoint is damaged or of
            another run.
        FileExistsError: There is a checkpoint, and `resume` is false.
        FloatingPointError: The loss or the scores are no longer finite.
        OSError: The checkpoint could not be written; the earlier one is unchanged.
    """
    check_images("images", images, config.image_size)
    check_images("val_images", val_images, config.image_size)
    # Wrong labels are reported now, not after the first epoch.
    truth, _ = check_scored(val_labels, torch.zeros(len(val_images)), both=False)
    if config.select == "auroc" and not has_both(truth):
        raise ValueError("select='auroc' needs abnormal validation images; choose 'last', or leave it out")
    if config.select == "pretext":
        raise ValueError(f"select='pretext' needs a pretext task, which {config.kind} does not have; choose 'last'")
    labels = torch.as_tensor(val_labels)
    device = torch.device(config.device)

    def make_trainer(workers: Workers) -> ReconstructionTrainer:
        return trainer_type(config, images.to(device), workers)

    data = {"images": images, "val_images": val_images, "val_labels": labels}
    return run_training(make_trainer, config, data, (val_images, labels), **options)
