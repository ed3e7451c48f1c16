"""Training the pretext network as the paper does, and going on with it after an interruption."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from anatpaste_aug.detection.evaluation.metrics import auroc
from anatpaste_aug.detection.models.pretext_training import Augment, Trainer
from anatpaste_aug.detection.reporting.report import environment
from anatpaste_aug.detection.training.checkpoints import RunFile, fingerprint
from anatpaste_aug.detection.training.config import TrainConfig
from anatpaste_aug.detection.training.result import Progress, TrainResult
from anatpaste_aug.detection.training.workers import Workers


def train(
    config: TrainConfig,
    train_images: Tensor,
    val_images: Tensor,
    val_labels: Tensor,
    augment: Augment | Sequence[Augment],
    *,
    lung_masks: Tensor | None = None,
    callback: Callable[[Progress], None] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
) -> TrainResult:
    """Trains a network to tell normal images from their augmentations (Sato et al., arXiv 2205.04282, section III).

    Each update draws ``batch_size`` normal images, jitters them, augments the jittered images, and takes one SGD step
    on the cross entropy of both. On the CPU the same seed gives the same weights, as long as the augmentation draws
    from torch's global generator (which is seeded here, and given back as it was).

    **Interruptions.** With ``checkpoint`` the run can be killed at any moment: called again with ``resume=True`` it
    goes on from its last checkpoint and, on the CPU, ends with the weights and metrics of an undisturbed run bit for
    bit. The augmentation must be the same again; settings and data are compared.

    **Several devices.** Within :func:`process_group`, under torchrun, every process calls this with the same arguments,
    takes its part of each batch, and returns the same result; the main one writes the checkpoint, which all read. The
    batches are those of one process. Each normalises its part by itself, unless ``config.sync_bn``.

    Args:
        config: the settings.
        train_images: N×1×S×S uint8 normal images, S = ``config.image_size``; N may be smaller than the batch.
        val_images: M×1×S×S uint8.
        val_labels: M values, 0 (normal) or 1 (abnormal); both must occur.
        augment: see :class:`Augment`. Of several, each makes a class of its own; ``config.num_classes`` is one more.
        lung_masks: N×1×S×S boolean masks of the training images, handed to ``augment``; None lets it find them.
        callback: called with a :class:`Progress` every few updates and after each validation, in every process.
        checkpoint: file to go on from after an interruption, written at the start and after each validation.
        checkpoint_every: updates between further checkpoints; None writes no others.
        resume: go on from ``checkpoint``, or start if there is none yet.

    Raises:
        TypeError, ValueError: an input has the wrong dtype, shape or labels, ``augment`` changes the shape, or the
            checkpoint is damaged or of another run.
        FileExistsError: there is a checkpoint, and ``resume`` is false.
        FloatingPointError: the loss or the features are no longer finite.
        OSError: the checkpoint could not be written, for want of space perhaps; the earlier one stays.
    """
    _check_images("train_images", train_images, config.image_size)
    _check_images("val_images", val_images, config.image_size)
    if lung_masks is not None and (lung_masks.dtype != torch.bool or lung_masks.shape != train_images.shape):
        raise ValueError(
            f"lung_masks must be boolean of shape {tuple(train_images.shape)}, "
            f"got {lung_masks.dtype} of shape {tuple(lung_masks.shape)}"
        )
    auroc(val_labels, torch.zeros(len(val_images)))  # wrong labels are found here, not after the first epoch
    if checkpoint is None and (resume or checkpoint_every is not None):
        raise ValueError("resume and checkpoint_every need a checkpoint: name its file")
    if checkpoint_every is not None and checkpoint_every < 1:
        raise ValueError(f"checkpoint_every must be at least 1, got {checkpoint_every}")
    augments = (augment,) if callable(augment) else tuple(augment)
    if len(augments) + 1 != config.num_classes:
        raise ValueError(
            f"num_classes must be {len(augments) + 1} for {len(augments)} augmentation(s), got {config.num_classes}"
        )
    workers = Workers.current()
    workers.part(config.batch_size)  # an uneven share is found here
    run_file, state = None, None
    if checkpoint is not None or workers.count > 1:
        data = {"train_images": train_images, "val_images": val_images, "val_labels": torch.as_tensor(val_labels)}
        found = fingerprint(config, workers.count, **data, lung_masks=lung_masks)
        if checkpoint is not None:
            run_file = RunFile(Path(checkpoint), found, environment(config.device))
            state = run_file.read(resume=resume)
        workers.agree({**found, "checkpoint's update": state and state["update"]})

    device = torch.device(config.device)
    # Only the generators in use are put back afterwards.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        masks = None if lung_masks is None else lung_masks.to(device)
        trainer = Trainer(config, train_images.to(device), masks, augments, workers)
        if state is not None:
            trainer.restore(state)
        elif run_file is not None and workers.main:
            run_file.write(trainer.state())  # a disk that is full or locked shows at once
        _run(trainer, (val_images, val_labels), callback, run_file, checkpoint_every)
    return trainer.result()


def _run(
    trainer: Trainer,
    validation: tuple[Tensor, Tensor],
    callback: Callable[[Progress], None] | None,
    run_file: RunFile | None,
    checkpoint_every: int | None,
) -> None:
    config = trainer.config
    # Reading the loss waits for an accelerator to finish, so there it is read less often.
    report_every = 1 if trainer.device.type == "cpu" else 8
    while trainer.update < config.updates:
        trainer.advance()
        update = trainer.update
        validate = update % config.updates_per_epoch == 0 or update == config.updates
        keep = run_file is not None and (validate or (checkpoint_every is not None and update % checkpoint_every == 0))
        if validate or keep or update % report_every == 0:
            progress = trainer.report(validation if validate else None)
            if callback is not None:
                callback(progress)
        # After the callback, so that a resumed run does not miss what that drew at random.
        if run_file is not None and keep and trainer.workers.main:
            run_file.write(trainer.state())


def _check_images(name: str, images: Tensor, size: int) -> None:
    if not isinstance(images, Tensor) or images.dtype != torch.uint8:
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"{name} must be a uint8 tensor, got {kind}")
    if images.ndim != 4 or images.shape[0] == 0 or tuple(images.shape[1:]) != (1, size, size):
        raise ValueError(f"{name} must be N×1×{size}×{size} (image_size={size}), got shape {tuple(images.shape)}")
