"""`AnatPasteTransform` in torchvision's pipelines and in loader workers."""

import pickle

import pytest
import torch
from helpers.batches import batch, called
from torch.utils.data import DataLoader, default_collate
from torchvision import transforms as v1
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tvf

from anatpaste_aug import AnatPasteTransform, AnomalyMask, RegionMask


def test_before_and_after_conversion_the_same_happens():
    """Tolerance: 0.51 grey levels, for the rounding of uint8; 1e-5 between float and normalised images."""
    convert, normalize = v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.4], [0.2])
    images = tv_tensors.Image(batch())
    first = called(v2.Compose([AnatPasteTransform(), convert, normalize]), images)
    middle = called(v2.Compose([convert, AnatPasteTransform(), normalize]), images)
    last = called(v2.Compose([convert, normalize, AnatPasteTransform(mean=[0.4], std=[0.2])]), images)
    torch.testing.assert_close(first, middle, rtol=0, atol=0.51 / 255 / 0.2)
    torch.testing.assert_close(middle, last, rtol=0, atol=1e-5)


def two_epochs(workers, context, **settings):
    """The same image 24 times, augmented by workers: equal results would be equal random numbers.

    The transform has run in this process before, as in a notebook that shows one sample first: a forked worker must
    not wait for threads that did not come along.
    """
    pictures = batch(1)[0].expand(12, -1, -1, -1)
    AnatPasteTransform()(pictures)
    torch.manual_seed(0)
    collate = v2.Compose([default_collate, AnatPasteTransform()])
    settings |= {"num_workers": workers, "collate_fn": collate, "multiprocessing_context": context}
    loader = DataLoader(pictures, 2, timeout=100, **settings)
    return torch.cat([images for _ in range(2) for images in loader])


def test_loader_workers_and_epochs_differ_and_a_seed_repeats_them():
    first = two_epochs(2, "fork")
    assert len({tuple(image.flatten().tolist()) for image in first}) == 24
    assert torch.equal(two_epochs(2, "fork"), first)


@pytest.mark.slow
def test_spawned_workers_do_what_forked_ones_do():
    spawned, forked = (two_epochs(2, context, persistent_workers=True) for context in ("spawn", "fork"))
    assert len({tuple(image.flatten().tolist()) for image in spawned}) == 24
    assert torch.equal(spawned, forked)


@pytest.mark.parametrize("compose", [v2.Compose, v1.Compose])
def test_a_pipeline_is_pickled_before_and_after_a_call(compose):
    pipeline, picture = compose([AnatPasteTransform(), v2.PILToTensor()]), tvf.to_pil_image(batch()[0])
    before = pickle.loads(pickle.dumps(pipeline))
    expected = called(pipeline, picture)
    for twin in (before, pickle.loads(pickle.dumps(pipeline))):
        assert torch.equal(called(twin, picture), expected)


def test_a_region_mask_is_flipped_with_its_image_and_then_read():
    left = (torch.arange(80) < 40).expand(96, 80)
    pipeline = v2.Compose([v2.RandomHorizontalFlip(1.0), AnatPasteTransform()])
    image, mask = tv_tensors.Image(batch()[0]), AnomalyMask(torch.zeros(96, 80))
    sample = {"image": image, "region": RegionMask(left), "mask": mask}
    result = called(pipeline, sample)
    assert result["mask"].any()
    assert not result["mask"][:, :40].any()
