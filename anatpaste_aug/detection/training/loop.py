"""The training loop: seeds, updates, validations, and checkpoints to resume from."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from anatpaste_aug.detection.training.checkpoints import RunCheckpoint
from anatpaste_aug.detection.training.fingerprint import environment, fingerprint
from anatpaste_aug.detection.training.result import Config, Progress, TrainResult
from anatpaste_aug.detection.training.trainer import Trainer
from anatpaste_aug.detection.training.workers import Workers


def run_training(
    make_trainer: Callable[[Workers], Trainer[Config]],
    config: Config,
    data: Mapping[str, Tensor | None],
    validation: tuple[Tensor, Tensor],
    *,
    progress: Callable[[Progress], None] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
) -> TrainResult[Config]:
    """Run a trainer from its first update, or from a checkpoint, to its last.

    Args:
        make_trainer: Creates the trainer for the given processes; called with torch's global generator seeded.
        config: The settings.
        data: All tensors that the run learns from, by name; a checkpoint of other data is refused.
        validation: Images and labels.
        progress: Called every few updates and after each validation, in every process.
        checkpoint: File to resume from after an interruption, written at the start and after each validation.
        checkpoint_every: Updates between further checkpoints; None writes no others.
        resume: Continue from `checkpoint`, or start if there is none yet.

    Raises:
        ValueError: The options do not fit together, several processes cannot train this detector, or the checkpoint is
            damaged or of another run.
        FileExistsError: There is a checkpoint, and `resume` is false.
        FloatingPointError: The loss or the scores are no longer finite.
        OSError: The checkpoint could not be written; the earlier one is unchanged.
    """
    if checkpoint is None and (resume or checkpoint_every is not None):
        raise ValueError("resume and checkpoint_every need a checkpoint: name its file")
    if checkpoint_every is not None and checkpoint_every < 1:
        raise ValueError(f"checkpoint_every must be at least 1, got {checkpoint_every}")
    workers = Workers.current()
    if workers.count > 1 and not config.distributed:
        raise ValueError(f"{workers.count} processes cannot share a {config.kind} training: start it without torchrun")
    workers.part(config.batch_size)  # fails here if the batch cannot be divided
    run_checkpoint, state = None, None
    if checkpoint is not None or workers.count > 1:
        run = fingerprint(config, workers.count, **data)
        if checkpoint is not None:
            run_checkpoint = RunCheckpoint(Path(checkpoint), run, environment(config.device))
            state = run_checkpoint.read(resume=resume)
        workers.check_same_run({**run, "checkpoint's update": state and state["update"]})

    device = torch.device(config.device)
    # Only the generators in use are restored afterwards.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        trainer = make_trainer(workers)
        if state is not None:
            trainer.restore(state)
        elif run_checkpoint is not None and workers.main:
            run_checkpoint.write(trainer.state())  # a full or read-only disk shows at once
        _loop(trainer, validation, progress, run_checkpoint, checkpoint_every)
    return trainer.result()


def check_images(name: str, images: Tensor, size: int) -> None:
    """Check that images are N×1×S×S uint8 with S = `size`.

    Raises:
        TypeError: Another type.
        ValueError: Another shape, or no images.
    """
    if not isinstance(images, Tensor) or images.dtype != torch.uint8:
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"{name} must be a uint8 tensor, got {kind}")
    if images.ndim != 4 or images.shape[0] == 0 or tuple(images.shape[1:]) != (1, size, size):
        raise ValueError(f"{name} must be N×1×{size}×{size} (image_size={size}), got shape {tuple(images.shape)}")


def _loop(
    trainer: Trainer,
    validation: tuple[Tensor, Tensor],
    progress: Callable[[Progress], None] | None,
    run_checkpoint: RunCheckpoint | None,
    checkpoint_every: int | None,
) -> None:
    config = trainer.config
    # Reading the loss waits for an accelerator to finish, so there it is read less often.
    report_every = 1 if trainer.device.type == "cpu" else 8
    while trainer.update < config.updates:
        trainer.advance()
        update = trainer.update
        validate = update % config.updates_per_epoch == 0 or update == config.updates
        save = run_checkpoint is not None and (
            validate or (checkpoint_every is not None and update % checkpoint_every == 0)
        )
        if validate or save or update % report_every == 0:
            current = trainer.report(validation if validate else None)
            if progress is not None:
                progress(current)
        # After the callback, so that a resumed run does not miss the random numbers that it drew.
        if run_checkpoint is not None and save and trainer.workers.main:
            run_checkpoint.write(trainer.state())
