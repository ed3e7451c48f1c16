import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from anatpaste_aug import AnomalyMask, RegionMask

KINDS = pytest.mark.parametrize("kind", [RegionMask, AnomalyMask])


@KINDS
def test_is_a_mask_of_its_own_type(kind):
    mask = kind(torch.zeros(8, 8, dtype=torch.bool))
    assert isinstance(mask, tv_tensors.Mask)
    assert type(tv_tensors.wrap(mask[:4], like=mask)) is kind
    assert not isinstance(mask, RegionMask if kind is AnomalyMask else AnomalyMask)


@KINDS
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float32])
def test_geometric_transforms_move_it_with_the_image_and_keep_its_type(kind, dtype):
    content = torch.zeros(1, 40, 40, dtype=dtype)
    content[:, 3:9, 5:20] = 1
    geometry = v2.Compose([v2.RandomHorizontalFlip(1.0), v2.Pad(4), v2.CenterCrop(44), v2.Resize((22, 22))])
    image, mask = geometry(tv_tensors.Image(content.float()), kind(content))
    assert type(mask) is kind
    assert mask.dtype == dtype
    assert mask.shape == image.shape == (1, 22, 22)
    assert mask.float().mean() == pytest.approx(float(image.mean()), abs=0.02)
