"""Channels-last batches stay channels last, and everything else comes back contiguous."""

import pytest
import torch
from helpers.batches import batch, called
from helpers.guards import whole_graphs
from torchvision.transforms import v2

from anatpaste_aug import (
    AnatPasteTransform,
    CutPasteTransform,
    FPITransform,
    NSATransform,
    PIITransform,
    one_class_batch,
)
from anatpaste_aug.adapters.kornia import KorniaPaste
from anatpaste_aug.adapters.timm import TimmPasteErasing, TimmPasteMixup

last = torch.channels_last
plain = {"mean": (0.0,), "std": (1.0,)}
CALLS = {
    "augment": lambda x: AnatPasteTransform(p=0.5).augment(x).image,
    "CutPaste.augment": lambda x: CutPasteTransform(variant="union").augment(x).image,
    "FPI.augment": lambda x: FPITransform().augment(x).image,
    "PII.augment": lambda x: PIITransform().augment(x).image,
    "NSA.augment": lambda x: NSATransform().augment(x).image,
    "transform": lambda x: AnatPasteTransform()(x),
    "Compose": lambda x: v2.Compose([AnatPasteTransform(), CutPasteTransform()])(x),
    "one_class_batch": lambda x: one_class_batch(x, AnatPasteTransform(), CutPasteTransform()).images,
    "kornia": lambda x: KorniaPaste(AnatPasteTransform(p=0.5))(x),
    "timm, erasing": lambda x: TimmPasteErasing(AnatPasteTransform(**plain))(x),
    "timm, mixup": lambda x: TimmPasteMixup(AnatPasteTransform(**plain), pairs=True)(
        x, torch.zeros(len(x), dtype=torch.int64)
    )[0],
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_layout_comes_back(name, channels, kernels):
    images = batch(4, channels, torch.float32)
    expected = called(CALLS[name], images)
    found = called(CALLS[name], images.to(memory_format=last))
    assert expected.is_contiguous()
    assert found.is_contiguous(memory_format=last)
    torch.testing.assert_close(found, expected, rtol=0, atol=0 if kernels else 1e-6)


def test_uint8_and_other_strides():
    images = batch(4, 3)
    assert AnatPasteTransform().augment(images.to(memory_format=last)).image.is_contiguous(memory_format=last)
    assert AnatPasteTransform().augment(images.transpose(2, 3)).image.is_contiguous()


def test_an_image_with_its_channels_last():
    """As arrays H×W×C become tensors."""
    image = batch(1, 3)[0].permute(1, 2, 0).contiguous().permute(2, 0, 1)
    assert AnatPasteTransform()(image).stride() == image.stride()


@whole_graphs
@pytest.mark.parametrize("fullgraph_of", [AnatPasteTransform(segmentation=False), CutPasteTransform()])
def test_a_compiled_transform_keeps_the_layout(fullgraph_of):
    torch._dynamo.reset()
    function = torch.compile(lambda x: fullgraph_of.augment(x).image, fullgraph=True, backend="eager")
    found = function(batch(2, 3, torch.float32).to(memory_format=last))
    torch._dynamo.reset()
    assert found.is_contiguous(memory_format=last)
