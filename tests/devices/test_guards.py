"""The guards themselves: what they reject, and what they let pass."""

import pytest
import torch
from helpers.guards import NamedDevices, all_on_device, on_device, without_doubles
from torchvision import tv_tensors

from anatpaste_aug.precision import to_float64


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x.cpu(),
        lambda x: torch.zeros(3).to(x.device),
        lambda x: torch.tensor([0.5, 0.5], device=x.device),
        lambda x: torch.tensor(0.5, device=x.device),
        lambda x: x.sum().item(),
        lambda x: x.sum().tolist(),
        lambda x: bool((x > 0).any()),
        lambda x: torch.equal(x, x),
        lambda x: x.nonzero(),
        lambda x: x.unique(),
        lambda x: x[x > 0],
        lambda x: x.__setitem__(x > 0, 5.0),
        lambda x: x[torch.zeros(2, dtype=torch.int64)],
        lambda x: torch.histc(x),
        lambda x: torch.bincount(x.flatten().long()),
        lambda x: torch.multinomial(x.flatten() + 1, 1),
    ],
)
def test_the_guard_rejects_what_waits_for_the_device(operation):
    # What fake tensors refuse is a RuntimeError that names the operator.
    with pytest.raises((AssertionError, RuntimeError), match=r"spans|aten|mask|not for an accelerator"):
        operation(on_device())


@pytest.mark.usefixtures("guarded")
def test_the_guard_lets_pass_what_stays_on_the_device():
    images = on_device()
    assert all_on_device([images * 2, images.cumsum(1), torch.where(images > 0, images, 0.0), images.sum()])


def test_the_guard_rejects_tensors_without_a_device():
    given = torch.zeros(2, 2)
    for call in (torch.zeros, torch.arange, torch.empty):
        with NamedDevices(), pytest.raises(AssertionError, match="without device="):
            call(3)
    with NamedDevices(), pytest.raises(AssertionError, match="as_tensor without device="):
        tv_tensors.Mask(given)
    with NamedDevices():
        assert torch.zeros_like(given).new_ones(3).device == torch.zeros(3, device="cpu").device


def test_the_guard_rejects_float64_beyond_the_cpu():
    with without_doubles():
        values = torch.zeros(3, device="cuda")
        assert to_float64(values).dtype == torch.float64
        with pytest.raises(AssertionError, match="float64"):
            values.double()
