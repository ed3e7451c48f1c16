"""Training on several devices: one process each, as torchrun starts them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from anatpaste_aug.detection.training.fingerprint import differences

# One process may read and decode a whole dataset while the others wait.
_PATIENCE = timedelta(hours=6)


@contextmanager
def process_group(device: str = "cpu") -> Iterator[bool]:
    """Connect the processes that torchrun started, one for each device, while the block runs.

    Inside, training divides its batches among them. Without torchrun nothing happens.

    Args:
        device: `"cpu"` (gloo), or `"cuda"` (NCCL), which then is the process's own GPU.

    Yields:
        Whether this is the main process, the one that writes files; True without torchrun.

    Raises:
        ValueError: `device` names one GPU, which all processes would share.
        ConnectionError: Another process died.

    Example:
        >>> with process_group("cpu") as main:
        ...     main
        True
    """
    if not {"RANK", "WORLD_SIZE"} <= os.environ.keys():
        yield True
        return
    wanted = torch.device(device)
    if wanted.type == "cuda":
        if wanted.index is not None:
            raise ValueError(f"torchrun gives every process a GPU of its own: name the device 'cuda', not {device!r}")
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if wanted.type == "cuda" else "gloo", timeout=_PATIENCE)
    rank = dist.get_rank()
    try:
        yield rank == 0
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        raise ConnectionError(
            f"process {rank} lost its connection: a peer process died; check its log, then resume from the checkpoint "
            "(resume) with the same number of processes"
        ) from error
    finally:
        if torch.__version__ < "2.9":  # compared as a version
            # destroy_process_group holds the interpreter's lock while it ends gloo's threads, and deadlocks if one of
            # them still has to release a Python tensor.
            time.sleep(0.2)
        dist.destroy_process_group()


@contextmanager
def main_first() -> Iterator[None]:
    """Run the block in the main process first, so that the others find the files that it wrote."""
    workers = Workers.current()
    if not workers.main:
        dist.barrier()
    yield
    if workers.main and workers.count > 1:
        dist.barrier()


@dataclass(frozen=True)
class Workers:
    """The processes of a training run; one, unless `process_group` connected several.

    Each of them draws the random numbers of the whole batch and then keeps its part, so that the batches do not depend
    on the number of processes, and all processes have the same random state.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def current(cls) -> Workers:
        """Return the processes that are connected at the moment."""
        return cls(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else cls()

    @property
    def main(self) -> bool:
        return self.rank == 0

    def part(self, batch_size: int) -> slice:
        """Return this process's part of a batch.

        Raises:
            ValueError: The number of processes does not divide the batch.
        """
        if batch_size % self.count:
            raise ValueError(f"batch_size {batch_size} cannot be divided evenly among {self.count} processes")
        size = batch_size // self.count
        return slice(self.rank * size, (self.rank + 1) * size)

    def parallel(self, net: nn.Module) -> nn.Module:
        """Wrap a network so that gradients are averaged; all use the BatchNorm statistics of the main process."""
        if self.count == 1:
            return net
        device = next(net.parameters()).device
        return DistributedDataParallel(net, device_ids=[device] if device.type == "cuda" else None)

    def mean(self, value: Tensor) -> Tensor:
        """Average a tensor over the processes, in place."""
        if self.count > 1:
            dist.all_reduce(value)
            value /= self.count
        return value

    def broadcast_buffers(self, net: nn.Module) -> None:
        """Copy the BatchNorm statistics of the main process to all, which otherwise happens at the next update only."""
        if self.count > 1:
            for buffer in net.buffers():
                dist.broadcast(buffer, 0)

    def map_rows(self, function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Return `function(images)`; each process computes its part of the rows and gets the rows of all.

        Args:
            function: From images to one row of results for each; it must not mix images.
            images: N×C×H×W, the same in every process.
        """
        if self.count == 1:
            return function(images)
        size = -(-len(images) // self.count)
        index = torch.arange(self.rank * size, (self.rank + 1) * size, device=images.device) % len(images)
        own = function(images[index])
        parts = [torch.empty_like(own) for _ in range(self.count)]
        dist.all_gather(parts, own)
        return torch.cat(parts)[: len(images)]

    def check_same_run(self, run: dict[str, Any]) -> None:
        """Wait for all processes; raise a ValueError in each of them if their runs differ."""
        if self.count == 1:
            return
        runs: list[dict[str, Any]] = [{}] * self.count
        dist.all_gather_object(runs, run)
        for rank, other in enumerate(runs):
            if differing := differences(runs[0], other):
                raise ValueError(f"process {rank} has another run than process 0: {differing}; start all alike")
