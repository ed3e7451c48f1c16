"""Guards that verify without an accelerator that code runs on one, and never waits for it."""

import sys
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITING = {"histc", "multinomial", "bincount"}
COPIES = {"_to_copy", "copy_"}


whole_graphs = pytest.mark.skipif(torch.__version__ < (2, 9), reason="before 2.9, torch breaks graphs at _replace")


def fake_device():
    """Fake tensors on ``device="cuda"``, which need no driver."""
    if not (hasattr(torch._C, "_ensureCUDADeviceGuardSet") or torch.cuda.is_available()):
        pytest.skip("before 2.10, torch asks the driver of an accelerator even for fake tensors")
    return FakeTensorMode()


class DeviceGuard(TorchDispatchMode):
    """Rejects operations that wait for the device but work on fake tensors.

    That is any operation that spans two devices, assignment through a boolean mask, and a few by their names. A
    zero-dimensional CPU tensor is a Python number in disguise and may meet any device, unless it is copied there.
    """

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in WAITING:
            raise AssertionError(f"{name} is not for an accelerator")
        if name.startswith("index_put") and any(index is not None and index.dtype == torch.bool for index in args[1]):
            raise AssertionError("assignment through a boolean mask")
        result = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
        devices = {t.device.type for t in tensors if t.ndim > 0 or t.device.type != "cpu" or name in COPIES}
        if len(devices) > 1:
            raise AssertionError(f"{func} spans {sorted(devices)}")
        return result


def all_on_device(result):
    """Whether there are tensors, and all of them are on the accelerator."""
    tensors = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
    return bool(tensors) and all(tensor.device.type == "cuda" for tensor in tensors)


def on_device(channels=1, dtype=torch.float32, size=(96, 80)):
    """Four black images, inside `guarded`."""
    return torch.zeros(4, channels, *size, dtype=dtype, device="cuda")


class NamedDevices(TorchFunctionMode):
    """Rejects every call that creates a tensor without a device: it would be on the default device.

    The constructors of tv_tensors are among them, which move a tensor that they are given. What kornia and torch
    themselves do is not looked at.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, caller = kwargs or {}, Path(sys._getframe(1).f_code.co_filename).parts
        ours = "kornia" not in caller and "torch" not in caller
        if ours and func in _device_constructors() and kwargs.get("device") is None:
            raise AssertionError(f"{func.__name__} without device=")
        return func(*args, **kwargs)


class NoDoubles(TorchDispatchMode):
    """Rejects float64 on every device except the CPU."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor) and leaf.dtype == torch.float64 and leaf.device.type != "cpu":
                raise AssertionError(f"{func} makes a float64 tensor on {leaf.device}")
        return result


@contextmanager
def without_doubles():
    """Fake tensors on ``device="cuda"``, on which float64 is an error."""
    only_cpu = mock.patch("anatpaste_aug.precision.has_float64", lambda device: device.type == "cpu")
    with fake_device(), NoDoubles(), only_cpu:
        yield
