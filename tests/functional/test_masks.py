"""Uniting anomaly masks."""

import pytest
import torch

from anatpaste_aug.functional.masks import unite_masks


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_soft_masks_unite_as_independent_ones(dtype):
    """Tolerance: the dtype's own, against float64."""
    earlier, later = (torch.rand(1000, generator=torch.Generator().manual_seed(i)).to(dtype) for i in range(2))
    expected = 1 - (1 - earlier.double()) * (1 - later.double())
    torch.testing.assert_close(unite_masks(earlier, later), expected.to(dtype), rtol=0, atol=torch.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_union_with_nothing_changes_no_bit(dtype):
    mask, nothing = torch.rand(1000).to(dtype), torch.zeros(1000, dtype=dtype)
    assert torch.equal(unite_masks(mask, nothing), mask)
    assert torch.equal(unite_masks(nothing, mask), mask)


def test_a_union_stays_in_0_to_1_and_keeps_every_mark():
    values = torch.tensor([0.0, 1e-30, 0.1, 0.5, 1 - 2**-24, 1.0])
    united = unite_masks(values[:, None], values)
    assert united.min() == 0
    assert united.max() == 1
    assert torch.equal(united > 0, (values[:, None] > 0) | (values > 0))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64])
def test_integers_keep_what_they_hold(dtype):
    earlier = torch.tensor([0, 0, 7, 7], dtype=dtype)
    for later in (torch.tensor([False, True, False, True]), torch.tensor([0.0, 0.2, 0.0, 1.0])):
        united = unite_masks(earlier, later)
        assert united.dtype == dtype
        assert united.tolist() == [0, 1, 7, 7]
    assert earlier.tolist() == [0, 0, 7, 7]
