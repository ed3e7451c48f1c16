"""The segmenters on fake accelerator tensors, where nothing may wait for the device; on CUDA, if there is a device."""

import pytest
import torch
from helpers.guards import DeviceGuard, all_on_device, fake_device, on_device
from helpers.oracles import iou, smooth_images
from torch import nn
from torch._dynamo.testing import CompileCounter
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

from anatpaste_aug import AnatPasteTransform
from anatpaste_aug.functional import (
    close_disk,
    fill_holes,
    keep_largest,
)
from anatpaste_aug.segmentation import (
    CTLungSegmenter,
    Difference,
    FixedMask,
    Intersection,
    LungFieldSegmenter,
    LungSegmenter,
    NetworkSegmenter,
    PerSide,
    ThresholdSegmenter,
    Union,
)

EVERYTHING = {
    "opening": 2,
    "closing": 2,
    "fill": True,
    "clear_border": True,
    "min_size": 5,
    "max_size": 9000,
    "keep": 2,
}


def network():
    model = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3)
    imagenet = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    return NetworkSegmenter(model, classes=(1, 2), activation="softmax", channels=3, size=64, **imagenet)


SEGMENTERS = {
    "lungs": LungSegmenter,
    "lung field": LungFieldSegmenter,
    "otsu": ThresholdSegmenter,
    "threshold": lambda: ThresholdSegmenter(0.4, polarity="bright", **EVERYTHING),
    "ct": lambda: CTLungSegmenter(keep=2),
    "ct window": lambda: CTLungSegmenter.from_window(-600, 1500),
    "fixed": lambda: FixedMask(torch.ones(50, 60, dtype=torch.bool), resize=True),
    "network": network,
    "convolution": lambda: NetworkSegmenter(nn.Conv2d(1, 1, 3, padding=1)),
    "union": lambda: Union(ThresholdSegmenter(0.2), ThresholdSegmenter(0.3)),
    "intersection": lambda: Intersection(ThresholdSegmenter(0.2), ThresholdSegmenter(0.3)),
    "difference": lambda: Difference(ThresholdSegmenter(0.3), ThresholdSegmenter(0.2)),
    "per side": lambda: PerSide(ThresholdSegmenter(0.3)),
}
every_segmenter = pytest.mark.parametrize("make", SEGMENTERS.values(), ids=SEGMENTERS)


@every_segmenter
def test_nothing_waits_for_the_device(make):
    with fake_device():
        with torch.device("cuda"):
            segmenter = make()
        with DeviceGuard():
            result = AnatPasteTransform(segmenter=segmenter).augment(on_device(3))
    assert all_on_device(list(result))
    assert result.region_mask.shape == (4, 1, 96, 80)
    assert result.region_mask.dtype == torch.bool


@pytest.mark.usefixtures("guarded")
def test_a_fixed_mask_on_another_device_is_an_error():
    with pytest.raises(ValueError, match="the fixed mask is on cpu and the images on cuda"):
        FixedMask(torch.ones(96, 80, dtype=torch.bool))(on_device())


@pytest.mark.parametrize("function", [fill_holes, keep_largest, lambda mask: close_disk(mask, 3)])
def test_compiled_functions_give_the_same_masks(function):
    """One graph, with the rounds of an accelerator. Tolerance: none."""
    masks = torch.rand(2, 20, 16, generator=torch.Generator().manual_seed(0)) < 0.6
    torch._dynamo.reset()
    result = torch.compile(function, fullgraph=True, backend=CompileCounter())(masks)
    torch._dynamo.reset()
    assert torch.equal(result, function(masks))


@pytest.mark.cuda
@every_segmenter
def test_masks_on_cuda_are_those_of_the_cpu(make):
    """Tolerance: IoU 0.999, for rounding."""
    images = smooth_images(4, 128, 128) / 255
    segmenter = make()
    expected = segmenter(images)
    mask, converged = segmenter.cuda().segment(images.cuda())
    assert converged.all()
    assert iou(mask.cpu(), expected).min() >= 0.999
