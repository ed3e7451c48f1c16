import numpy as np
import pytest
import torch
from oracles import smooth_images
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as tvf

from anatpaste_aug import AnomalyMask, LungMask
from anatpaste_aug.transforms.leaves import as_batch, image_like, images_of_sample, mask_batch, mask_like


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_pil_image_is_a_batch_of_one_and_comes_back(mode):
    picture = tvf.to_pil_image(smooth_images(1, 40, 50, len(mode))[0])
    batch = as_batch(picture)
    assert batch.shape == (1, len(mode), 40, 50)
    back = image_like(batch, picture)
    assert back.mode == mode
    assert np.array_equal(np.asarray(back), np.asarray(picture))


@pytest.mark.parametrize("wrap", [torch.Tensor.clone, tv_tensors.Image])
@pytest.mark.parametrize("leading", [(), (4,), (2, 2), (0,)])
def test_a_tensor_with_any_leading_dimensions_is_a_batch_and_comes_back(wrap, leading):
    image = wrap(torch.rand(*leading, 3, 40, 50))
    batch = as_batch(image)
    assert type(batch) is torch.Tensor
    assert batch.shape == (int(np.prod(leading)), 3, 40, 50)
    back = image_like(batch, image)
    assert type(back) is type(image)
    assert torch.equal(back, image)


def test_the_images_of_a_sample_are_found_among_its_masks():
    image, mask = torch.rand(1, 40, 50), torch.zeros(40, 50, dtype=torch.bool)
    found = images_of_sample([AnomalyMask(mask), image, LungMask(mask), Image.new("L", (50, 40))], "It")
    assert [batch.shape for batch in found] == [(1, 1, 40, 50)] * 2


def test_a_sample_without_an_image_names_who_asked():
    with pytest.raises(TypeError, match="It found no image in the sample"):
        images_of_sample([AnomalyMask(torch.zeros(40, 50))], "It")


def test_images_and_masks_must_fit():
    with pytest.raises(ValueError, match=r"must be of one size, got \(B, H, W\) = \[\(1, 40, 50\), \(2, 40, 50\)\]"):
        images_of_sample([torch.rand(1, 40, 50), torch.rand(2, 1, 40, 50)], "It")
    with pytest.raises(ValueError, match=r"AnomalyMask has shape \(50, 40\), which does not fit"):
        images_of_sample([torch.rand(1, 40, 50), AnomalyMask(torch.zeros(50, 40))], "It")
    with pytest.raises(ValueError, match=r"LungMask has shape \(3, 40, 50\), which does not fit"):
        mask_batch(torch.zeros(3, 40, 50), "LungMask", (2, 40, 50))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float32])
@pytest.mark.parametrize("shape", [(2, 40, 50), (2, 1, 40, 50), (1, 2, 40, 50)])
def test_a_mask_is_written_in_the_dtype_and_shape_of_its_leaf(dtype, shape):
    soft = torch.rand(2, 1, 40, 50) * (torch.rand(2, 1, 40, 50) < 0.5)
    written = mask_like(soft, AnomalyMask(torch.ones(shape).to(dtype)))
    assert type(written) is AnomalyMask
    assert written.dtype == dtype
    expected = soft if dtype == torch.float32 else soft > 0
    assert torch.equal(written, expected.reshape(shape).to(dtype))
