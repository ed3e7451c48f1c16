"""Every public function on any device: no tensor elsewhere, no waiting, and no float64 where there is none."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.batches import batch
from helpers.guards import DeviceGuard, NamedDevices, fake_device, without_doubles
from torchvision import tv_tensors

import anatpaste_aug
from anatpaste_aug import functional, paste, segmentation, transforms
from anatpaste_aug.adapters.anomalib import AnomalibPaste, AnomalibPasteAugmentation
from anatpaste_aug.adapters.numpy import NumpyPaste
from anatpaste_aug.adapters.timm import TimmPasteErasing, TimmPasteMixup
from anatpaste_aug.paste import ANATPASTE, CUTPASTE, NSA, PasteParams, draw_uniforms, sample_params
from anatpaste_aug.paste.params import rotated_size

SIZE = (64, 64)
SCAR = replace(CUTPASTE, size="scar")
UNIT = {"mean": [0.0], "std": [1.0]}


class Inputs:
    """Images, masks and parameters, created before a guard is active."""

    def __init__(self, channels=1, dtype=torch.float32):
        self.images = batch(2, channels, dtype, SIZE)
        self.gray = self.images[:, 0]
        self.lungs = torch.zeros(2, 1, *SIZE, dtype=torch.bool)
        self.lungs[..., 20:50, 10:30] = True
        self.mask = self.lungs[:, 0]
        self.levels = functional.clahe(self.gray)
        self.params = sample_params(ANATPASTE, (2, 1, *SIZE), region_mask=self.lungs)
        self.cuts = sample_params(SCAR, (2, 1, *SIZE))
        self.box = torch.tensor([[0, 0, 20, 30], [40, 40, 64, 9]])
        self.factors = torch.ones(2)
        self.order = torch.arange(4).repeat(2, 1)
        self.sample = tv_tensors.Image(self.images)
        self.anomalies = transforms.AnomalyMask(torch.zeros(2, 1, *SIZE, dtype=torch.bool))
        self.net = torch.nn.Conv2d(1, 1, 3, padding=1)
        self.pairs = [transforms.OneClassPairs(transforms.CutPasteTransform())(self.images[0])] * 2


def jittered(x):
    return functional.color_jitter(x.images, x.factors, x.factors, x.factors, 0 * x.factors, x.order)


def one_class_samples(x):
    pairs = transforms.OneClassPairs(transforms.AnatPasteTransform(), transforms.CutPasteTransform())
    return [pairs(x.images[0]), pairs(x.images[0], x.lungs[0])]


def torchvision_sample(kind):
    return lambda x: [kind()(x.images), None if x.sample is None else kind()((x.sample, x.anomalies))]


def numbers(x):
    return {"mean": (0.0,), "std": (1.0,)} if x.images.is_floating_point() else {}


def kornia_sequence(x):
    from kornia.augmentation import AugmentationSequential

    from anatpaste_aug.adapters.kornia import KorniaPaste

    aug = KorniaPaste(transforms.AnatPasteTransform(p=0.5))
    aug(x.images, region_mask=x.lungs)
    return AugmentationSequential(aug, data_keys=["input", "mask"])(x.images, x.lungs)


def segmented(segmenter):
    return lambda x: segmenter(x)(x.images)


def dark(x):
    return segmentation.ThresholdSegmenter()


FUNCTIONS = {
    "clahe": lambda x: functional.clahe(x.gray),
    "clear_border": lambda x: functional.clear_border(x.mask),
    "close_disk": lambda x: functional.close_disk(x.mask, 2),
    "color_jitter": jittered,
    "dilate": lambda x: functional.dilate(x.mask),
    "dilate_disk": lambda x: functional.dilate_disk(x.mask, 2),
    "erode": lambda x: functional.erode(x.mask),
    "erode_disk": lambda x: functional.erode_disk(x.mask, 2),
    "fill_holes": lambda x: functional.fill_holes(x.mask),
    "foreground_mask": lambda x: functional.foreground_mask(x.images, 20),
    "intensity_target": lambda x: functional.intensity_target(x.images, x.images, x.lungs, slope=0.5, midpoint=4.0),
    "keep_largest": lambda x: functional.keep_largest(x.mask, 2),
    "label_components": lambda x: functional.label_components(x.mask),
    "open_disk": lambda x: functional.open_disk(x.mask, 2),
    "opening": lambda x: functional.opening(x.mask),
    "otsu_threshold": lambda x: functional.otsu_threshold(x.levels),
    "paste": lambda x: functional.paste(x.images, x.params, x.lungs),
    "paste, CutPaste": lambda x: functional.paste(x.images, x.cuts, hard=True),
    "patches_foreground": lambda x: functional.patches_foreground(x.params, x.lungs, x.lungs),
    "poisson_blend": lambda x: functional.poisson_blend(x.images, x.images.flip(2), x.box, guidance="mixed"),
    "remove_large_components": lambda x: functional.remove_large_components(x.mask, 9),
    "remove_small_components": lambda x: functional.remove_small_components(x.mask, 9),
    "segment_lung_field": lambda x: functional.segment_lung_field(x.images),
    "segment_lungs": lambda x: functional.segment_lungs(x.images),
    "soft_mask": lambda x: functional.soft_mask(x.params, *SIZE, x.lungs),
    "to_gray": lambda x: functional.to_gray(x.images),
}
SEGMENTERS = {
    "CTLungSegmenter": segmented(lambda x: segmentation.CTLungSegmenter(threshold=0.4)),
    "Difference": segmented(lambda x: segmentation.Difference(dark(x), segmentation.LungSegmenter())),
    "FixedMask": segmented(lambda x: segmentation.FixedMask(x.lungs[0])),
    "Intersection": segmented(lambda x: segmentation.Intersection(dark(x), segmentation.LungSegmenter())),
    "LungFieldSegmenter": segmented(lambda x: segmentation.LungFieldSegmenter()),
    "LungSegmenter": segmented(lambda x: segmentation.LungSegmenter()),
    "NetworkSegmenter": segmented(lambda x: segmentation.NetworkSegmenter(x.net, size=32, mean=[0.5], std=[0.5])),
    "PerSide": segmented(lambda x: segmentation.PerSide(dark(x))),
    "ThresholdSegmenter": segmented(lambda x: segmentation.ThresholdSegmenter(fill=True, keep=1)),
    "segment_with": lambda x: segmentation.segment_with(segmentation.LungSegmenter(), x.images),
    "Union": segmented(lambda x: segmentation.Union(dark(x), segmentation.LungSegmenter())),
}
TRANSFORMS = {
    "TimmPasteErasing": lambda x: TimmPasteErasing(transforms.AnatPasteTransform(0.5, **UNIT), num_splits=2)(x.images),
    "TimmPasteMixup": lambda x: TimmPasteMixup(transforms.AnatPasteTransform(0.5, **UNIT), pairs=True)(
        x.images, x.params.height[:, 0] * 0
    ),
    "AnatPasteTransform": torchvision_sample(transforms.AnatPasteTransform),
    "CutPasteTransform": torchvision_sample(lambda: transforms.CutPasteTransform(variant="union")),
    "FPITransform": lambda x: transforms.FPITransform().augment(x.images),
    "PIITransform": lambda x: transforms.PIITransform().augment(x.images),
    "NSATransform": lambda x: transforms.NSATransform().augment(x.images),
    "PasteTransform": lambda x: transforms.PasteTransform(blend="poisson", source="batch").augment(x.images, x.lungs),
    "KorniaPaste": kornia_sequence,
    "OneClassPairs": one_class_samples,
    "collate_one_class": lambda x: transforms.collate_one_class(x.pairs),
    "one_class_batch": lambda x: transforms.one_class_batch(x.images, transforms.CutPasteTransform()),
    "augment": lambda x: transforms.AnatPasteTransform(**numbers(x), skip_without_region=True).augment(x.images),
    "augment, no lungs": lambda x: transforms.AnatPasteTransform(segmentation=False).augment(x.images),
    "augment, CutPaste": lambda x: transforms.CutPasteTransform(variant="scar").augment(x.images),
    "AnomalibPaste": lambda x: AnomalibPaste(transforms.AnatPasteTransform(p=0.5))(x.images),
    "AnomalibPasteAugmentation": torchvision_sample(AnomalibPasteAugmentation),
    "NumpyPaste": lambda x: NumpyPaste(rng=0)(np.zeros((2, 64, 64, 1), np.float32)),
    "draw_uniforms": lambda x: draw_uniforms(NSA, 2),
    "sample_params": lambda x: sample_params(ANATPASTE, (2, 1, *SIZE), region_mask=x.lungs, device=x.lungs.device),
    "sample_params, CutPaste": lambda x: sample_params(SCAR, (2, 1, *SIZE)),
    "rotated_size": lambda x: rotated_size(x.cuts.height, x.cuts.width, x.cuts.angle),
}
CALLS = FUNCTIONS | SEGMENTERS | TRANSFORMS
NOT_CALLED = {  # settings, results and types
    *("ANATPASTE", "CUTPASTE", "FPI", "NSA", "PII", "PasteConfig", "PasteParams", "PasteResult", "Intensities"),
    *("Segmenter", "SegmenterModule", "AnomalyMask", "RegionMask", "OneClassBatch", "OneClassSample"),
    *("CachedSegmenter", "MaskCache"),  # in the test of the cache
    "warm_up",  # in tests/functional/test_jit.py
}


def test_every_public_name_is_called():
    public = {*functional.__all__, *segmentation.__all__, *transforms.__all__, *paste.__all__}
    public |= {*anatpaste_aug.__all__}
    assert public - NOT_CALLED - set(CALLS) == set()


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("name", CALLS)
def test_every_tensor_is_made_on_a_named_device(name):
    x = Inputs()
    with NamedDevices():
        CALLS[name](x)


def test_a_mask_cache_makes_every_tensor_on_a_named_device(tmp_path):
    images = batch(4, size=SIZE)
    index = torch.tensor([2, 0])
    with NamedDevices():
        cache = anatpaste_aug.MaskCache(tmp_path / "lungs.sqlite")
        cache.fill(images)
        assert cache[index].shape == (2, 1, *SIZE)
        anatpaste_aug.CachedSegmenter(cache)(images)
        anatpaste_aug.CachedSegmenter(cache)(255 - images)


@pytest.fixture
def elsewhere():
    """Another default device than that of the images."""
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)


@pytest.mark.parametrize("kind", ["augment", "augment, CutPaste", "AnatPasteTransform", "CutPasteTransform"])
@pytest.mark.usefixtures("kernels")
def test_results_do_not_depend_on_the_default_device(kind, request):
    x = Inputs(dtype=torch.uint8)
    torch.manual_seed(0)
    expected = torch.utils._pytree.tree_leaves(CALLS[kind](x))
    request.getfixturevalue("elsewhere")
    torch.manual_seed(0)
    found = torch.utils._pytree.tree_leaves(CALLS[kind](x))
    assert len(found) == len(expected)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True) if isinstance(a, torch.Tensor))


def test_monai_and_arrays_stay_where_they_are(elsewhere):
    pytest.importorskip("monai", reason='needs the host: pip install "anatpaste_aug[hosts]"')
    from anatpaste_aug.adapters.monai import MonaiPasted

    array = np.zeros((1, 64, 64), np.float32)
    for image in (array, torch.from_numpy(array)):
        for mask in ({}, {"anomaly_mask": np.zeros((1, 64, 64), bool)}):
            sample = MonaiPasted("image").set_random_state(0)({"image": image, **mask})
            assert type(sample["image"]) is type(image)
            assert all(torch.as_tensor(part, device="cpu").shape == (1, 64, 64) for part in sample.values())


# on an accelerator

ONLY_ON_THE_CPU = {"OneClassPairs", "NumpyPaste", "draw_uniforms", "sample_params, CutPaste", "KorniaPaste"}
FLOATING_ONLY = {
    "color_jitter",
    "TimmPasteErasing",
    "TimmPasteMixup",
    "CTLungSegmenter",
    "AnomalibPaste",
    "poisson_blend",
}


def elsewhere_from(x):
    """The same inputs on the fake device."""
    for name, value in list(vars(x).items()):
        if isinstance(value, torch.nn.Module):
            x.net = torch.nn.Conv2d(1, 1, 3, padding=1, device="cuda")
        elif type(value) is torch.Tensor:
            setattr(x, name, torch.empty(value.shape, dtype=value.dtype, device="cuda"))
        elif isinstance(value, PasteParams):
            rows = (torch.empty(field.shape, dtype=field.dtype, device="cuda") for field in value)
            setattr(x, name, type(value)(*rows))
    x.sample = x.anomalies = None  # tv_tensors can't be fake
    return x


@contextlib.contextmanager
def never_waiting():
    """Fake tensors on ``device="cuda"``, for which nothing may wait."""
    with fake_device(), DeviceGuard():
        yield


@pytest.mark.slow
@pytest.mark.parametrize("guard", [never_waiting, without_doubles])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("name", sorted(set(CALLS) - ONLY_ON_THE_CPU - {"collate_one_class"}))
def test_nothing_waits_for_a_device_and_nothing_needs_float64_where_it_has_none(name, dtype, guard):
    """Apple's MPS has no float64."""
    if dtype == torch.uint8 and name in FLOATING_ONLY:
        pytest.skip("takes floating point only")
    x = Inputs(dtype=dtype)
    with guard():
        CALLS[name](elsewhere_from(x))
