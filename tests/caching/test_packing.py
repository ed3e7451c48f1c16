import re

import numpy as np
import pytest
import torch
from guards import fake_device
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from anatpaste_aug.caching import pack_masks, unpack_masks
from anatpaste_aug.caching.packing import _pack, _unpack

random_masks = hnp.arrays(np.bool_, st.tuples(st.integers(0, 4), st.just(1), st.integers(0, 40), st.integers(0, 40)))


@given(random_masks)
def test_packed_masks_come_back(masks):
    packed = pack_masks(torch.from_numpy(masks))
    assert torch.equal(unpack_masks(packed, masks.shape[2:]), torch.from_numpy(masks))


@given(random_masks)
def test_the_bits_are_those_of_packbits_whatever_the_device(masks):
    flat = torch.from_numpy(masks).flatten(1)
    expected = torch.from_numpy(np.packbits(flat.numpy(), axis=1))
    assert torch.equal(pack_masks(torch.from_numpy(masks)), expected)
    assert torch.equal(_pack(flat), expected)
    assert torch.equal(_unpack(expected)[:, : flat.shape[1]], flat)


def test_masks_that_do_not_lie_in_a_row_are_packed_as_they_read():
    masks = torch.rand(4, 1, 20, 30, generator=torch.Generator().manual_seed(0)) < 0.5
    assert torch.equal(pack_masks(masks.mT), pack_masks(masks.mT.contiguous()))


def test_nothing_leaves_the_device():
    """On fake tensors, where a read by the host fails and so does an operation across devices."""
    with fake_device():
        masks = torch.zeros(4, 1, 33, 35, device="cuda") > 0
        packed = pack_masks(masks)
        back = unpack_masks(packed, (33, 35))
        assert packed.device.type == back.device.type == "cuda"
        assert (packed.shape, packed.dtype) == ((4, 145), torch.uint8)
        assert (back.shape, back.dtype) == (masks.shape, torch.bool)


@pytest.mark.cuda
def test_cuda_packs_as_the_cpu_does():
    masks = torch.rand(4, 1, 33, 35) < 0.5
    packed = pack_masks(masks.cuda())
    assert torch.equal(packed.cpu(), pack_masks(masks))
    assert torch.equal(unpack_masks(packed, (33, 35)).cpu(), masks)


@pytest.mark.parametrize(
    ("packed", "named"),
    [
        (torch.zeros(4, 144, dtype=torch.uint8), "uint8 of shape (B, 145), got torch.uint8 of shape (4, 144)"),
        (torch.zeros(145, dtype=torch.uint8), "got torch.uint8 of shape (145,)"),
        (torch.zeros(4, 145, dtype=torch.bool), "got torch.bool of shape (4, 145)"),
    ],
)
def test_bytes_of_another_size_are_an_error(packed, named):
    with pytest.raises(ValueError, match=re.escape(named)):
        unpack_masks(packed, (33, 35))
