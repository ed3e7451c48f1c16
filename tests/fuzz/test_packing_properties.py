"""Packed masks of any size and order of memory."""

import torch
from hypothesis import given
from invariants import untouched
from strategies import masks

from anatpaste_aug.caching import pack_masks, unpack_masks
from anatpaste_aug.caching.packing import _pack, _unpack


@given(masks)
def test_masks_of_any_size_come_back(recipe):
    mask = recipe.masks().unsqueeze(1)
    with untouched(mask):
        packed = pack_masks(mask)
    pixels = recipe.size[0] * recipe.size[1]
    assert (packed.dtype, packed.shape) == (torch.uint8, (len(mask), (pixels + 7) // 8))
    assert torch.equal(_pack(mask.flatten(1)), packed)
    with untouched(packed):
        back = unpack_masks(packed, recipe.size)
    assert (back.dtype, back.shape) == (torch.bool, mask.shape)
    assert torch.equal(back, mask)
    assert torch.equal(_unpack(packed)[:, :pixels], mask.flatten(1))
