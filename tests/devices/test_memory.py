"""Peak memory of the live tensors above the input, output included; scratch memory inside operations does not count.

On fake CUDA tensors that is the torch code, as accelerators run it; on the CPU, the kernels.
"""

import sys
from pathlib import Path

import pytest
import torch
from helpers.guards import fake_device

from anatpaste_aug import AnatPasteTransform

SIZE, BATCH = 256, 2
COLOR = 16  # bytes a pixel that three channels may cost more than one

every_kind = pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float32])
one_and_three = pytest.mark.parametrize("channels", [1, 3])


@pytest.fixture(scope="module")
def live_bytes():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
        from memory import LiveBytes

        yield LiveBytes
        sys.modules.pop("memory", None)


@pytest.fixture(params=["accelerator", "kernels"])
def device(request):
    if request.param == "accelerator":
        with fake_device():
            yield "cuda"
    else:
        pytest.importorskip("numba", reason="needs Numba: pip install numba")
        yield "cpu"


def batch(channels, dtype, device):
    images = torch.zeros(BATCH, channels, SIZE, SIZE, device=device)
    images[..., 64:192, 48:112] = 1  # anything but constant
    return (images * 255 if dtype == torch.uint8 else images).to(dtype)


def peak(live_bytes, images, region_mask=None):
    with live_bytes(*[images, *([] if region_mask is None else [region_mask])]) as live:
        result = AnatPasteTransform().augment(images, region_mask)
    assert live.peak >= sum(tensor.nbytes for tensor in (result.image, result.soft_mask))
    return live.peak / (BATCH * SIZE * SIZE)


@pytest.mark.slow
@every_kind
@one_and_three
def test_augmenting_takes_64_bytes_per_pixel(live_bytes, device, channels, dtype):
    images = batch(channels, dtype, device)
    assert peak(live_bytes, images) <= 64 + COLOR * (channels == 3)


@every_kind
@one_and_three
def test_augmenting_with_given_masks_takes_24_bytes_per_pixel(live_bytes, device, channels, dtype):
    images = batch(channels, dtype, device)
    assert peak(live_bytes, images, images[:, :1] > 0) <= 24 + COLOR * (channels == 3)


def test_live_tensors_are_counted(live_bytes):
    images = torch.zeros(1000)
    with live_bytes(images) as live:
        first = images + 1
        second = first.double()
        del first
        third = second[10:].relu_()  # a view
        assert live.peak == 12_000
        del second, third
        assert (images * 2).shape == (1000,)
    assert live.peak == 12_000
