"""Training on several devices: one process each, as torchrun starts them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from anatpaste_aug.detection.models.pretext_net import PretextNet, extract_features
from anatpaste_aug.detection.training.checkpoints import differences

# One process may read and decode a whole dataset while the others wait.
_PATIENCE = timedelta(hours=6)


@contextmanager
def process_group(device: str = "cpu") -> Iterator[bool]:
    """Joins the processes that torchrun started, one for each device, for as long as the block lasts.

    Inside, :func:`train` shares its batches among them. Without torchrun nothing happens.

    Args:
        device: ``"cpu"`` (gloo), or ``"cuda"`` (NCCL), which then is the process's own GPU.

    Yields:
        Whether this is the main process, the one that writes files; true without torchrun.

    Raises:
        ValueError: ``device`` names one GPU, which all processes would share.
        ConnectionError: another process has ended before its time.

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
            f"process {rank} has lost another one, which ended or was killed: see what that one said, then go on from "
            "the checkpoint (resume) with as many processes"
        ) from error
    finally:
        if torch.__version__ < "2.9":  # compared as a version
            # It ends gloo's threads with the interpreter locked, and waits for ever where one of them still has to let
            # go of a tensor of Python's.
            time.sleep(0.2)
        dist.destroy_process_group()


@contextmanager
def main_first() -> Iterator[None]:
    """The main process does the block before the others, so that these find the files that it wrote."""
    workers = Workers.current()
    if not workers.main:
        dist.barrier()
    yield
    if workers.main and workers.count > 1:
        dist.barrier()


@dataclass(frozen=True)
class Workers:
    """The processes of a training run; one, unless :func:`process_group` joined several.

    All of them draw the random numbers of the whole batch and then keep their part of it, so that the batches are those
    of one process whatever their number is, and the random state of one of them is that of all.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def current(cls) -> Workers:
        """The processes that are joined at the moment."""
        return cls(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else cls()

    @property
    def main(self) -> bool:
        return self.rank == 0

    def part(self, batch_size: int) -> slice:
        """This process's part of a batch."""
        if batch_size % self.count:
            raise ValueError(f"batch_size {batch_size} cannot be shared evenly by {self.count} processes")
        share = batch_size // self.count
        return slice(self.rank * share, (self.rank + 1) * share)

    def parallel(self, net: nn.Module) -> nn.Module:
        """The network with gradients averaged over all processes, and with the BatchNorm statistics of the main one."""
        if self.count == 1:
            return net
        device = next(net.parameters()).device
        return DistributedDataParallel(net, device_ids=[device] if device.type == "cuda" else None)

    def mean(self, value: Tensor) -> Tensor:
        """Mean over the processes of a tensor, which is changed in place."""
        if self.count > 1:
            dist.all_reduce(value)
            value /= self.count
        return value

    def share_buffers(self, net: nn.Module) -> None:
        """Gives every process the main one's BatchNorm statistics, as else happens only before the next update."""
        if self.count > 1:
            for buffer in net.buffers():
                dist.broadcast(buffer, 0)

    def features(self, net: PretextNet, images: Tensor, batch_size: int) -> Tensor:
        """As :func:`extract_features`: every process does its share of the images and gets the features of all."""
        if self.count == 1:
            return extract_features(net, images, batch_size=batch_size)
        share = -(-len(images) // self.count)
        index = torch.arange(self.rank * share, (self.rank + 1) * share, device=images.device) % len(images)
        own = extract_features(net, images[index], batch_size=batch_size)
        parts = [torch.empty_like(own) for _ in range(self.count)]
        dist.all_gather(parts, own)
        return torch.cat(parts)[: len(images)]

    def agree(self, run: dict[str, Any]) -> None:
        """Waits for all processes; a ValueError in each of them if what they are about to do differs."""
        if self.count == 1:
            return
        found: list[dict[str, Any]] = [{}] * self.count
        dist.all_gather_object(found, run)
        for rank, other in enumerate(found):
            if differing := differences(found[0], other):
                raise ValueError(f"process {rank} has another run than process 0: {differing}; start all alike")
