"""CutPaste and one-class batches on an accelerator, shown without one; and on a CUDA device, where there is one."""

import pytest
import torch
from anatpaste_aug.cutpaste_params import CutPasteConfig, CutPasteParams, sample_cutpaste_params
from anatpaste_aug.transforms.cutpaste import CutPasteTransform
from guards import all_on_device
from oracles import smooth_images
from torch._dynamo.testing import CompileCounter

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.functional import cutpaste, cutpaste_mask
from anatpaste_aug.transforms.pairs import one_class_batch

VARIANTS = ("normal", "scar", "union")


def on_device(channels=1, dtype=torch.float32):
    return torch.zeros(4, channels, 96, 80, dtype=dtype, device="cuda")


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("variant", VARIANTS)
def test_sampling_and_masks(variant):
    params = sample_cutpaste_params(CutPasteConfig(variant=variant), 4, 96, 80, device="cuda")
    assert all_on_device([*params, cutpaste_mask(params, 96, 80)])


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("channels", "dtype"), [(1, torch.uint8), (3, torch.uint8), (1, torch.float32), (3, torch.bfloat16)]
)
def test_augment_and_the_transform_of_plain_tensors(channels, dtype, variant):
    transform, images = CutPasteTransform(p=0.5, variant=variant), on_device(channels, dtype)
    result = transform.augment(images)
    assert all_on_device(result)
    assert result.image.dtype == dtype
    assert all_on_device(transform.augment(images, params=result.params))
    pasted, label = transform((images, "label"))
    assert all_on_device(pasted)
    assert label == "label"


@pytest.mark.usefixtures("guarded")
def test_augment_of_normalised_images():
    assert all_on_device(CutPasteTransform(mean=[0.5] * 3, std=[0.5] * 3).augment(on_device(3)))


@pytest.mark.usefixtures("guarded")
def test_a_one_class_batch():
    batch = one_class_batch(on_device(), AnatPasteTransform(), CutPasteTransform(), lung_mask=on_device() > 0)
    assert all_on_device(batch)
    assert batch.images.shape == (12, 1, 96, 80)
    assert batch.masks.shape == (12, 1, 96, 80)
    assert batch.labels.shape == (12,)


@pytest.mark.parametrize("channels", [1, 3])
def test_compiled_pasting_is_one_graph_with_the_same_pixels(channels):
    """Tolerance: 1e-5."""
    images = smooth_images(6, 64, 64, channels) / 255
    params = sample_cutpaste_params(CutPasteConfig(variant="union"), 6, 64, 64)
    torch._dynamo.reset()
    counter = CompileCounter()
    image, mask = torch.compile(cutpaste, fullgraph=True, backend=counter)(images, params)
    expected, expected_mask = cutpaste(images, params)
    torch._dynamo.reset()
    assert counter.frame_count == 1
    torch.testing.assert_close(image, expected, rtol=0, atol=1e-5)
    assert torch.equal(mask, expected_mask)


needs_cuda = pytest.mark.cuda


@needs_cuda
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_on_cuda_are_those_of_the_cpu(channels, dtype):
    """Tolerance: 1e-5, and 1 level for uint8; none for the mask."""
    images = smooth_images(64, 128, 128, channels)
    images = images if dtype == torch.uint8 else images / 255
    expected = CutPasteTransform(variant="union").augment(images)
    params = CutPasteParams(*(field.cuda() for field in expected.params))
    result = CutPasteTransform(variant="union").augment(images.cuda(), params=params)
    atol = 1 if dtype == torch.uint8 else 1e-5
    torch.testing.assert_close(result.image.cpu().double(), expected.image.double(), rtol=0, atol=atol)
    assert torch.equal(result.anomaly_mask.cpu(), expected.anomaly_mask)


@needs_cuda
@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_waits_on_cuda(variant):
    images, transform = smooth_images(4, 128, 128).cuda(), CutPasteTransform(p=0.5, variant=variant)
    one_class_batch(images, transform)  # what a first call sets up may wait
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        result = transform.augment(images)
        transform.augment(images, params=result.params)
        one_class_batch(images, transform, CutPasteTransform(), generator=None)
    finally:
        torch.cuda.set_sync_debug_mode("default")
