"""What the benchmarks compare with: the published pipeline pixel for pixel, and kornia's parts."""

import importlib
import json

import numpy as np
import pytest
import torch
from PIL import Image
from test_benchmarks import GOLDEN, IMAGES, ROOT, needs_data

from anatpaste_aug import AnatPasteConfig, LungSegmenter, sample_params
from anatpaste_aug.datasets import phantom_batch
from anatpaste_aug.functional import paste


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


@pytest.fixture
def per_image(benchmarks):
    return benchmarks("per_image")


def test_kornia_pipeline_pastes_as_the_package_does(benchmarks):
    parts = benchmarks("kornia_parts")
    images = phantom_batch(8, size=128, seed=3).images
    lungs = LungSegmenter()(images)
    torch.manual_seed(0)
    params = sample_params(AnatPasteConfig(jitter=0.0), 8, 128, 128, lung_mask=lungs)
    ours, our_mask = paste(images, params, lungs)
    theirs, mask = parts.paste(images, params, lungs)
    # Another raster of the ellipse, and a Gaussian cut off at 3 sigma instead of 4.
    assert (our_mask - mask).abs().mean() < 0.002
    same = (our_mask - mask).abs() < 0.01
    assert same.float().mean() > 0.98
    assert (ours.int() - theirs.int()).abs()[same].max() <= 3


def test_kornia_pipeline_finds_similar_lungs(benchmarks):
    parts = benchmarks("kornia_parts")
    images = phantom_batch(4, size=128, seed=0).images
    ours = LungSegmenter()(images)
    for labeller in parts.LABELLERS.values():
        theirs = parts.segment(images, labeller)
        assert theirs.dtype == torch.bool
        assert (ours & theirs).sum() / (ours | theirs).sum() > 0.7
    colour, mask = parts.augment(images.expand(-1, 3, -1, -1), parts.connected_components_union_find)
    assert (colour.shape, colour.dtype) == ((4, 3, 128, 128), torch.uint8)
    changed = (colour != images).any(1, keepdim=True)
    assert changed.any()
    assert not changed[mask == 0].any()


@needs_data
def test_baseline_segments_as_the_authors_do(per_image):
    recorded = np.load(GOLDEN / "segmentation.npz")
    masks = np.unpackbits(recorded["masks"], axis=1).reshape(-1, 256, 256).astype(bool)
    overlaps = []
    for name, theirs in list(zip(recorded["names"], masks, strict=True))[::10]:
        ours = per_image.segment(Image.open(IMAGES / f"{name}.png").convert("L"))
        overlaps.append((ours & theirs).sum() / (ours | theirs).sum())
    assert min(overlaps) > 0.96  # their code removes whole bounding boxes of small regions
    assert np.mean(overlaps) > 0.99


@needs_data
def test_baseline_pastes_as_the_authors_do(per_image):
    recorded = np.load(GOLDEN / "segmentation.npz")
    masks = np.unpackbits(recorded["masks"], axis=1).reshape(-1, 256, 256).astype(bool)
    masks = dict(zip(recorded["names"].tolist(), masks, strict=True))
    augmented = np.load(GOLDEN / "paste.npz")["augmented"]
    for record, theirs in zip(json.loads((GOLDEN / "paste.json").read_text()), augmented, strict=True):
        draw = per_image.Draw(
            height=record["cut_height"],
            width=record["cut_width"],
            source_top=record["source_top"],
            source_left=record["source_left"],
            center_y=record["center_y"],
            center_x=record["center_x"],
            ellipse=record["shape"] == "ellipse",
            margin=record["margin"],
            value=record["mask_value"],
            sigma=record["blur_radius"],
        )
        image = Image.open(IMAGES / f"{record['name']}.png").convert("L")
        ours = per_image.paste(image, masks[record["name"]], draw, lambda crop: crop)
        np.testing.assert_array_equal(np.asarray(ours), theirs)
