"""The package as ``pip install .`` installs it, and without Numba.

Runs in an environment without extras, and with imports blocked by `test_package.py`.
"""

import inspect
import json
import pkgutil
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors

import anatpaste_aug
from anatpaste_aug import (
    AnatPasteTransform,
    AnomalyMask,
    CTLungSegmenter,
    CutPasteTransform,
    LungFieldSegmenter,
    LungSegmenter,
    MaskCache,
    OneClassPairs,
    ThresholdSegmenter,
    collate_one_class,
    one_class_batch,
)
from anatpaste_aug.adapters.kornia import KorniaPaste
from anatpaste_aug.adapters.numpy import NumpyPaste
from anatpaste_aug.adapters.timm import TimmPasteErasing, TimmPasteMixup
from anatpaste_aug.datasets import index_zhanglab, phantom_batch, read_gray
from anatpaste_aug.inspection import check, check_folder, preview

EXTRAS = ("numba", "timm", "sklearn", "pydicom", "scipy", "skimage", "matplotlib", "tensorboard", "monai")
NEED_EXTRAS = {
    "anatpaste_aug.cli.reproduce_checks": "pip install 'anatpaste_aug[examples]'",
    "anatpaste_aug.detection": "pip install 'anatpaste_aug[examples]'",
    "anatpaste_aug.adapters.albumentations": 'pip install "anatpaste_aug[albumentations]"',
    "anatpaste_aug.adapters.lightning": 'pip install "anatpaste_aug[lightning]"',
    "anatpaste_aug.adapters.monai": 'pip install "anatpaste_aug[monai]"',
}


if any(find_spec(name) for name in EXTRAS):
    pytest.skip("extras are installed", allow_module_level=True)

IMAGES = phantom_batch(4, size=64, seed=0).images


NAMES = [
    "test/NORMAL/IM-0003-0001.jpeg",
    "test/PNEUMONIA/person2_virus_2.jpeg",
    "train/NORMAL/IM-0001-0001.jpeg",
    "train/PNEUMONIA/person1_bacteria_1.jpeg",
]


@pytest.fixture
def folder(tmp_path):
    """A Zhanglab download with one image of each kind."""
    for name, image in zip(NAMES, IMAGES, strict=True):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.fromarray(image[0].numpy()).save(tmp_path / name, format="PNG")
    return tmp_path


def _public_modules():
    for found in pkgutil.walk_packages(anatpaste_aug.__path__, "anatpaste_aug.", onerror=lambda name: None):
        parts = found.name.split(".")
        private = any(part.startswith("_") or part == "cpu" for part in parts[1:])  # kernels are loaded with Numba only
        if not private and not any(found.name.startswith(name) for name in NEED_EXTRAS):
            yield found.name


PUBLIC_MODULES = list(_public_modules())


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_modules_can_be_imported(name):
    import_module(name)


@pytest.mark.parametrize(("name", "remedy"), NEED_EXTRAS.items())
def test_errors_name_the_missing_extra(name, remedy):
    with pytest.raises(ImportError) as caught:
        import_module(name)
    assert remedy in str(caught.value)


@pytest.mark.parametrize(
    "transform",
    [
        AnatPasteTransform(),
        AnatPasteTransform(segmentation=False, blur=False),
        AnatPasteTransform(segmenter=LungFieldSegmenter()),
        AnatPasteTransform(segmenter=ThresholdSegmenter()),
        AnatPasteTransform(segmenter=CTLungSegmenter(), value_range=(-1024, 3071)),
        CutPasteTransform(variant="union"),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_batches_are_augmented_inside_their_masks_only(transform, channels):
    images = IMAGES.expand(-1, channels, -1, -1)
    if getattr(transform, "value_range", None):
        images = images.float() * 16 - 1024
    result = transform.augment(images)
    assert result.image.shape == images.shape
    assert result.image.dtype == images.dtype
    changed = (result.image != images).any(1, keepdim=True)
    assert changed.any()
    assert not (changed & ~result.anomaly_mask).any()


def test_radiographs_agree_with_the_published_code(radiographs, recordings):
    """Tolerance: IoU >= 0.99 in the mean; that code zeroes whole bounding boxes and pixels of value 0."""
    found = LungSegmenter()(radiographs.images[:10])[:, 0].numpy()
    golden = np.stack([recordings.masks[name] for name in radiographs.names[:10]])
    overlap, either = (found & golden).sum((1, 2)), (found | golden).sum((1, 2))
    assert (overlap / either).mean() >= 0.99


def test_samples_keep_their_structure():
    mask = AnomalyMask(torch.zeros(64, 64, dtype=torch.bool))
    for image in (Image.fromarray(IMAGES[0, 0].numpy()), tv_tensors.Image(IMAGES[0])):
        sample = AnatPasteTransform()({"image": image, "target": mask, "label": 3})
        assert type(sample["image"]) is type(image)
        assert sample["target"].any()
        assert sample["label"] == 3


def test_adapters_that_bring_no_host():
    floats = IMAGES / 255
    assert KorniaPaste()(floats).shape == floats.shape
    array, mask = NumpyPaste(rng=0)(IMAGES[0, 0].numpy())
    assert array.shape == mask.shape == (64, 64)
    transform = AnatPasteTransform(mean=[0.5], std=[0.5])
    normalized = (floats - 0.5) / 0.5
    assert TimmPasteErasing(transform)(normalized).shape == floats.shape
    images, labels = TimmPasteMixup(transform, pairs=True)(normalized, torch.zeros(4, dtype=torch.int64))
    assert len(images) == len(labels) == 8


def test_one_class_training():
    batch = one_class_batch(IMAGES, AnatPasteTransform())
    assert batch.labels.tolist() == [0] * 4 + [1] * 4
    pairs = OneClassPairs(AnatPasteTransform())
    assert len(collate_one_class([pairs(image) for image in IMAGES]).images) == 8


def test_a_gradient_flows_to_the_images():
    images = (IMAGES / 255).requires_grad_()
    AnatPasteTransform().augment(images).image.sum().backward()
    assert images.grad.abs().sum() > 0


def test_masks_are_cached(tmp_path):
    cache = MaskCache(tmp_path / "lungs.sqlite")
    cache.fill(IMAGES, progress=False)
    assert torch.equal(cache[[0, 1, 2, 3]], LungSegmenter()(IMAGES))


def test_image_files_are_read_and_dicom_names_its_extra(folder):
    assert sorted(record.label for record in index_zhanglab(folder)) == [0, 0, 1, 1]
    assert np.array_equal(read_gray(folder / NAMES[1]), IMAGES[1, 0].numpy())
    (folder / "chest.dcm").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(ImportError, match=r"pydicom.*pip install"):
        read_gray(folder / "chest.dcm")


def test_images_are_checked_and_drawing_names_its_extra(folder):
    assert len(check(IMAGES).images) == 4
    assert len(check_folder(folder, progress=False).images) == 4
    with pytest.raises(ImportError, match=r"matplotlib.*pip install"):
        preview(folder / NAMES[0])


def test_the_command_line(folder):
    command = [sys.executable, "-m", "anatpaste_aug", "check", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout)["images"]) == 4


def test_members_of_the_package_can_be_listed():
    names = {name for name, _ in inspect.getmembers(anatpaste_aug)}
    assert {"AnatPasteTransform", "datasets"} <= names
