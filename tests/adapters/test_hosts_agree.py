"""Every host gives the same pixels and masks for the same random numbers.

A host is one function and one row of `HOSTS`. It gets float32 B×C×H×W images in [0, 1] and a function that makes the
transform, right after ``torch.manual_seed``. A host with its own random numbers returns the parameters that it used,
and is compared with `augment` on those.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from helpers.batches import batch, called, recorded
from kornia.augmentation import AugmentationSequential
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from anatpaste_aug import (
    AnatPasteTransform,
    AnomalyMask,
    CutPasteTransform,
    FPITransform,
    LungSegmenter,
    NSATransform,
    PasteParams,
    PIITransform,
)
from anatpaste_aug.adapters.anomalib import AnomalibPaste
from anatpaste_aug.adapters.kornia import KorniaPaste
from anatpaste_aug.adapters.numpy import NumpyPaste
from anatpaste_aug.adapters.timm import TimmPasteErasing, TimmPasteMixup


class Outcome(NamedTuple):
    image: Tensor  # float B×C×H×W in [0, 1]
    mask: Tensor | None = None  # boolean B×1×H×W, if the host returns it
    params: PasteParams | None = None  # if the host draws them itself


def numbers(images):
    return {"mean": (0.4,) * images.shape[1], "std": (0.2,) * images.shape[1]}


def torchvision_sample(images, make):
    sample = {"mask": AnomalyMask(torch.zeros(len(images), 1, *images.shape[2:], dtype=torch.bool))}
    result = make()(sample | {"image": tv_tensors.Image(images)})
    return Outcome(result["image"].as_subclass(Tensor), result["mask"].as_subclass(Tensor))


def torchvision_normalized(images, make):
    pipeline = v2.Compose([v2.Normalize(**numbers(images)), make(**numbers(images))])
    return Outcome(pipeline(images) * 0.2 + 0.4)


def kornia_call(images, make):
    aug = KorniaPaste(make())
    return Outcome(aug(images), aug.result.anomaly_mask)


def kornia_sequence(images, make):
    pipeline = AugmentationSequential(KorniaPaste(make()), data_keys=["input", "mask"])
    return Outcome(*pipeline(images, torch.zeros_like(images[:, :1], dtype=torch.bool)))


def timm_erasing(images, make):
    erasing = TimmPasteErasing(make(**numbers(images)))
    return Outcome(erasing((images - 0.4) / 0.2) * 0.2 + 0.4)


def timm_mixup(images, make):
    mixup_fn = TimmPasteMixup(make(**numbers(images)))
    target = torch.zeros(len(images), dtype=torch.int64)
    return Outcome(mixup_fn((images - 0.4) / 0.2, target)[0] * 0.2 + 0.4)


def numpy_arrays(images, make):
    image, mask = NumpyPaste(make())(images.permute(0, 2, 3, 1).numpy())
    return Outcome(*(torch.from_numpy(np.moveaxis(array, -1, 1)) for array in (image, mask)))


def anomalib_generator(images, make):
    image, mask = AnomalibPaste(make(), writes="anomaly")(images)
    return Outcome(image, mask > 0)


def lightning_module(images, make):
    lightning = pytest.importorskip("lightning", reason=NEEDS_HOSTS)
    from anatpaste_aug.adapters.lightning import LightningPasteMixin

    class Module(LightningPasteMixin, lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.paste = make()

    return Outcome(*Module().augment_batch(images))


def one_by_one(images, call):
    """A host that takes one image per call."""
    with recorded() as results:
        answers = [call(image) for image in images]
    drawn = [result.params for result in results]
    image, mask = (torch.stack(parts) for parts in zip(*answers, strict=True))
    return Outcome(image, mask, PasteParams(*(torch.cat(rows) for rows in zip(*drawn, strict=True))))


def monai_dictionary(images, make):
    pytest.importorskip("monai", reason=NEEDS_HOSTS)
    from anatpaste_aug.adapters.monai import MonaiPasted

    paste = MonaiPasted("image", make()).set_random_state(seed=0)

    def call(image):
        sample = paste({"image": image})
        return torch.as_tensor(sample["image"]), torch.as_tensor(sample["anomaly_mask"])

    return one_by_one(images, call)


def albumentations_compose(images, make):
    A = pytest.importorskip("albumentations", reason=NEEDS_HOSTS)  # noqa: N806
    from anatpaste_aug.adapters.albumentations import AlbumentationsPaste

    pipeline = A.Compose([AlbumentationsPaste(make())], seed=0)

    def call(image):
        array = image.permute(1, 2, 0).numpy()
        result = pipeline(image=array, mask=np.zeros(array.shape[:2], np.uint8))
        return torch.from_numpy(result["image"]).permute(2, 0, 1), torch.from_numpy(result["mask"] > 0)[None]

    return one_by_one(images, call)


NEEDS_HOSTS = 'needs the host: pip install "anatpaste_aug[hosts]"'


class Host(NamedTuple):
    call: Callable[..., Outcome]
    atol: float = 0.0  # what the host's own arithmetic costs, such as a normalization or 8 bits


HOSTS = {
    "torchvision": Host(torchvision_sample),
    "torchvision, normalized": Host(torchvision_normalized, 1e-5),
    "kornia": Host(kornia_call),
    "kornia, sequence": Host(kornia_sequence),
    "timm, erasing": Host(timm_erasing, 1e-5),
    "timm, mixup": Host(timm_mixup, 1e-5),
    "numpy": Host(numpy_arrays),
    "anomalib": Host(anomalib_generator),
    "Lightning": Host(lightning_module),
    "MONAI": Host(monai_dictionary),
    "albumentations": Host(albumentations_compose),
}
every_host = pytest.mark.parametrize("name", HOSTS)


def check(name, images, recipe=AnatPasteTransform, donors=None, **settings):
    """Tolerance: the host's ``atol`` on images, and 1e-6 for another order of sums; none on masks."""

    def make(mean=None, std=None):
        others = donors if donors is None or mean is None else (donors - 0.4) / 0.2
        return recipe(**settings, donors=others, mean=mean, std=std)

    host = HOSTS[name]
    outcome = called(lambda: host.call(images, make))
    expected = called(lambda: make().augment(images, params=outcome.params))
    assert expected.anomaly_mask.any()
    torch.testing.assert_close(outcome.image, expected.image, rtol=0, atol=max(host.atol, 1e-6))
    if outcome.mask is not None:
        assert torch.equal(outcome.mask, expected.anomaly_mask)


@every_host
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(96, 80), (64, 64)])
def test_the_pixels_are_those_of_augment(name, size, channels):
    check(name, batch(4, channels, torch.float32, size))


@every_host
@pytest.mark.parametrize("recipe", [CutPasteTransform, FPITransform, PIITransform, NSATransform])
def test_every_recipe_works_in_every_host(name, recipe):
    """The foreground level of NSA is one that no pixel has, so that normalization does not change the foreground."""
    donors = None if recipe is CutPasteTransform else batch(5, 3, torch.float32, seed=1)
    check(name, batch(4, 3, torch.float32), recipe, donors, foreground=20.5)


@every_host
@pytest.mark.parametrize(
    "settings",
    [
        {"p": 0.5},
        {"segmentation": False},
        {"blur": False},
        {"skip_without_region": True},
        {"segmenter": LungSegmenter(min_size=1000)},
        {"area": (0.1, 0.1), "aspect_ratio": (1, 1), "jitter": 0.3, "margin": 2, "opacity": (1, 1), "sigma": (1, 2)},
        {"blend": "poisson", "patches": (1, 3), "beyond": "source"},
    ],
)
def test_every_setting_means_the_same(name, settings):
    images = batch(6, 1, torch.float32)
    images[0] = torch.linspace(0, 1, 80)  # a ramp, which has no lungs
    check(name, images, **settings)
