"""Baselines of the benchmarks: the published pipeline pixel for pixel, and kornia's parts."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from anatpaste_aug import LungSegmenter
from anatpaste_aug.datasets import phantom_batch
from anatpaste_aug.functional import paste
from anatpaste_aug.paste import PasteConfig, sample_params


@pytest.fixture
def per_image(benchmarks):
    return benchmarks("per_image")


def test_kornia_pipeline_pastes_as_the_package_does(benchmarks):
    parts = benchmarks("kornia_parts")
    images = phantom_batch(8, size=128, seed=3).images
    lungs = LungSegmenter()(images)
    torch.manual_seed(0)
    params = sample_params(PasteConfig(jitter=0.0), (8, 1, 128, 128), region_mask=lungs)
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
    for labeler in parts.LABELERS.values():
        theirs = parts.segment(images, labeler)
        assert theirs.dtype == torch.bool
        assert (ours & theirs).sum() / (ours | theirs).sum() > 0.7
    color, mask = parts.augment(images.expand(-1, 3, -1, -1), parts.connected_components_union_find)
    assert (color.shape, color.dtype) == ((4, 3, 128, 128), torch.uint8)
    changed = (color != images).any(1, keepdim=True)
    assert changed.any()
    assert not changed[mask == 0].any()


def test_baseline_segments_as_the_authors_do(per_image, radiographs, recordings):
    overlaps = []
    for name, image in list(zip(radiographs.names, radiographs.images[:, 0].numpy(), strict=True))[::10]:
        ours, theirs = per_image.segment(Image.fromarray(image)), recordings.masks[name]
        overlaps.append((ours & theirs).sum() / (ours | theirs).sum())
    assert min(overlaps) > 0.96  # their code removes whole bounding boxes of small regions
    assert np.mean(overlaps) > 0.99


def test_baseline_pastes_as_the_authors_do(per_image, radiographs, recordings):
    for record, theirs in zip(recordings.records, recordings.augmented, strict=True):
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
        image = Image.fromarray(radiographs.images[radiographs.names.index(record["name"]), 0].numpy())
        ours = per_image.paste(image, recordings.masks[record["name"]], draw, lambda crop: crop)
        np.testing.assert_array_equal(np.asarray(ours), theirs)


@pytest.fixture
def nsa_baseline(benchmarks):
    pytest.importorskip("cv2", reason="needs OpenCV: pip install opencv-python-headless")
    return benchmarks("per_image_nsa")


def test_baseline_of_nsa_clones_as_its_public_code_does(nsa_baseline):
    """Bit for bit, with the places that were drawn."""
    from paste.oracles import nsa

    images = phantom_batch(6, size=128, seed=1).images[:, 0].numpy()
    rng, pasted = np.random.default_rng(0), 0
    for image, donor in pairwise(images):
        recorded = []

        def kept(patch, recorded=recorded):
            centers = []
            recorded.append((patch.box, patch.factor, centers))
            return patch._replace(centers=lambda *size: (centers.append(one) or one for one in patch.centers(*size)))

        ours = nsa_baseline.foreground(image), nsa_baseline.foreground(donor)
        drawn = map(kept, nsa_baseline.draw(rng, ours[1]))
        result, target = nsa_baseline.paste(image, donor, *ours, drawn)
        expected, expected_target, places = nsa(image, donor, recorded)
        np.testing.assert_array_equal(result, expected)
        np.testing.assert_array_equal(target, expected_target)
        pasted += len(places) - places.count(None)
    assert pasted >= 5


def test_boxes_of_the_poisson_rows_are_those_of_anatpaste(nsa_baseline):
    boxes = nsa_baseline.boxes(200, 256, 256)
    share = boxes[:, 2] * boxes[:, 3] / 256**2
    assert 0.018 < share.min() < 0.04
    assert 0.13 < share.max() < 0.153
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= 256).all()


@pytest.mark.parametrize("guidance", ["source", "mixed"])
def test_both_sides_of_the_poisson_rows_give_the_same_images(benchmarks, nsa_baseline, guidance):
    """Tolerance: 1 gray level on 99.9 % of the pixels, 2 on all: OpenCV truncates."""
    images = phantom_batch(8, size=128, seed=2).images
    boxes = nsa_baseline.boxes(8, 128, 128)
    inner, weights = map(torch.from_numpy, nsa_baseline.cloned(boxes, 128, 128))
    ours = benchmarks("throughput_methods").clone(images, inner, weights, guidance)[:, 0].numpy()
    colored = [np.dstack([image] * 3) for image in images[:, 0].numpy()]
    theirs = [nsa_baseline.clone(colored[i], colored[(i + 1) % 8], boxes[i], guidance)[..., 0] for i in range(8)]
    difference = np.abs(ours.astype(int) - np.stack(theirs))
    assert (ours != images[:, 0].numpy()).mean() > 0.02
    assert (difference <= 1).mean() >= 0.999
    assert difference.max() <= 2
