import math

import numpy as np
import pytest
import torch
from helpers.oracles import SQUARE, iou, lungs, resized
from scipy import ndimage
from skimage.morphology import closing, opening

from anatpaste_aug import LungSegmenter
from anatpaste_aug.datasets import phantom_batch
from anatpaste_aug.functional import segment_lung_field, segment_lungs
from anatpaste_aug.functional.lungs import lung_field
from anatpaste_aug.segmentation import LungFieldSegmenter

NORMALS = range(-15, 180, 15)


@pytest.fixture(scope="module")
def phantoms():
    return phantom_batch(4, size=256)


# against the same steps one image at a time, with SciPy and scikit-image


def disc(radius):
    y, x = np.ogrid[-int(radius) : int(radius) + 1, -int(radius) : int(radius) + 1]
    return x**2 + y**2 <= radius**2


def spine_of(image, scale):
    height, width = image.shape
    profile = image[int(0.08 * height) : int(0.86 * height)].astype(float).mean(0)
    response = []
    for column in range(int(0.35 * width), int(0.65 * width) + 1):
        distance = (np.arange(width) - column) ** 2
        narrow, wide = (np.exp(-distance / (2 * (sigma * scale) ** 2)) for sigma in (10, 30))
        response.append((profile * (narrow / narrow.sum() - wide / wide.sum())).sum())
    return int(0.35 * width) + int(np.argmax(response))


def field_of_half(lung, other):
    """One half as boolean H×U, its first column at the spine."""
    height, reach = lung.shape
    y, u = np.indices(lung.shape)
    inside = np.ones(lung.shape, dtype=bool)
    for angle in np.deg2rad(NORMALS):
        along = u * math.cos(angle) - y * math.sin(angle)
        inside &= along <= along[lung].max(initial=-1e6) + 1e-3
    lowest = [max((row for row in range(height) if lung[row, c]), default=-1e6) for c in range(reach)]
    others = [max((row for row in range(height) if other[row, c]), default=-1e6) for c in range(reach)]
    lowest = np.maximum(lowest, np.array(others) - 0.1 * height)
    diaphragm = [max(lowest[c:] - np.arange(reach - c)) for c in range(reach)]
    lateral = max(u[lung].max(initial=-1), u[other].max(initial=-1))
    return lung | (inside & (y <= diaphragm) & (u >= 0.16 * lateral))


def field_of(image, dark=None):
    """``dark`` in place of what Algorithm 1 finds."""
    height, width = image.shape
    scale = math.sqrt(height * width) / 256
    dark = closing(lungs(image, 100) if dark is None else dark, disc(4 * scale))
    spine, reach = spine_of(image, scale), math.ceil(0.65 * width) + 1
    padded = np.pad(dark, ((0, 0), (reach, reach)))
    found = []
    for half in (padded[:, spine + 1 : spine + reach + 1][:, ::-1], padded[:, spine + reach : spine + 2 * reach]):
        half = half.copy()
        half[:, : math.ceil(5 * scale)] = False
        labels, count = ndimage.label(opening(half, disc(5 * scale)), structure=SQUARE)
        found.append(labels == 1 + np.argmax(np.bincount(labels.ravel())[1:]) if count else labels > 0)
    left, right = field_of_half(*found), field_of_half(*found[::-1])
    left, right = (
        left | right if left.sum() < 0.6 * right.sum() else left,
        right | left if right.sum() < 0.6 * left.sum() else right,
    )
    canvas = np.zeros_like(padded)
    canvas[:, spine + 1 : spine + reach + 1] |= left[:, ::-1]
    canvas[:, spine + reach + 1 : spine + 2 * reach] |= right[:, 1:]
    return canvas[:, reach : reach + width]


def assert_as_by_the_steps(images):
    """IoU of at least 0.999, for lines through pixels that rounding puts on one side or the other."""
    expected = torch.from_numpy(np.stack([field_of(image) for image in images[:, 0].numpy()]))
    assert expected.flatten(1).any(1).all()
    assert iou(segment_lung_field(images)[:, 0], expected).min() >= 0.999


def test_phantoms_are_segmented_as_by_the_steps_one_by_one(phantoms):
    assert_as_by_the_steps(phantoms.images)


def test_radiographs_are_segmented_as_by_the_steps_one_by_one(radiographs):
    assert_as_by_the_steps(radiographs.images[::25])
    assert_as_by_the_steps(resized(radiographs.images[:4], 160, 203))


def test_lungs_of_any_shape_and_place(monkeypatch):
    """Tolerance: no pixel. Flat tops, gaps in them, lungs across the spine and at the edges, halves without any."""
    size, draw = 96, np.random.default_rng(0)
    images = phantom_batch(40, size=size).images
    dark = np.zeros((40, size, size), dtype=bool)
    for mask in dark:
        for _ in range(draw.integers(1, 5)):
            top, left, high, wide = (int(n) for n in draw.integers((0, 0, 5, 5), (size - 5, size - 5, 60, 40)))
            mask[top : top + high, left : left + wide] = True
        for _ in range(draw.integers(0, 3)):  # on a diagonal, so that a supporting line runs between them
            y, x, step = (int(n) for n in draw.integers((10, 10, 6), (60, 60, 20)))
            mask[y : y + 5, x : x + 5] = mask[y + step : y + step + 5, x - step : x - step + 5] = True
    converged = torch.ones(40, dtype=torch.bool)
    monkeypatch.setattr(lung_field, "segment_lungs", lambda *_, **__: (torch.from_numpy(dark).unsqueeze(1), converged))
    field = segment_lung_field(images)[:, 0]
    for i, image in enumerate(images[:, 0].numpy()):
        assert torch.equal(field[i], torch.from_numpy(field_of(image, dark[i])))


# what it is good for


@pytest.mark.slow
def test_the_figures_in_the_docstring(radiographs):
    """Tolerance: half of the last digit, and the half of a thousandth that another rounding may cost."""

    def means(mask, rows):
        mask, human = mask[rows].flatten(1), radiographs.human[rows].flatten(1)
        common = (mask & human).sum(1)
        return [
            (common / mask.sum(1).clamp_min(1)).mean().item(),
            (common / human.sum(1)).mean().item(),
            (2 * common / (mask.sum(1) + human.sum(1))).mean().item(),
        ]

    others, everyone = slice(1, None, 2), slice(None)
    algorithm, field = (
        torch.cat([segmenter(part) for part in radiographs.images.split(30)])
        for segmenter in (LungSegmenter(), LungFieldSegmenter())
    )
    table = LungFieldSegmenter.__doc__
    for mask, name in ((algorithm, "`LungSegmenter`"), (field, "`LungFieldSegmenter`")):
        line = next(line for line in table.splitlines() if line.strip().startswith(f"| {name}"))
        cells = [[float(number) for number in cell.split("/")] for cell in line.split("|")[2:4]]
        for rows, cell in zip((others, everyone), cells, strict=True):
            assert means(mask, rows) == pytest.approx(cell, abs=0.001)
    assert means(field, others)[0] > means(algorithm, others)[0]
    assert means(field, others)[1] > means(algorithm, others)[1] + 0.3


def test_all_of_a_phantoms_lungs_is_found(phantoms):
    """Recall at least 0.9; the phantoms' own lungs leave out what is behind the heart, so precision says nothing."""
    field = segment_lung_field(phantoms.images)
    recall = (field & phantoms.lungs).sum((1, 2, 3)) / phantoms.lungs.sum((1, 2, 3))
    assert recall.min() >= 0.9


def test_a_lung_that_is_opaque_is_the_mirror_image_of_the_other(phantoms):
    opaque = phantoms.lungs & (torch.arange(256) >= 128)
    images = phantoms.images.masked_fill(opaque, 190)
    assert (LungSegmenter()(images) & opaque).sum() < 0.1 * opaque.sum()
    field = segment_lung_field(images)
    left, right = field[..., :128].sum((1, 2, 3)), field[..., 128:].sum((1, 2, 3))
    assert (left > 2000).all()
    assert (right > 0.7 * left).all()


# invariances


def test_a_mirrored_image_has_the_mirrored_field(phantoms):
    """Tolerance: IoU 0.97, for CLAHE's tiles and the column that the spine takes."""
    images = phantoms.images
    assert iou(segment_lung_field(images.flip(3)).flip(3), segment_lung_field(images)).min() >= 0.97


def test_a_positive_affine_map_changes_nothing(phantoms):
    """Tolerance: IoU 0.999, for rounding."""
    expected = segment_lung_field(phantoms.images)
    for images in (phantoms.images / 255, phantoms.images.double() * 3 - 1024, phantoms.images.expand(-1, 3, -1, -1)):
        assert iou(segment_lung_field(images), expected).min() >= 0.999


def test_lengths_scale_with_the_image():
    """Tolerance: IoU 0.9 between a phantom at 256 px and at half of that."""
    large = phantom_batch(3, size=256).images
    small = segment_lung_field(resized(large, 128, 128))
    assert iou(segment_lung_field(large)[..., ::2, ::2], small).min() >= 0.9


def test_images_without_lungs_and_empty_batches():
    images = torch.full((3, 1, 64, 48), 90, dtype=torch.uint8)
    images[1] = torch.arange(64).view(64, 1)
    assert not segment_lung_field(images).any()
    mask, converged = segment_lung_field(images[:0], return_converged=True)
    assert mask.shape == (0, 1, 64, 48)
    assert converged.shape == (0,)


def test_one_half_that_has_not_converged_empties_the_field(phantoms, monkeypatch):
    def but_for_one(*args, **kwargs):
        mask, converged = original(*args, **kwargs)
        converged[[1, 4]] = False  # the right half of the first image, the left of the third
        return mask, converged

    original = lung_field.keep_largest
    monkeypatch.setattr(lung_field, "keep_largest", but_for_one)
    mask, converged = segment_lung_field(phantoms.images, return_converged=True)
    assert converged.tolist() == [False, True, False, True]
    assert mask.flatten(1).any(1).tolist() == converged.tolist()


def test_a_field_of_lungs_that_have_not_converged_is_flagged_and_empty(phantoms, monkeypatch):
    def only_the_second(*args, **kwargs):
        mask, _ = segment_lungs(*args, **kwargs)
        converged = torch.arange(len(mask)) == 1
        return mask & converged.view(-1, 1, 1, 1), converged

    monkeypatch.setattr(lung_field, "segment_lungs", only_the_second)
    mask, converged = segment_lung_field(phantoms.images, return_converged=True)
    assert converged.tolist() == [False, True, False, False]
    assert mask.flatten(1).any(1).tolist() == converged.tolist()
