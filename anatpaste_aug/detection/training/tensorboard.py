"""Logging the progress of a run to TensorBoard."""

from __future__ import annotations

import os
from types import TracebackType
from typing import TYPE_CHECKING

from anatpaste_aug.detection.training.result import Progress
from anatpaste_aug.files import check_writable

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoardLog:
    """A `progress` callback that logs loss, learning rate and validations for `tensorboard --logdir FOLDER`.

    Use it as a context manager, or close it at the end. A resumed run logs to the same folder, and replaces what was
    logged after its checkpoint.

    Args:
        folder: Folder for the log files; created with the first of them.

    Raises:
        ImportError: TensorBoard is not installed.
        OSError: Nothing can be written to the folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError("TensorBoard logs need tensorboard: pip install 'anatpaste_aug[tensorboard]'") from error
        check_writable(folder)
        self.folder = os.fspath(folder)
        self._open = SummaryWriter
        self._writer: SummaryWriter | None = None

    def __call__(self, progress: Progress) -> None:
        if self._writer is None:
            self._writer = self._open(self.folder, purge_step=progress.update)
        self._writer.add_scalar("loss", progress.loss, progress.update)
        self._writer.add_scalar("learning rate", progress.learning_rate, progress.update)
        if progress.validated:
            for name, value in (("validation AUROC", progress.val_auroc), ("validation loss", progress.val_loss)):
                if value is not None:
                    self._writer.add_scalar(name, value, progress.update)
            self._writer.flush()

    def close(self) -> None:
        """Write what is not yet on disk."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def __enter__(self) -> TensorBoardLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
