import re
from collections import namedtuple

import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as tvf

from anatpaste_aug.mask_cache.loading import load_batches

Sample = namedtuple("Sample", ["picture", "label"])


def loaded(dataset, indices=(3, 1, 2), batch_size=2, workers=0):
    batches = list(load_batches(dataset, indices, batch_size=batch_size, workers=workers))
    return [index for some, _ in batches for index in some], torch.cat([images for _, images in batches])


@pytest.mark.parametrize(
    "wrap",
    [
        tv_tensors.Image,
        tvf.to_pil_image,
        lambda image: (image, 3),
        lambda image: [image, "name"],
        lambda image: Sample(image, 3),
        lambda image: {"name": 1, "image": image},
        lambda image: (tvf.to_pil_image(image), 3),
    ],
)
def test_a_dataset_gives_images_in_many_forms(images, wrap):
    indices, batch = loaded([wrap(image) for image in images])
    assert indices == [3, 1, 2]
    assert torch.equal(batch, images[indices])
    assert type(batch) is torch.Tensor


@pytest.mark.parametrize("workers", [0, 1])
def test_tensors_and_datasets_of_torch(images, workers):
    for dataset in (images, TensorDataset(images, torch.arange(40))):
        assert torch.equal(loaded(dataset, workers=workers)[1], images[[3, 1, 2]])


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        (lambda images: list(images[:, 0]), TypeError, "C×H×W tensor or a PIL image (L, RGB), or have one as first"),
        (lambda images: [{"picture": image} for image in images], TypeError, 'under "image", got NoneType'),
        (lambda images: list(images.numpy()), TypeError, "got ndarray"),
        (lambda images: [Image.new("RGBA", (35, 33))] * 40, TypeError, "got Image RGBA"),
        (lambda images: [images[0], *images.float()[1:3], images[3]], ValueError, "image 1 has torch.float32 of shape"),
        (lambda images: list(images.int()), TypeError, "images must be uint8 or floating point, got torch.int32"),
        (lambda images: list(images.expand(-1, 2, -1, -1)), ValueError, "images must have shape (B, 1, H, W)"),
    ],
)
def test_a_dataset_without_usable_images_is_an_error(images, change, error, named):
    with pytest.raises(error, match=re.escape(named)):
        loaded(change(images))
